//! Cases about appending.

use futures_util::future::join_all;

use super::{Subject, event, events, name, new_id, refusal, sure};
use crate::{
    Append, Condition, ErrorKind, Expect, Fence, Filter, Metadata, Position, Version, Write,
};

/// What is written is read back, in every field.
pub async fn an_append_comes_back_as_it_was_written(subject: &Subject) {
    let mut metadata = Metadata {
        traceparent: Some("00-1".into()),
        tenant: Some("t".into()),
        ..Metadata::default()
    };
    metadata.other.insert("flow".into(), "orchestrated".into());
    let mut written = event("order.placed").with_metadata(metadata);
    written.tags = vec!["order:1".into(), "사용자:2".into()];
    let appended = sure(
        subject
            .append(
                "order-1",
                Expect::NoStream,
                vec![written.clone(), event("x")],
            )
            .await,
    );
    assert_eq!(appended.position, Position(2));
    assert_eq!(appended.versions, [(name("order-1"), Version(2))]);
    assert!(!appended.duplicate);
    let read = subject.stream("order-1").await;
    assert_eq!(read.len(), 2);
    let first = &read[0];
    assert_eq!((first.position, first.version), (Position(1), Version(1)));
    assert_eq!((&first.stream, first.id), (&name("order-1"), written.id));
    assert_eq!((&first.kind, &first.tags), (&written.kind, &written.tags));
    assert_eq!(first.data.get(), written.data.get());
    assert_eq!(first.metadata, written.metadata);
    assert!(first.recorded_at.as_micros() > 0);
}

/// The same ids are one append, decided before the expectation.
pub async fn repetition_is_answered_as_the_first_time(subject: &Subject) {
    let batch = events("x", 3);
    let first = sure(subject.append("a-1", Expect::NoStream, batch.clone()).await);
    sure(subject.append("a-1", Expect::Any, events("y", 1)).await);
    let again = sure(subject.append("a-1", Expect::NoStream, batch).await);
    assert!(again.duplicate);
    assert_eq!(
        (again.position, again.versions),
        (first.position, first.versions)
    );
    assert_eq!(subject.stream("a-1").await.len(), 4);
}

/// An overlap that is not the same batch is an error and writes nothing.
pub async fn partial_repetition_is_an_error(subject: &Subject) {
    let known = event("x");
    sure(
        subject
            .append("a-1", Expect::Any, vec![known.clone()])
            .await,
    );
    let overlap = vec![known.clone(), event("x")];
    let other_type = crate::NewEvent {
        kind: "y".into(),
        ..known.clone()
    };
    for (stream, batch) in [
        ("a-1", overlap),
        ("a-1", vec![other_type]),
        ("a-2", vec![known]),
    ] {
        let refused = refusal(subject.append(stream, Expect::Any, batch).await);
        assert_eq!(refused, ErrorKind::PartialDuplicate);
    }
    let head = sure(subject.store.head().await);
    assert_eq!(head.position, Position(1));
}

/// Each expectation admits what it says, and a conflict names the actual version.
pub async fn expectations_hold(subject: &Subject) {
    let cases = [
        (Expect::Exists, Some(0)),
        (Expect::Version(Version(1)), Some(0)),
        (Expect::NoStream, None),
        (Expect::NoStream, Some(1)),
        (Expect::Version(Version(0)), Some(1)),
        (Expect::Version(Version(1)), None),
        (Expect::Exists, None),
        (Expect::Any, None),
    ];
    for (expect, conflict) in cases {
        let outcome = subject.append("a-1", expect, vec![event("x")]).await;
        let Some(actual) = conflict else {
            sure(outcome);
            continue;
        };
        let stream = name("a-1");
        let actual = Version(actual);
        assert_eq!(refusal(outcome), ErrorKind::Conflict { stream, actual });
    }
    sure(
        subject
            .append("a-2", Expect::Version(Version(0)), vec![event("x")])
            .await,
    );
}

/// H17: of writers that all expect the same version exactly one wins; the others are told.
pub async fn h17_of_many_writers_exactly_one_wins(subject: &Subject) {
    for round in 0..5 {
        let expect = Expect::Version(Version(round));
        let race = (0..16).map(|_| subject.append("a-1", expect, vec![event("x")]));
        let outcomes = join_all(race).await;
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 15));
        for loser in lost {
            let (stream, actual) = (name("a-1"), Version(round + 1));
            assert_eq!(refusal(loser), ErrorKind::Conflict { stream, actual });
        }
    }
}

/// H17: `Any` never fails, and appends to different streams never conflict.
pub async fn h17_any_and_unrelated_appends_never_conflict(subject: &Subject) {
    let any = (0..16).map(|_| subject.append("a-1", Expect::Any, vec![event("x")]));
    let streams: Vec<String> = (0..16).map(|n| format!("b-{n}")).collect();
    let unrelated = streams
        .iter()
        .map(|stream| subject.append(stream, Expect::NoStream, vec![event("x")]));
    let (any, unrelated) = futures_util::join!(join_all(any), join_all(unrelated));
    for outcome in any.into_iter().chain(unrelated) {
        sure(outcome);
    }
    assert_eq!(subject.stream("a-1").await.len(), 16);
}

