//! The engine by its URL, and what it promises.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Tasks};
use ieum_messaging::{Broker, Capabilities, Deduplicates, Durable, Message, Result};

use crate::api::Api;
use crate::{Config, Publisher, Subscriber, doctor, queue};

/// The scheme of its URLs.
pub const SCHEME: &str = "sqs";

/// What topics on SNS and SQS promise.
pub const CAPABILITIES: Capabilities = Capabilities {
    engine: "Amazon SNS/SQS",
    durable: Durable::Synced,
    deduplicates: Deduplicates::Within(Duration::from_secs(300)),
    retains_history: false,
    parks_keys: false,
    looks_ahead: true,
    caveats: &[
        "a group gets what is published after it subscribed for the first time, and has 14 days to \
         read it",
        "a message has at most 252 KiB",
        "members of a group share its queue; the order is kept per key, and at most ten messages of a \
         key are delivered before one is acknowledged",
        "what a member had when it vanished comes again when its visibility ends (30 s unless the \
         URL says otherwise)",
        "a dead letter leaves its queue alone: what follows on its key is delivered",
        "an id is known for 5 minutes: what is published again later is delivered again, and inboxes \
         drop it",
    ],
};

/// Connects to the services at `url`, or says what is wrong with it. Every call stands for itself, so
/// nothing has to be connected again later. Connections end with `tasks`.
pub async fn connect(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<Broker> {
    connect_with(Config::from_url(url)?, clock, tasks).await
}

/// The same with other settings.
pub async fn connect_with(config: Config, clock: &Clock, tasks: &Tasks) -> Result<Broker> {
    let api = Arc::new(Api::new(config, clock, tasks));
    doctor::look(&api).await?;
    let publisher = Arc::new(Publisher::new(Arc::clone(&api)));
    let subscriber = Arc::new(Subscriber::new(api, Arc::clone(&publisher)));
    Ok(Broker {
        publisher,
        subscriber,
        capabilities: CAPABILITIES,
    })
}

/// The first dead letters of a group, at most ten, each with its reason. They stay where they are.
pub async fn dead_letters(
    url: &EngineUrl,
    clock: &Clock,
    tasks: &Tasks,
    topic: &str,
    group: &str,
) -> Result<Vec<(Message, String)>> {
    let api = Api::new(Config::from_url(url)?, clock, tasks);
    queue::dead_letters(&api, topic, group).await
}
