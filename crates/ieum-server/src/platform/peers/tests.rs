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
async fn the_others_say_what_they_heard_and_a_loss_is_told_once() {
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
        (gathered.heard.len(), gathered.lost)
    };
    assert_eq!(fresh().await, (2, false));
    theirs.shut_down(Duration::from_secs(5)).await;
    assert_eq!(fresh().await, (1, true));
    assert_eq!(fresh().await, (1, false), "it is known to be gone");
}
