//! An answer that was lost leaves a doubt; the ids of the events settle it.

use futures_util::future::join_all;
use ieum_base::Clock;
use ieum_eventstore::{Append, Checkpoints, EventStore, Expect, NewEvent, Position, Version};

use super::proxy::{Lose, Proxy};
use super::server::{database, everything, one, open, stream};

fn marked(to: &str, expect: Expect, mark: &str) -> Append {
    let event = NewEvent::new(Clock::system().new_id(), "x", mark).expect("an event");
    Append::to(stream(to), expect, vec![event])
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_there_once() {
    let (proxy, (_, name)) = (Proxy::start(), database());
    let log = open(&proxy.url(&name)).await;
    log.append(one("a-1", Expect::NoStream))
        .await
        .expect("appends");
    for (what, duplicate, version) in [(Lose::Answer, true, 1), (Lose::Request, false, 2)] {
        let mark = format!("mark {what:?}");
        proxy.lose(what, &mark);
        let expect = Expect::Version(Version(version));
        let appended = log
            .append(marked("a-1", expect, &mark))
            .await
            .expect("appends");
        assert!(proxy.has_lost(), "{what:?}");
        assert_eq!(appended.position, Position(version + 1), "{what:?}");
        assert_eq!(appended.duplicate, duplicate, "{what:?}");
    }
    assert_eq!(everything(&log).await.len(), 3);
}

#[tokio::test]
async fn each_of_a_batch_whose_answer_was_lost_is_there_once() {
    for what in [Lose::Answer, Lose::Request] {
        let (proxy, (_, name)) = (Proxy::start(), database());
        let log = open(&proxy.url(&name)).await;
        log.append(one("a-1", Expect::NoStream))
            .await
            .expect("appends");
        proxy.lose(what, "mark");
        let appends = (0..40).map(|n| {
            let expect = if n % 4 == 0 {
                Expect::Exists
            } else {
                Expect::NoStream
            };
            log.append(marked(&format!("b-{n}"), expect, "mark"))
        });
        let outcomes = join_all(appends).await;
        assert!(proxy.has_lost(), "{what:?}");
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.is_ok(), n % 4 != 0, "{what:?}: {outcome:?}");
        }
        let events = everything(&log).await;
        assert_eq!(events.len(), 31, "{what:?}");
        assert!(
            events
                .iter()
                .zip(1..)
                .all(|(event, n)| event.position.0 == n)
        );
    }
}

#[tokio::test]
async fn a_checkpoint_whose_answer_was_lost_has_moved_once() {
    let (proxy, (_, name)) = (Proxy::start(), database());
    let log = open(&proxy.url(&name)).await;
    for _ in 0..3 {
        log.append(one("a-1", Expect::Any)).await.expect("appends");
    }
    let head = log.head().await.expect("head");
    let at = |position| head.checkpoint(Position(position));
    log.store("view", None, at(1)).await.expect("stores");
    for (what, from, to) in [(Lose::Answer, 1, 2), (Lose::Request, 2, 3)] {
        proxy.lose(what, "view");
        log.store("view", Some(at(from)), at(to))
            .await
            .expect("stores");
        assert!(proxy.has_lost(), "{what:?}");
        assert_eq!(log.load("view").await.expect("loads"), Some(at(to)));
    }
    // Somebody else's move is not taken for one's own.
    log.store("view", Some(at(1)), at(3))
        .await
        .expect_err("refused");
}
