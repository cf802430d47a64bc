//! Durable sagas on the log: definitions as data, intent before each call, undo in reverse, resume
//! after a restart.
//!
//! A saga is a [`definition::Definition`]: steps that call services and, before the pivot, what
//! undoes them. The [`engine`] keeps each saga as a stream of [`events`] on the log; its
//! [`state`] is a fold of them, and the rules in [`decide`](mod@decide) say what comes next. The engine itself
//! only writes down and calls, through the [`port::Participants`] of whoever hosts it.
//!
//! Reading order: `definition`, `events`, `state`, `decide`, `outcome`, then `engine`.

pub mod decide;
pub mod definition;
pub mod engine;
pub mod events;
pub mod outcome;
pub mod port;
pub mod state;
pub mod telemetry;
mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod view;

pub use engine::{Config, Deps, Error, ErrorKind, Handle, Obeyed, Result, Service, Sharing, Start};
pub use view::{CallView, HistoryItem, SagaView, StepView};
