//! What became of a request with an idempotency key.

use super::Answer;
use crate::Result;

/// How a request with a key was dealt with.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It ran now.
    Fresh(Answer),
    /// It had run before; this is what it answered then.
    Replayed(Answer),
    /// The key was used for another request: answer 422.
    KeyReused,
}

impl Outcome {
    /// The answer to give; for a reused key a problem detail with status 422.
    pub fn into_answer(self) -> Answer {
        match self {
            Self::Fresh(answer) | Self::Replayed(answer) => answer,
            Self::KeyReused => {
                let title = "The idempotency key was used for another request";
                Answer::problem(422, title, "idempotency-key-reused")
            }
        }
    }
    /// What a record says to a request with `fingerprint`.
    pub(crate) fn recorded(
        fingerprint: &str,
        recorded: &str,
        status: u16,
        body: &str,
    ) -> Result<Self> {
        if recorded != fingerprint {
            return Ok(Self::KeyReused);
        }
        Ok(Self::Replayed(Answer::from_row(status, body)?))
    }
}
