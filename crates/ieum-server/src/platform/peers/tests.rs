//! Other platforms that answer, and that stop answering.

use axum::routing::get;
use axum::{Json, Router};
use ieum_base::{Stop, TaskKind};
use ieum_discovery::CheckId;
use tokio::net::TcpListener;

use super::*;

/// A platform that heard of `check` a second ago; it ends with the tasks.
async fn platform(check: &'static str, tasks: &Tasks) -> Member {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let name = listener.local_addr().expect("an address").to_string();
    let answer = async move || {
        Json(Heard {
            checks: [(CheckId(check.to_owned()), 1_000)].into(),
            ..Heard::default()
        })
    };
    let router = Router::new().route(paths::HEARD, get(answer));
    let stop = tasks.stop().clone();
    tasks.spawn(TaskKind::Background, "peer", async move {
        let serving = axum::serve(listener, router).into_future();
        stop.unless_requested(serving).await;
    });
    Member {
        name,
        own: false,
        alive: true,
    }
}

#[tokio::test]
async fn the_others_say_what_they_heard_and_a_loss_is_told_to_all_who_ask() {
    let (mine, theirs) = (Tasks::new(Stop::new()), Tasks::new(Stop::new()));
    let (one, two) = (platform("a", &mine).await, platform("b", &theirs).await);
    let own = Member {
        name: "127.0.0.1:1".to_owned(),
        own: true,
        alive: true,
    };
    let members = vec![own, one, two];
    let others = Others::of(Arc::new(move || members.clone()), None, &mine);
    let fresh = async || {
        *others.last.lock().await = None;
        let gathered = others.gather().await;
        (gathered.heard.len(), gathered.losses)
    };
    assert_eq!(fresh().await, (2, 0));
    theirs.shut_down(Duration::from_secs(5)).await;
    assert_eq!(fresh().await, (1, 1));
    assert_eq!(fresh().await, (1, 1), "it is known to be gone");
}

#[test]
fn who_began_anew_or_never_answered_is_a_loss_once() {
    let mut known = Known::default();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let runs = |runs: &[(&str, u128)]| {
        let runs = runs.iter();
        runs.map(|(name, run)| ((*name).to_owned(), Uuid::from_u128(*run)))
            .collect()
    };
    assert_eq!(known.learn(names(&["a"]), runs(&[("a", 1)])), 0);
    assert_eq!(known.learn(names(&["a"]), runs(&[("a", 1)])), 0);
    // It was killed and is back under its name: what it had heard is gone.
    assert_eq!(known.learn(names(&["a"]), runs(&[("a", 2)])), 1);
    // Another one joined, heard something, and died before it was ever asked.
    assert_eq!(known.learn(names(&["a", "b"]), runs(&[("a", 2)])), 2);
    assert_eq!(known.learn(names(&["a", "b"]), runs(&[("a", 2)])), 2);
    assert_eq!(known.learn(names(&["a"]), runs(&[("a", 2)])), 2);
}
