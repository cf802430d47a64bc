//! Why a platform does not start: one clear error, and what to do.

use std::fmt;

use crate::config::{MissingSecret, Problem, Report};

/// A platform that could not be started. Nothing was damaged: what was opened is closed again.
#[derive(Debug)]
pub struct StartError(Box<Inner>);

#[derive(Debug)]
enum Inner {
    /// A key of the configuration is the reason.
    Config(Report),
    /// Something else is.
    Other {
        what: String,
        help: Option<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StartError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(Box::new(Inner::Other {
            what: what.into(),
            help: None,
            source: None,
        }))
    }

    pub(super) fn help(mut self, text: impl Into<String>) -> Self {
        if let Inner::Other { help, .. } = &mut *self.0 {
            *help = Some(text.into());
        }
        self
    }

    pub(super) fn caused_by(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        if let Inner::Other { source, .. } = &mut *self.0 {
            *source = Some(cause.into());
        }
        self
    }
}

impl StartError {
    /// What is wrong with the key `key`.
    pub(super) fn of(problem: Problem, key: &str) -> Self {
        let start = Self::new(format!("`{key}`: {}", problem.message));
        match problem.help {
            Some(help) => start.help(help),
            None => start,
        }
    }
}

impl From<MissingSecret> for StartError {
    fn from(missing: MissingSecret) -> Self {
        Self::new(missing.to_string()).help(missing.help)
    }
}

impl From<Report> for StartError {
    fn from(report: Report) -> Self {
        Self(Box::new(Inner::Config(report)))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Inner::Config(report) => write!(f, "{}", report.to_string().trim_end()),
            Inner::Other { what, help, source } => {
                write!(f, "error: {what}")?;
                let mut cause = source.as_deref().map(|s| s as &dyn std::error::Error);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                match help {
                    Some(help) => write!(f, "\n  = help: {help}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for StartError {}
