//! The provider's side: put each interaction of a contract to a running service, and say what differs.
//!
//! The states that an interaction needs are set up first: by a URL that takes
//! `{consumer, state, params, action}`, or by a callback. What the set-up answers as JSON is what
//! `ProviderState` generators take values from. Events cannot be asked for by themselves; a callback,
//! or an endpoint that takes `{description, providerStates}`, makes them.

mod ask;
mod report;
mod states;
#[cfg(test)]
mod tests;
mod verifier;

pub use report::{Outcome, Report};
pub use states::{Action, StateChange};
pub use verifier::{Made, Verifier};
