//! One server for all tests of this binary, and engines on it.

use std::sync::OnceLock;
use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Secret};
use ieum_messaging::{Delivery, Message, Subscription};
use ieum_nats::{Config, Engine};
use ieum_testkit::engines::Nats;
use serde_json::json;

/// The server that is never killed. Each test has a namespace of its own.
pub(crate) fn shared() -> &'static Nats {
    static SERVER: OnceLock<Nats> = OnceLock::new();
    SERVER.get_or_init(|| Nats::start().expect("nats-server"))
}

/// The URL of `server` with a path and parameters.
pub(crate) fn url(server: &Nats, rest: &str) -> EngineUrl {
    format!("{}{rest}", server.url()).parse().expect("a URL")
}

/// The same with another password.
pub(crate) fn url_with_password(server: &Nats, password: &str) -> EngineUrl {
    url(server, "").with_password(Secret::new(password.to_owned()))
}

/// An engine on `server`: one process.
pub(crate) async fn engine(server: &Nats, rest: &str) -> Engine {
    open(&url(server, rest)).await
}

/// An engine at `url`.
pub(crate) async fn open(url: &EngineUrl) -> Engine {
    let config = Config::from_url(url).expect("a configuration");
    ieum_nats::open(url, config, &Clock::system())
        .await
        .expect("a connection")
}

/// NATS' own client, for what somebody else does.
pub(crate) async fn client(server: &Nats) -> async_nats::Client {
    let url = url(server, "");
    let password = url.password().expect("a password").expose().clone();
    let options = async_nats::ConnectOptions::new();
    let options = options.user_and_password("ieum".to_owned(), password);
    let client = options
        .connect(format!("127.0.0.1:{}", server.port()))
        .await;
    client.expect("a connection")
}

/// A message of a key.
pub(crate) fn message(id: &str, key: &str) -> Message {
    let message = Message::new("/things", id, "thing.happened", &json!({ "n": id }));
    message.expect("JSON").with_key(key)
}

/// The next `count` messages of a subscription, at once.
pub(crate) async fn next(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<Delivery> {
    let reading = async {
        loop {
            match subscription.next(count).await {
                Ok(read) if read.len() >= count => return read,
                Ok(_) | Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
    read.expect("the messages come")
}
