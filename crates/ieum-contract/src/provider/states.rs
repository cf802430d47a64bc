//! Setting up what must be so at the provider.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::State;

/// A state that is set up or taken down.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// Who needs it.
    pub consumer: String,
    /// The state.
    pub state: State,
    /// What to do.
    pub action: Action,
}

/// What to do with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make it so, before the interaction.
    Setup,
    /// Clean up, after it.
    Teardown,
}

impl Action {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Teardown => "teardown",
        }
    }
}

/// What a set-up answers: values for `ProviderState` generators, or why it cannot be so.
pub(super) type Answered = Pin<Box<dyn Future<Output = Result<Map<String, Value>, String>> + Send>>;

/// Who sets states up.
#[derive(Clone)]
pub(super) enum States {
    /// Nobody: they are taken to be so.
    Nobody,
    /// An endpoint.
    Url(String),
    /// Code.
    Callback(Arc<dyn Fn(StateChange) -> Answered + Send + Sync>),
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::Url(url) => write!(f, "Url({})", super::ask::shown(url)),
            Self::Callback(_) => f.write_str("Callback"),
        }
    }
}
