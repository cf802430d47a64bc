//! The engine: runs the sagas of one log.
//!
//! [`Service::open`] raises the engine's fence, reads which sagas are open, and answers the service
//! to run and a [`Handle`] to talk to it. One task per open saga (`saga.rs`) asks the rules what is
//! next, writes it down, and only then calls. Nothing is shared between sagas except the log, so
//! their appends meet in the log's group commit.
//!
//! One engine works on a log at a time. A second one that starts raises the epoch; from then on
//! every append of the first is refused in the same transaction, and it stops.

mod config;
mod definitions;
mod error;
mod handle;
mod index;
mod live;
mod presence;
mod recovery;
mod saga;
mod service;
mod shared;
mod spans;
mod trigger;
mod waiting;
mod writer;

pub use config::Config;
pub use definitions::{Defined, DefinitionSummary};
pub use error::{Error, ErrorKind, Result};
pub use handle::{Handle, List, Receipt, Start};
pub use index::{Stalled, Summary};
pub use service::{Deps, Service};
pub use trigger::TriggerStatus;
