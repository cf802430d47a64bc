//! Cases about checkpoints.

use super::{Subject, events, new_id, refusal, sure};
use crate::{Checkpoint, ErrorKind, Expect, Filter, Position};

/// A checkpoint moves only from where its reader believes it to be.
pub async fn checkpoints_move_by_compare_and_set(subject: &Subject) {
    sure(subject.append("a-1", Expect::Any, events("x", 9)).await);
    let head = sure(subject.store.head().await);
    let at = |position| head.checkpoint(Position(position));
    let store = |expected, to| subject.checkpoints.store("view", expected, to);
    assert_eq!(sure(subject.checkpoints.load("view").await), None);
    assert_eq!(
        refusal(store(Some(at(1)), at(2)).await),
        ErrorKind::Fenced { actual: 0 }
    );
    sure(store(None, at(3)).await);
    assert_eq!(
        refusal(store(None, at(4)).await),
        ErrorKind::Fenced { actual: 3 }
    );
    let (first, second) = futures_util::join!(store(Some(at(3)), at(5)), store(Some(at(3)), at(6)));
    assert!(first.is_ok() != second.is_ok(), "exactly one moves it");
    let stored = sure(subject.checkpoints.load("view").await).map(|at| at.position);
    assert!(stored == Some(Position(5)) || stored == Some(Position(6)));
    assert_eq!(sure(subject.checkpoints.load("other").await), None);
}

/// H13: an owner that was superseded moves no checkpoint.
pub async fn h13_a_checkpoint_is_moved_by_its_owner_only(subject: &Subject) {
    sure(subject.append("a-1", Expect::Any, events("x", 9)).await);
    let head = sure(subject.store.head().await);
    let at = |position| head.checkpoint(Position(position));
    let (view, from) = ("view", Some(at(2)));
    let zombie = sure(subject.fences.raise("owner").await);
    let moved = subject.checkpoints.store_fenced(view, None, at(2), &zombie);
    sure(moved.await);
    let owner = sure(subject.fences.raise("owner").await);
    let late = subject.checkpoints.store_fenced(view, from, at(9), &zombie);
    assert_eq!(refusal(late.await), ErrorKind::Fenced { actual: 2 });
    let moved = subject.checkpoints.store_fenced(view, from, at(3), &owner);
    sure(moved.await);
    assert_eq!(sure(subject.checkpoints.load(view).await), Some(at(3)));
}

/// H35: a checkpoint beyond the head or of another incarnation is an error, not a silent skip.
pub async fn h35_foreign_checkpoints_are_errors(subject: &Subject) {
    sure(subject.append("a-1", Expect::Any, events("x", 3)).await);
    let head = sure(subject.store.head().await);
    let beyond = head.checkpoint(Position(4));
    let elsewhere = Checkpoint {
        incarnation: new_id(),
        position: Position(1),
    };
    for foreign in [beyond, elsewhere] {
        let refused = refusal(subject.checkpoints.store("view", None, foreign).await);
        assert_eq!(refused, ErrorKind::ForeignCheckpoint);
    }
    let all = Filter::default();
    let read = subject.store.read_all(Position(4), &all, 1).await;
    assert_eq!(refusal(read), ErrorKind::ForeignCheckpoint);
    let good = head.checkpoint(Position(2));
    sure(subject.checkpoints.store("view", None, good).await);
    (subject.begin_incarnation)().await;
    let restored = sure(subject.store.head().await);
    assert_ne!(restored.incarnation, head.incarnation);
    assert_eq!(restored.position, head.position);
    let loaded = subject.checkpoints.load("view").await;
    assert_eq!(refusal(loaded), ErrorKind::ForeignCheckpoint);
    // An operator decides where to go on.
    let anew = restored.checkpoint(Position(2));
    sure(subject.checkpoints.store("view", Some(good), anew).await);
    assert_eq!(sure(subject.checkpoints.load("view").await), Some(anew));
}
