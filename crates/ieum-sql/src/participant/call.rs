//! A call of a saga's step, and what is to be done with it, given what is stored.

use serde::{Deserialize, Serialize};

use super::Answer;
use crate::Error;

/// One call of a step, as the saga's headers name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The saga (`Ieum-Saga-Id`).
    pub saga: String,
    /// The step (`Ieum-Step`).
    pub step: String,
    /// The round: a restart from the step begins the next one.
    pub round: u32,
    /// The owner's epoch (`Ieum-Epoch`).
    pub epoch: u64,
    /// What is asked for.
    pub op: Op,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// The step's effect.
    Do,
    /// Its compensation.
    Undo,
}

impl Op {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Undo => "undo",
        }
    }
}

/// What is to be done with a call.
pub(crate) enum Verdict {
    /// It was answered before, or may not happen any more.
    Answered(Answer),
    /// There is nothing to undo: this answer is stored.
    Nothing(Answer),
    /// Its effect runs.
    Run,
}

impl Call {
    /// Decides by the stored answers to the do and to the undo of the call's step and round.
    pub(crate) fn judge(&self, done: Option<Answer>, undone: Option<Answer>) -> Verdict {
        match (self.op, done, undone) {
            (Op::Do, _, Some(_)) => {
                let title = "The step was cancelled before this call";
                Verdict::Answered(Answer::problem(409, title, "cancelled"))
            }
            (Op::Do, Some(answer), None) | (Op::Undo, _, Some(answer)) => Verdict::Answered(answer),
            (Op::Undo, Some(done), None) if done.is_success() => Verdict::Run,
            (Op::Undo, _, None) => {
                Verdict::Nothing(Answer::new(200, serde_json::json!({ "undone": false })))
            }
            (Op::Do, None, None) => Verdict::Run,
        }
    }

    /// True if `answer` is stored, with what the effect wrote.
    pub(crate) const fn keeps(&self, answer: &Answer) -> bool {
        match self.op {
            Op::Do => answer.is_final(),
            Op::Undo => answer.is_success(),
        }
    }

    /// The answer to an owner who is one no more.
    pub(crate) fn superseded(&self) -> Answer {
        let title = "A later owner of the saga has taken over";
        Answer::problem(409, title, "superseded")
    }
}

/// Why the writes of an effect are forgotten.
pub(crate) enum Forgotten<E> {
    /// Its answer is not final.
    Answer(Answer),
    /// It failed.
    Failed(E),
}

impl<E: From<Error>> From<Error> for Forgotten<E> {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}
