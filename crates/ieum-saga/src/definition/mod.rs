//! Definitions: a saga as data.
//!
//! [`Definition`] is what people write, in JSON, TOML or Rust; [`Plan`] is the same thing checked,
//! with its templates parsed and pinned to a hash. The engine runs plans only, so that nothing that
//! can be known to be wrong is found out in the middle of somebody's order.

mod hash;
mod plan;
mod types;
mod validate;

pub use hash::Hash;
pub(crate) use plan::CallPlan;
pub use plan::{Plan, PlanStep};
pub use types::{Call, Definition, Method, Step, Trigger, Undo};
pub use validate::{Invalid, Problem};