/// H17: two writers that each saw that nobody holds a seat cannot both take it.
pub async fn h17_write_skew_through_a_tag_condition_is_refused(subject: &Subject) {
    let take = |user: usize, after: u64, types: &[&str], tags: &[&str]| {
        let mut taken = event("seat.taken");
        taken.tags = vec!["seat:7".into(), format!("user:{user}")];
        let mut append = Append::to(name(&format!("user-{user}")), Expect::Any, vec![taken]);
        append.condition = Some(Condition {
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            types: types.iter().map(|&kind| kind.to_owned()).collect(),
            after: Position(after),
        });
        subject.store.append(append)
    };
    let race = (0..8).map(|user| take(user, 0, &["seat.taken"], &["seat:7"]));
    let outcomes = join_all(race).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for loser in outcomes.into_iter().filter(Result::is_err) {
        let found = Position(1);
        assert_eq!(refusal(loser), ErrorKind::ConditionFailed { found });
    }
    // What the condition does not speak of does not break it.
    sure(take(20, 1, &[], &["seat:7"]).await);
    sure(take(21, 0, &["seat.freed"], &["seat:7"]).await);
    sure(take(22, 0, &[], &["seat:7", "user:22"]).await);
    let both = refusal(take(23, 0, &[], &["seat:7", "user:22"]).await);
    assert_eq!(both, ErrorKind::ConditionFailed { found: Position(4) });
    let beyond = refusal(take(24, 99, &[], &["seat:7"]).await);
    assert_eq!(beyond, ErrorKind::ForeignCheckpoint);
}

/// An append to several streams happens wholly or not at all.
pub async fn several_streams_are_written_all_or_none(subject: &Subject) {
    let write = |stream: &str, expect: Expect, count: usize| Write {
        stream: name(stream),
        expect,
        events: events("x", count),
    };
    let both = |second: Expect| Append {
        writes: vec![write("a-1", Expect::Any, 2), write("b-1", second, 1)],
        ..Append::default()
    };
    let refused = refusal(subject.store.append(both(Expect::Exists)).await);
    assert!(matches!(refused, ErrorKind::Conflict { .. }));
    assert!(subject.stream("a-1").await.is_empty());
    let appended = sure(subject.store.append(both(Expect::NoStream)).await);
    assert_eq!(appended.position, Position(3));
    let expected = [(name("a-1"), Version(2)), (name("b-1"), Version(1))];
    assert_eq!(appended.versions, expected);
}

/// H13: after another epoch began, nothing of the earlier one is taken, not even a repetition.
pub async fn h13_a_superseded_writer_is_refused(subject: &Subject) {
    let fence = sure(subject.fences.raise("partition-1").await);
    assert_eq!(fence.epoch, 1);
    let batch = vec![event("x")];
    let write = |fence: &Fence, batch: Vec<_>| {
        let append = Append::to(name("a-1"), Expect::Any, batch).fenced(fence.clone());
        subject.store.append(append)
    };
    sure(write(&fence, batch.clone()).await);
    let successor = sure(subject.fences.raise("partition-1").await);
    assert_eq!(successor.epoch, 2);
    for late in [batch, vec![event("x")]] {
        let refused = refusal(write(&fence, late).await);
        assert_eq!(refused, ErrorKind::Fenced { actual: 2 });
    }
    sure(write(&successor, vec![event("x")]).await);
    let unknown = Fence {
        name: "nobody".into(),
        epoch: 1,
    };
    let refused = refusal(write(&unknown, vec![event("x")]).await);
    assert_eq!(refused, ErrorKind::Fenced { actual: 0 });
}

/// Refused appends leave no gap, whatever runs beside them.
pub async fn positions_are_gap_free(subject: &Subject) {
    let race = (0..60).map(|n| async move {
        let expect = if n % 3 == 0 {
            Expect::Exists
        } else {
            Expect::Any
        };
        let stream = format!("a-{n}");
        subject
            .append(&stream, expect, events("x", n % 4 + 1))
            .await
    });
    let outcomes = join_all(race).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_err()).count(),
        20
    );
    let page = sure(
        subject
            .store
            .read_all(Position::START, &Filter::default(), 1_000)
            .await,
    );
    let positions = page.events.iter().map(|event| event.position.0);
    let expected = 1..=page.head.position.0;
    assert!(positions.eq(expected), "positions have a gap");
    assert!(page.head.position.0 > 0);
}

/// What breaks a documented limit is `Invalid` and writes nothing.
pub async fn limits_are_refused(subject: &Subject) {
    let same = event("x");
    let long = |kind: usize, data: usize| crate::NewEvent {
        kind: "k".repeat(kind),
        ..sure(crate::NewEvent::new(new_id(), "x", &"d".repeat(data)))
    };
    let tagged = |tags: Vec<String>| crate::NewEvent { tags, ..event("x") };
    let batches = [
        vec![],
        vec![same.clone(), same],
        events("x", Append::MAX_EVENTS + 1),
        vec![long(0, 1)],
        vec![long(Append::MAX_TYPE_BYTES + 1, 1)],
        vec![long(1, Append::MAX_EVENT_BYTES)],
        vec![tagged(vec![String::new()])],
        vec![tagged(vec!["t".into(); Append::MAX_TAGS + 1])],
    ];
    for batch in batches {
        let refused = refusal(subject.append("a-1", Expect::Any, batch).await);
        assert_eq!(refused, ErrorKind::Invalid);
    }
    let mut untagged = Append::to(name("a-1"), Expect::Any, vec![event("x")]);
    untagged.condition = Some(Condition {
        tags: Vec::new(),
        types: Vec::new(),
        after: Position::START,
    });
    let twice = Append {
        writes: vec![untagged.writes[0].clone(), untagged.writes[0].clone()],
        ..Append::default()
    };
    for append in [Append::default(), untagged, twice] {
        let refused = refusal(subject.store.append(append).await);
        assert_eq!(refused, ErrorKind::Invalid);
    }
    sure(
        subject
            .append("a-1", Expect::Any, events("x", Append::MAX_EVENTS))
            .await,
    );
    let head = sure(subject.store.head().await);
    assert_eq!(head.position, Position(Append::MAX_EVENTS as u64));
}
