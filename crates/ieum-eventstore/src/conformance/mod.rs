//! The suite that every engine of the log passes.
//!
//! An engine's tests call [`log_conformance!`](crate::log_conformance) with an expression that opens
//! an empty log; each case becomes a test of its own, so that what ran is seen in the summary. Cases
//! that stand for a hazard are named after its number. Leases have a suite of their own,
//! [`lease_conformance!`](crate::lease_conformance).

mod append;
mod checkpoint;
mod lease;
mod read;
mod subscribe;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ieum_base::{Clock, Uuid};

pub use append::{
    an_append_comes_back_as_it_was_written, expectations_hold, h13_a_superseded_writer_is_refused,
    h17_any_and_unrelated_appends_never_conflict, h17_of_many_writers_exactly_one_wins,
    h17_write_skew_through_a_tag_condition_is_refused, limits_are_refused,
    partial_repetition_is_an_error, positions_are_gap_free,
    repetition_is_answered_as_the_first_time, several_streams_are_written_all_or_none,
};
pub use checkpoint::{
    checkpoints_move_by_compare_and_set, h13_a_checkpoint_is_moved_by_its_owner_only,
    h35_foreign_checkpoints_are_errors,
};
pub use lease::{
    LeaseSubject, a_lease_is_seen_as_it_was_left, a_lease_is_taken_only_as_it_was_seen,
    a_released_lease_is_free_and_shuts_its_owner_out,
    a_renewal_counts_and_an_old_epoch_is_not_renewed,
    h13_taking_a_lease_shuts_its_earlier_owner_out, h14_a_holders_name_used_again_is_no_right,
    leases_and_fences_of_one_name_are_one, leases_of_one_call_are_decided_one_by_one,
    names_of_leases_have_limits, of_many_candidates_exactly_one_takes_a_lease,
};
pub use read::{
    filters_choose_and_scan_on, h03_versions_of_a_stream_only_increase, h12_page_edges,
    waiting_ends_when_the_head_moves,
};
pub use subscribe::{
    h09_a_filter_that_matches_nothing_still_moves, h09_catch_up_to_live_without_a_seam,
    h10_a_lost_wake_up_delays_and_loses_nothing,
};

use crate::{
    Append, Checkpoints, Error, ErrorKind, Event, EventStore, Expect, Fences, NewEvent, StreamName,
};

/// An empty log of the engine under test.
pub struct Subject {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// Its checkpoints.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Its epochs.
    pub fences: Arc<dyn Fences>,
    /// Begins another incarnation of it.
    pub begin_incarnation: BeginIncarnation,
    /// What must live as long as the log, such as its directory.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// Begins another incarnation of the log.
pub type BeginIncarnation = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Subject {
    /// The subject that one value with all three ports makes.
    pub fn new<S>(log: S, begin_incarnation: BeginIncarnation, keep: impl Any + Send + Sync) -> Self
    where
        S: EventStore + Checkpoints + Fences + Clone,
    {
        Self {
            store: Arc::new(log.clone()),
            checkpoints: Arc::new(log.clone()),
            fences: Arc::new(log),
            begin_incarnation,
            keep: Box::new(keep),
        }
    }

    async fn append(&self, stream: &str, expect: Expect, events: Vec<NewEvent>) -> Outcome {
        let append = Append::to(name(stream), expect, events);
        self.store.append(append).await
    }

    async fn stream(&self, stream: &str) -> Vec<Event> {
        let stream = name(stream);
        sure(
            self.store
                .read_stream(&stream, crate::Version(0), 1_000)
                .await,
        )
    }
}

type Outcome = crate::Result<crate::Appended>;

/// Makes a test of each case. `$open` is an expression whose future is a [`Subject`],
/// `$engine` the name of the engine in the table of all suites; the caller depends on `ieum-testkit`.
#[macro_export]
macro_rules! log_conformance {
    ($open:expr, $engine:literal) => {
        $crate::log_conformance! { @cases $open, $engine;
            an_append_comes_back_as_it_was_written
            checkpoints_move_by_compare_and_set
            expectations_hold
            filters_choose_and_scan_on
            h03_versions_of_a_stream_only_increase
            h09_a_filter_that_matches_nothing_still_moves
            h09_catch_up_to_live_without_a_seam
            h10_a_lost_wake_up_delays_and_loses_nothing
            h12_page_edges
            h13_a_checkpoint_is_moved_by_its_owner_only
            h13_a_superseded_writer_is_refused
            h17_any_and_unrelated_appends_never_conflict
            h17_of_many_writers_exactly_one_wins
            h17_write_skew_through_a_tag_condition_is_refused
            h35_foreign_checkpoints_are_errors
            limits_are_refused
            partial_repetition_is_an_error
            positions_are_gap_free
            repetition_is_answered_as_the_first_time
            several_streams_are_written_all_or_none
            waiting_ends_when_the_head_moves
        }
    };
    (@cases $open:expr, $engine:literal; $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject: $crate::conformance::Subject = $open.await;
                $crate::conformance::$case(&subject).await;
                let passed = [stringify!($case)];
                ieum_testkit::conformance::record("log", $engine, &passed, &[], &[]);
            }
        )*
    };
}

/// An event with a new id, as the cases use it.
fn event(kind: &str) -> NewEvent {
    sure(NewEvent::new(
        new_id(),
        kind,
        &serde_json::json!({ "n": 1 }),
    ))
}

fn events(kind: &str, count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event(kind)).collect()
}

fn new_id() -> Uuid {
    Clock::system().new_id()
}

fn name(stream: &str) -> StreamName {
    sure(stream.parse())
}

#[track_caller]
#[expect(clippy::panic, reason = "a case fails its test by panicking")]
fn sure<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("this must not fail: {error:?}"),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a case fails its test by panicking")]
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    match result {
        Ok(value) => panic!("this must be refused, the answer was {value:?}"),
        Err(error) => error.kind().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn memory() -> Subject {
        subject(crate::memory::Store::new())
    }

    fn subject(store: crate::memory::Store) -> Subject {
        let same = store.clone();
        let begin: BeginIncarnation = Box::new(move || {
            same.begin_incarnation();
            Box::pin(std::future::ready(()))
        });
        Subject::new(store, begin, ())
    }

    async fn with_leases() -> LeaseSubject {
        let store = crate::memory::Store::new();
        LeaseSubject {
            leases: Arc::new(store.clone()),
            log: subject(store),
        }
    }

    crate::log_conformance!(memory(), "memory");
    crate::lease_conformance!(with_leases(), "memory");
}
