//! Why something cannot be translated.

use ieum_base::{Fault, Retry};

/// Something that cannot be translated, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.detail)]
pub struct TranscodeError(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: TranscodeErrorKind,
    field: Option<String>,
    place: Option<Place>,
    detail: String,
}

/// What cannot be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranscodeErrorKind {
    /// A variable of the path.
    Path,
    /// A parameter of the query.
    Query,
    /// The body of the request.
    Body,
    /// The message that was answered.
    Answer,
}

/// A place in a body. Both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in bytes.
    pub column: usize,
}

impl TranscodeError {
    pub(crate) fn new(kind: TranscodeErrorKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            field: None,
            place: None,
            detail: shortened(detail.into()),
        }))
    }

    pub(crate) fn of_field(mut self, field: impl Into<String>) -> Self {
        let field = shortened(field.into());
        self.0.field = Some(field).filter(|field| !field.is_empty());
        self
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.0.place = (place.line > 0).then_some(place);
        self
    }

    /// What cannot be translated.
    pub const fn kind(&self) -> TranscodeErrorKind {
        self.0.kind
    }

    /// The path of the field, `user.address.zip` or `items[2].price`, or the name of the parameter.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// Where in the body.
    pub const fn place(&self) -> Option<Place> {
        self.0.place
    }

    /// What is wrong, for people. Never quotes a value, which may be a secret.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self.0.kind {
            TranscodeErrorKind::Answer => Fault::Upstream,
            _ => Fault::Caller,
        }
    }

    /// Whether to try again: the same thing stays wrong.
    pub const fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// A name that a client made up may be as long as its body; what is told of it is not.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MOST_CHARACTERS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

const MOST_CHARACTERS: usize = 300;
