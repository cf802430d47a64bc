//! PostgreSQL's errors in the words of this crate.
//!
//! A caller must know two things of a failure: whether the write may have happened, and whether
//! doing it again can help. SQLSTATE says both; what has none broke with the connection, and then
//! nobody knows.

use std::error::Error as _;

use ieum_base::EngineUrl;
use tokio_postgres::error::SqlState;

use crate::{Error, ErrorKind};

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let (kind, context) = classify(&error);
        Self::with_source(kind, context, error)
    }
}

/// The kind of a failure while connecting, named by the URL without its password, and the way out.
pub(super) fn connecting(url: &EngineUrl, error: tokio_postgres::Error) -> Error {
    let context = match error.code() {
        Some(&SqlState::INVALID_PASSWORD) => {
            format!("{url} refuses the password: check the user and the password of the URL")
        }
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => format!(
            "{url} does not let this user in from here: check the user of the URL and the server's \
             pg_hba.conf"
        ),
        Some(&SqlState::UNDEFINED_DATABASE) => format!(
            "{url} names a database that is not there: create it (`createdb {}`) or correct the URL",
            url.path()
        ),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            format!("{url}: this user may not connect: `GRANT CONNECT` or take another user")
        }
        Some(&SqlState::TOO_MANY_CONNECTIONS) => format!(
            "{url} has no connection left: raise its max_connections or make the pools smaller"
        ),
        Some(&SqlState::CANNOT_CONNECT_NOW) => {
            format!("{url} is starting up or shutting down: try again in a moment")
        }
        Some(_) => format!("{url} refuses the connection"),
        None => return unanswered(url, error),
    };
    let (kind, _) = classify(&error);
    Error::with_source(kind, context, error)
}

fn unanswered(url: &EngineUrl, error: tokio_postgres::Error) -> Error {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    if cause.contains("password missing") {
        let context = format!("{url} asks for a password and the URL has none: add it");
        return Error::with_source(ErrorKind::Denied, context, error);
    }
    let context = format!(
        "no PostgreSQL answers at {url} ({}): check the host, the port and `sslmode`, and that the \
         server runs",
        if cause.is_empty() {
            error.to_string()
        } else {
            cause
        }
    );
    Error::with_source(ErrorKind::Unreachable, context, error)
}

/// What a failure means.
fn classify(error: &tokio_postgres::Error) -> (ErrorKind, String) {
    let Some(code) = error.code() else {
        // Not from the server: the connection broke, or our side misused the driver.
        let broken = error.is_closed()
            || error
                .source()
                .is_some_and(|cause| cause.is::<std::io::Error>());
        return if broken {
            (
                ErrorKind::Io,
                "the connection to PostgreSQL was lost".to_owned(),
            )
        } else {
            (
                ErrorKind::Internal,
                "PostgreSQL's answer cannot be used".to_owned(),
            )
        };
    };
    let (kind, context) = by_code(code);
    let said = error
        .as_db_error()
        .map(|error| error.message())
        .unwrap_or_default();
    (kind, format!("{context} ({}: {said})", code.code()))
}

fn by_code(code: &SqlState) -> (ErrorKind, &'static str) {
    match code.code() {
        "53100" => (ErrorKind::Full, "the disk of PostgreSQL is full"),
        "57P03" => (
            ErrorKind::Unreachable,
            "PostgreSQL takes no connections now",
        ),
        "53200" | "53300" | "53400" => (ErrorKind::Busy, "PostgreSQL has no resources left"),
        "40003" | "57P01" | "57P02" | "57P05" | "58030" => {
            (ErrorKind::Io, "PostgreSQL ended the connection")
        }
        "57014" => (
            ErrorKind::Busy,
            "the statement took too long and was cancelled",
        ),
        "40001" | "40P01" | "55P03" | "25P03" => (
            ErrorKind::Busy,
            "another transaction was in the way; nothing was written",
        ),
        "25006" => (ErrorKind::ReadOnly, "the database may not be written"),
        // Raised by the log's own functions.
        "IEU01" => (ErrorKind::Invalid, "the transaction does not suit the log"),
        "3D000" => (ErrorKind::Missing, "the database is not there"),
        "42501" => (ErrorKind::Denied, "the user may not do this"),
        "XX001" | "XX002" => (ErrorKind::Corrupt, "the database is damaged"),
        other => match other.get(..2) {
            Some("08") => (ErrorKind::Io, "the connection to PostgreSQL was lost"),
            Some("22") => (ErrorKind::Invalid, "a value cannot be stored"),
            Some("23") => (ErrorKind::Constraint, "a row breaks a constraint"),
            Some("28") => (ErrorKind::Denied, "the user is not let in"),
            _ => (ErrorKind::Internal, "a statement was refused"),
        },
    }
}
