//! What is stored: damaged, refused, repeated, given up by its caller.

use futures_util::FutureExt;
use futures_util::future::join_all;
use ieum_eventstore::{ErrorKind, EventStore, Expect, Filter, Position, Version};

use super::server::{database, everything, new_log, one, open, positions, shared};

#[tokio::test]
async fn a_changed_byte_is_seen_at_the_next_read() {
    let (log, name) = new_log().await;
    for n in 1..=9 {
        log.append(one(&format!("a-{n}"), Expect::NoStream))
            .await
            .expect("appends");
    }
    let damages = [
        "SET data = replace(data, 'some', 'same') WHERE position = 1",
        "SET metadata = '{\"tenant\":\"x\"}' WHERE position = 2",
        "SET recorded_at = recorded_at + 1 WHERE position = 3",
        "SET type = 'y' WHERE position = 4",
        "SET id = gen_random_uuid() WHERE position = 5",
        "SET crc = crc + 1 WHERE position = 6",
        "SET tags = '[\"t\"]' WHERE position = 7",
        "SET stream = 'a-10' WHERE position = 8",
        "SET version = 2 WHERE position = 9",
    ];
    for (damage, before) in damages.into_iter().zip(0..) {
        shared()
            .sql(&name, &format!("UPDATE ieum_events {damage}"))
            .expect("damages");
        let read = log.read_all(Position(before), &Filter::default(), 1).await;
        let error = read.expect_err("must be seen");
        assert_eq!(error.kind(), &ErrorKind::Corrupt, "{damage}");
        let text = error.to_string();
        assert!(text.contains(&format!("event {}", before + 1)), "{text}");
    }
}

#[tokio::test]
async fn h18_a_full_disk_is_told_reads_go_on_and_appending_resumes() {
    let (log, name) = new_log().await;
    log.append(one("a-1", Expect::Any)).await.expect("appends");
    // The server's own answer when a file cannot grow.
    let full = "CREATE FUNCTION brim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER brim BEFORE INSERT ON ieum_events EXECUTE FUNCTION brim()";
    shared().sql(&name, full).expect("fills the disk");
    for refused in join_all((0..5).map(|_| log.append(one("a-1", Expect::Any)))).await {
        let refused = refused.expect_err("refused");
        assert_eq!(refused.kind(), &ErrorKind::Full, "{refused}");
        assert!(refused.retry().is_worthwhile());
    }
    assert_eq!(positions(&everything(&log).await), [1], "reads go on");
    shared()
        .sql(&name, "DROP TRIGGER brim ON ieum_events")
        .expect("frees");
    let resumed = log.append(one("a-1", Expect::Version(Version(1)))).await;
    assert_eq!(resumed.expect("resumes by itself").position, Position(2));
}

#[tokio::test]
async fn what_the_server_refuses_spoils_nobody_elses_append() {
    let (log, name) = new_log().await;
    let picky = "ALTER TABLE ieum_events ADD CONSTRAINT picky CHECK (type <> 'bad')";
    shared().sql(&name, picky).expect("constrains");
    let appends = (0..20).map(|n| {
        let mut append = one(&format!("a-{n}"), Expect::NoStream);
        if n == 7 {
            append.writes[0].events[0].kind = "bad".into();
        }
        log.append(append)
    });
    let outcomes = join_all(appends).await;
    let refused: Vec<usize> = (0..20).filter(|n| outcomes[*n].is_err()).collect();
    assert_eq!(refused, [7]);
    assert_eq!(
        positions(&everything(&log).await),
        (1..=19).collect::<Vec<_>>()
    );
    let mut nul = one("a-1", Expect::Any);
    nul.writes[0].events[0].tags = vec!["t\0".into()];
    let refused = log.append(nul).await.expect_err("refused");
    assert_eq!(refused.kind(), &ErrorKind::Invalid);
}

#[tokio::test]
async fn the_same_event_appended_by_several_at_once_is_there_once() {
    let (url, _) = database();
    let logs = [open(&url).await, open(&url).await];
    let append = one("a-1", Expect::NoStream);
    let race = (0..12).map(|n| logs[n % 2].append(append.clone()));
    let answers: Vec<_> = join_all(race)
        .await
        .into_iter()
        .map(|done| done.expect("appends"))
        .collect();
    assert!(answers.iter().all(|answer| answer.position == Position(1)));
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    assert_eq!(positions(&everything(&logs[0]).await), [1]);
}

#[tokio::test]
async fn an_append_whose_caller_went_away_is_there_once_or_not_at_all() {
    let (log, _) = new_log().await;
    let mut dropped = Vec::new();
    for n in 0..30 {
        let append = one(&format!("a-{n}"), Expect::NoStream);
        dropped.push(append.clone());
        let polled = log.append(append).now_or_never();
        assert!(polled.is_none());
        tokio::task::yield_now().await;
    }
    for append in dropped {
        log.append(append).await.expect("settles it");
    }
    assert_eq!(everything(&log).await.len(), 30);
}
