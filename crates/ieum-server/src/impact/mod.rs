//! What a change touches: who publishes an event, who hears it, which routes, contracts and sagas
//! depend on it.
//!
//! [`Landscape`] is what is known at one moment, from the registry, the gateway, the consumer groups, the
//! saga definitions, the contracts and the log; [`Landscape::impact`] answers from it without asking
//! anybody. Who publishes stands nowhere but in the messages themselves: [`Publishers`] reads the log's
//! tail when somebody asks, remembers, and says how far it looked.

mod contracts;
mod landscape;
mod names;
mod publishers;

pub(crate) use contracts::{Contract, read as read_contracts};
pub(crate) use landscape::{Group, Landscape, Route, Unknown, about};
pub(crate) use publishers::Publishers;
