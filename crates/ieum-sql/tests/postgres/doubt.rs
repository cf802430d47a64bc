//! An answer that was lost leaves a doubt; the ids of the events settle it.

use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::Clock;
use ieum_eventstore::{
    Append, Checkpoints, ErrorKind, EventStore, Expect, NewEvent, Position, Version,
};
use ieum_sql::postgres::log;

use super::proxy::{Lose, Proxy};
use super::server::{database, everything, one, open, open_with, shared, stream};

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

#[tokio::test]
async fn what_the_server_refuses_after_a_lost_answer_leaves_the_append_unknown() {
    let (proxy, (_, name)) = (Proxy::start(), database());
    let log = open(&proxy.url(&name)).await;
    log.append(one("a-1", Expect::Any)).await.expect("appends");
    let full = "CREATE FUNCTION brim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER brim BEFORE INSERT ON ieum_events EXECUTE FUNCTION brim()";
    shared().sql(&name, full).expect("fills the disk");
    proxy.lose(Lose::Request, "in doubt");
    let doubted = log.append(marked("a-1", Expect::Any, "in doubt")).await;
    assert!(proxy.has_lost());
    let doubted = doubted.expect_err("refused");
    assert_eq!(doubted.kind(), &ErrorKind::Unavailable, "{doubted}");
    assert!(doubted.to_string().contains("unknown"), "{doubted}");
    let refused = log.append(one("a-1", Expect::Any)).await;
    assert_eq!(refused.expect_err("refused").kind(), &ErrorKind::Full);
}

#[tokio::test]
async fn what_found_no_place_in_time_was_not_appended_and_says_so() {
    let (url, _) = database();
    let config = log::Config {
        max_batch: 1,
        queue: 1,
        append_timeout: Duration::from_millis(300),
        ..log::Config::default()
    };
    let log = open_with(&url, config).await;
    let mut client = log.pool().get().await.expect("a connection");
    let holder = client.transaction().await.expect("begins");
    let hold = "SELECT 1 FROM ieum_log FOR UPDATE";
    holder.batch_execute(hold).await.expect("holds the log");
    let appends = (0..8).map(|n| log.append(one(&format!("a-{n}"), Expect::Any)));
    let answers = join_all(appends).await;
    let texts = answers.iter().map(|answer| {
        let error = answer.as_ref().expect_err("nothing can be appended");
        assert_eq!(error.kind(), &ErrorKind::Unavailable);
        error.to_string()
    });
    // One call at most was made and is in doubt; the others waited behind it.
    assert!(texts.filter(|text| text.contains("unknown")).count() <= 1);
    holder.rollback().await.expect("lets go");
}
