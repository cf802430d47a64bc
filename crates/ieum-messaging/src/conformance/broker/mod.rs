//! Topics on a broker, through the ports `Publisher`, `Subscriber` and `Subscription` only.
//!
//! Cases are selected by the engine's [`Capabilities`]; what is left out is told with its reason, so
//! that a table of engines and cases shows it. Each case acts as several processes do: every member
//! has a connection of its own. Only the order per key is asked for, never an order between keys.

mod consuming;
mod dead_letters;
mod membership;
mod outage;
mod publishing;
mod room;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::room::{Case, Need, Room};
use super::Report;
use super::kit::Failure;
use crate::{Broker, Capabilities, Deduplicates};

/// An engine under test: what the suite does to it beyond its ports.
pub struct BrokerUnderTest {
    connect: Arc<Connect>,
    dead_letters: Arc<ListDeadLetters>,
    outage: Option<Arc<Outage>>,
    freed_within: Duration,
    unproven: Vec<(&'static str, &'static str)>,
    only: Option<String>,
}

/// What one process has of a broker. Dropping it is the sudden end of the process.
pub struct Connection {
    /// Its ports.
    pub broker: Broker,
    /// What else ends with the process, like its tasks.
    pub process: Box<dyn Send + Sync>,
}

/// Connects one more process to one and the same broker.
pub type Connect = dyn Fn() -> BoxFuture<'static, Connection> + Send + Sync;

/// Lists the dead letters of a topic's group in order: id of the message, and the reason.
pub type ListDeadLetters =
    dyn Fn(String, String) -> BoxFuture<'static, Vec<(String, String)>> + Send + Sync;

/// Breaks all connections, like a server that is killed and started again; returns when the server
/// takes connections again.
pub type Outage = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

impl BrokerUnderTest {
    /// An engine that is reached by `connect`, and whose dead letters are read by `dead_letters`.
    pub fn new(
        connect: impl Fn() -> BoxFuture<'static, Connection> + Send + Sync + 'static,
        dead_letters: impl Fn(String, String) -> BoxFuture<'static, Vec<(String, String)>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            connect: Arc::new(connect),
            dead_letters: Arc::new(dead_letters),
            outage: None,
            freed_within: Duration::from_secs(15),
            unproven: Vec::new(),
            only: None,
        }
    }

    /// The same with a way to break its connections.
    #[must_use]
    pub fn with_outage(
        mut self,
        outage: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        self.outage = Some(Arc::new(outage));
        self
    }

    /// The same with the longest time until a member that vanished frees its group. Default 15 s.
    #[must_use]
    pub const fn freed_within(mut self, longest: Duration) -> Self {
        self.freed_within = longest;
        self
    }

    /// The same without a case that cannot be shown here, and why.
    #[must_use]
    pub fn without(mut self, case: &'static str, why: &'static str) -> Self {
        self.unproven.push((case, why));
        self
    }
}

impl BrokerUnderTest {
    /// The same with those cases only whose name contains `part`, while somebody looks for a fault;
    /// all others are left out.
    #[must_use]
    pub fn only(mut self, part: Option<String>) -> Self {
        self.only = part;
        self
    }
}

impl std::fmt::Debug for BrokerUnderTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerUnderTest")
            .field("freed_within", &self.freed_within)
            .field("unproven", &self.unproven)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}

/// The names of all cases.
pub fn names() -> Vec<&'static str> {
    cases().map(|case| case.name).collect()
}

/// Runs every case that the engine's capabilities select; each has names of its own. Every case is
/// in exactly one of the report's lists.
pub async fn run(engine: BrokerUnderTest) -> Report {
    let mut report = Report::default();
    let capabilities = (engine.connect)().await.broker.capabilities;
    let engine = Arc::new(engine);
    for case in cases() {
        if let Some(why) = skipped(case, &engine, &capabilities) {
            report.skipped.push((case.name, why));
            continue;
        }
        let begun = tokio::time::Instant::now();
        let room = Room::new(Arc::clone(&engine), capabilities.clone()).await;
        let ran = tokio::time::timeout(LONGEST, (case.run)(room)).await;
        tracing::info!(case = case.name, took = ?begun.elapsed(), "a case ran");
        match ran {
            Ok(Ok(())) => report.passed.push(case.name),
            Ok(Err(Failure(why))) => report.failed.push((case.name, why)),
            Err(_) => report
                .failed
                .push((case.name, format!("not within {LONGEST:?}"))),
        }
    }
    report
}

fn cases() -> impl Iterator<Item = &'static Case> {
    let parts = [
        publishing::CASES,
        consuming::CASES,
        membership::CASES,
        dead_letters::CASES,
        outage::CASES,
    ];
    parts.into_iter().flatten()
}

/// Why a case is left out, if it is.
fn skipped(case: &Case, engine: &BrokerUnderTest, can: &Capabilities) -> Option<String> {
    let is_wanted = |part: &String| case.name.contains(part);
    if !engine.only.as_ref().is_none_or(is_wanted) {
        return Some("not asked for".to_owned());
    }
    let unproven = engine.unproven.iter().find(|(name, _)| *name == case.name);
    if let Some((_, why)) = unproven {
        return Some((*why).to_owned());
    }
    let why = match case.need {
        Need::Nothing => return None,
        Need::Deduplicates if can.deduplicates != Deduplicates::Not => return None,
        Need::Deduplicates => "a message published again is added again; inboxes drop it",
        Need::RetainsHistory if can.retains_history => return None,
        Need::RetainsHistory => "a new group gets what is published from then on",
        Need::ParksKeys if can.parks_keys => return None,
        Need::ParksKeys => "what follows a dead letter on its key is delivered",
        Need::LooksAhead if can.looks_ahead => return None,
        Need::LooksAhead => "a subscription does not look behind what is not acknowledged",
        Need::Outage if engine.outage.is_some() => return None,
        Need::Outage => "there is no connection that could break",
    };
    Some(why.to_owned())
}

/// The longest that one case may take.
const LONGEST: Duration = Duration::from_secs(90);

/// A case's future.
type Running = Pin<Box<dyn Future<Output = super::kit::Verdict> + Send>>;
