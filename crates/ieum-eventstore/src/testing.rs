//! Specifications of deciders: given events, when a command, then events or a refusal.
//!
//! The form is emmett's `DeciderSpecification`. A failed specification panics with both sides.

use std::fmt::Debug;

use crate::Decider;

/// A decider whose stream holds `events`.
pub fn given<D: Decider>(decider: D, events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let state = events.into_iter().fold(decider.initial(), |state, event| {
        decider.evolve(state, &event)
    });
    Given { decider, state }
}

/// What happened before.
#[derive(Debug)]
pub struct Given<D: Decider> {
    decider: D,
    state: D::State,
}

impl<D: Decider> Given<D> {
    /// Decides `command`.
    pub fn when(self, command: &D::Command) -> When<D> {
        When(self.decider.decide(&self.state, command))
    }

    /// The state that the events amount to.
    pub const fn state(&self) -> &D::State {
        &self.state
    }
}

/// What was decided.
#[derive(Debug)]
pub struct When<D: Decider>(Result<Vec<D::Event>, D::Error>);

impl<D: Decider> When<D>
where
    D::Event: Debug + PartialEq,
    D::Error: Debug,
{
    /// Expects exactly these events.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.0 {
            Ok(actual) => assert_eq!(actual, expected, "other events were decided"),
            Err(error) => failed(&format!("it was refused with {error:?}")),
        }
    }

    /// Expects a refusal with this error.
    #[track_caller]
    pub fn refused(self, expected: &D::Error)
    where
        D::Error: PartialEq,
    {
        match self.0 {
            Err(actual) => assert_eq!(&actual, expected, "it was refused for another reason"),
            Ok(events) => failed(&format!("it was not refused, it decided {events:?}")),
        }
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a specification fails a test by panicking")]
fn failed(why: &str) {
    panic!("{why}");
}
