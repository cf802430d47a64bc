//! What a participant keeps and decides, on every engine: answers, calls of a saga's steps, requests
//! with a key, messages on their way out.
//!
//! The engines differ in how they store and lock; what is decided by what is stored is here, once.

mod answer;
mod call;
mod outcome;
mod outgoing;

pub use answer::Answer;
pub use call::{Call, Op};
pub use outcome::Outcome;

pub(crate) use call::{Forgotten, Verdict};
pub(crate) use outgoing::{incoming, outgoing};
