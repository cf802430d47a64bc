//! Floor 0: the words that every crate of ieum shares.
//!
//! What may live here: time, randomness, ids, units, error vocabulary, the task tree, secrets, engine
//! URLs and what is found out about engines, and the trace context. What may not: HTTP, tower, databases, and anything that only one
//! crate needs. The cap is deliberate: a "common" crate grows until it eats a project.

mod backoff;
mod clock;
mod deadline;
mod engine_url;
mod error;
mod finding;
pub mod redact;
mod rng;
mod secret;
mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trace;
mod units;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, Timestamp};
pub use deadline::Deadline;
pub use engine_url::{EngineUrl, EngineUrlError};
pub use error::{Fault, Retry};
pub use finding::{Finding, Level};
pub use rng::Rng;
pub use secret::Secret;
pub use tasks::{Abandoned, Stop, TaskKind, Tasks};
pub use units::{ByteSize, HumanDuration, UnitError};
pub use uuid::Uuid;
