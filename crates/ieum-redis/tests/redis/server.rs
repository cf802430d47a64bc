//! The servers that the tests share.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_redis::Connection;
use ieum_testkit::engines::Redis;

/// The server that nobody breaks.
pub(crate) fn calm() -> EngineUrl {
    static SERVER: OnceLock<Mutex<Redis>> = OnceLock::new();
    url(&lock(&SERVER), "")
}

/// The URL of a server, with parameters.
pub(crate) fn url(server: &Redis, parameters: &str) -> EngineUrl {
    let text = format!("{}{parameters}", server.url());
    text.parse().expect("a URL")
}

/// A server of its own.
pub(crate) fn own() -> Redis {
    Redis::start().expect("a server")
}

/// A connection, and the tasks that it lives in.
pub(crate) async fn connect(url: &EngineUrl) -> (Connection, Tasks) {
    let tasks = Tasks::new(Stop::new());
    let connection = Connection::open(url, &Clock::system(), &tasks).await;
    (connection.expect("a connection"), tasks)
}

/// Waits until `holds`, at most half a minute.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let waiting = async {
        while !holds().await {
            look.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited.unwrap_or_else(|_| panic!("not within 30 s: {what}"));
}

fn lock(server: &'static OnceLock<Mutex<Redis>>) -> MutexGuard<'static, Redis> {
    let server = server.get_or_init(|| Mutex::new(own()));
    server.lock().unwrap_or_else(PoisonError::into_inner)
}
