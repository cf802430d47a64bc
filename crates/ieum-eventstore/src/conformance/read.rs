//! Cases about reading.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Subject, event, events, name, refusal, sure};
use crate::{ErrorKind, Expect, Filter, Page, Position, Version};

/// H03: in a global read the versions of one stream only increase, by one.
pub async fn h03_versions_of_a_stream_only_increase(subject: &Subject) {
    let race = (0..40).map(|n| async move {
        let stream = format!("a-{}", n % 3);
        sure(
            subject
                .append(&stream, Expect::Any, events("x", n % 2 + 1))
                .await,
        )
    });
    join_all(race).await;
    let page = sure(
        subject
            .store
            .read_all(Position::START, &Filter::default(), 1_000)
            .await,
    );
    let mut last: HashMap<_, Version> = HashMap::new();
    for event in page.events {
        let before = last.insert(event.stream.clone(), event.version);
        assert_eq!(event.version.0, before.map_or(0, |version| version.0) + 1);
    }
    assert_eq!(last.len(), 3);
}

/// H12: pages of none, of one, of all, beyond the end, and above what an engine answers at once.
pub async fn h12_page_edges(subject: &Subject) {
    let all = Filter::default();
    let read = |after: u64, limit: usize| subject.store.read_all(Position(after), &all, limit);
    let empty = sure(read(0, 10).await);
    assert_eq!((empty.events.len(), empty.scanned_to), (0, Position(0)));
    sure(subject.append("a-1", Expect::Any, events("x", 5)).await);
    for (after, limit, expected, scanned_to) in [
        (0, 0, 0, 0),
        (0, 1, 1, 1),
        (0, 5, 5, 5),
        (0, 6, 5, 5),
        (4, 1, 1, 5),
        (5, 1, 0, 5),
        (2, usize::MAX, 3, 5),
    ] {
        let page = sure(read(after, limit).await);
        let case = format!("after {after}, limit {limit}");
        assert_eq!(page.events.len(), expected, "{case}");
        assert_eq!(page.scanned_to, Position(scanned_to), "{case}");
        assert_eq!(page.head.position, Position(5), "{case}");
    }
    assert_eq!(refusal(read(6, 1).await), ErrorKind::ForeignCheckpoint);
    for (after, limit, expected) in [(0, 0, 0), (0, 1, 1), (3, 9, 2), (5, 9, 0), (99, 9, 0)] {
        let stream = name("a-1");
        let read = subject.store.read_stream(&stream, Version(after), limit);
        assert_eq!(
            sure(read.await).len(),
            expected,
            "after {after}, limit {limit}"
        );
    }
    let none = name("a-2");
    assert!(sure(subject.store.read_stream(&none, Version(0), 9).await).is_empty());
    for _ in 0..3 {
        sure(subject.append("a-1", Expect::Any, events("x", 4_096)).await);
    }
    let page = sure(read(0, usize::MAX).await);
    assert_eq!(page.events.len(), Page::MAX_EVENTS);
    assert_eq!(page.scanned_to, Position(Page::MAX_EVENTS as u64));
}

/// A filter chooses by category and type, and the page says how far it looked.
pub async fn filters_choose_and_scan_on(subject: &Subject) {
    for (stream, kind) in [
        ("a-1", "x"),
        ("b-1", "x"),
        ("a-2", "y"),
        ("ab-1", "y"),
        ("b-1", "z"),
    ] {
        sure(subject.append(stream, Expect::Any, vec![event(kind)]).await);
    }
    let filter = |categories: &[&str], types: &[&str]| Filter {
        categories: categories.iter().map(|&c| c.to_owned()).collect(),
        types: types.iter().map(|&t| t.to_owned()).collect(),
    };
    let cases: [(Filter, usize, &[u64], u64); 8] = [
        (filter(&["a"], &[]), 10, &[1, 3], 5),
        (filter(&["a"], &[]), 1, &[1], 1),
        (filter(&["a", "b"], &[]), 10, &[1, 2, 3, 5], 5),
        (filter(&[], &["x"]), 10, &[1, 2], 5),
        (filter(&[], &["x"]), 2, &[1, 2], 2),
        (filter(&["a"], &["y"]), 10, &[3], 5),
        (filter(&["c"], &[]), 10, &[], 5),
        (filter(&["a"], &["z"]), 10, &[], 5),
    ];
    for (filter, limit, expected, scanned_to) in cases {
        let page = sure(
            subject
                .store
                .read_all(Position::START, &filter, limit)
                .await,
        );
        let found: Vec<u64> = page.events.iter().map(|event| event.position.0).collect();
        assert_eq!(
            (&*found, page.scanned_to),
            (expected, Position(scanned_to)),
            "{filter:?}"
        );
    }
}

/// A wait answers when the head moves, at once if it has moved, and when its time is over.
pub async fn waiting_ends_when_the_head_moves(subject: &Subject) {
    let short = Duration::from_millis(20);
    let still = sure(subject.store.wait(Position(0), short).await);
    assert_eq!(still.position, Position(0));
    let long = Duration::from_secs(60);
    let (waited, _) = futures_util::join!(
        subject.store.wait(Position(0), long),
        subject.append("a-1", Expect::Any, vec![event("x")]),
    );
    assert_eq!(sure(waited).position, Position(1));
    let at_once = sure(subject.store.wait(Position(0), long).await);
    assert_eq!(at_once.position, Position(1));
    let beyond = subject.store.wait(Position(9), long).await;
    assert_eq!(refusal(beyond), ErrorKind::ForeignCheckpoint);
}
