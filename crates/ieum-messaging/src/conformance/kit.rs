//! What the cases of all suites are made of.

use ieum_base::Uuid;
use serde_json::json;

use crate::Message;

/// Why a case does not hold.
pub(super) struct Failure(pub(super) String);

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self(format!("{error:?}"))
    }
}

impl From<crate::MessageError> for Failure {
    fn from(error: crate::MessageError) -> Self {
        Self(error.to_string())
    }
}

/// What a case answers.
pub(super) type Verdict = Result<(), Failure>;

/// Fails the case if two values differ.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Verdict {
    if found == wanted {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?}, not {wanted:?}")))
}

/// Fails the case unless the call was refused with this kind.
pub(super) fn refused<T: std::fmt::Debug>(
    what: &str,
    answer: crate::Result<T>,
    kind: crate::ErrorKind,
) -> Verdict {
    match answer {
        Err(error) if error.kind() == kind => Ok(()),
        other => Err(Failure(format!("{what}: {other:?}, not {kind:?}"))),
    }
}

/// A source of messages that no other case uses.
pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::new_v4().simple())
}

/// Message number `n` of `source` on `key`.
pub(super) fn message(source: &str, n: u32, key: &str) -> Result<Message, Failure> {
    let message = Message::new(source, n.to_string(), "thing.happened", &json!({"n": n}))?;
    Ok(message.with_key(key))
}

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        &[$((stringify!($name), |room| Box::pin($name(room)))),+]
    };
}

pub(super) use cases;
