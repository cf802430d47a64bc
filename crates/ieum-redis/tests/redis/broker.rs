//! The suite of brokers, and what is particular to streams.

use std::sync::{Arc, Mutex};

use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_messaging::conformance::{BrokerUnderTest, Connection, broker_names, run_broker};
use ieum_messaging::{Broker, Deduplicates, Durable, ErrorKind, Message};
use ieum_redis::CAPABILITIES;
use ieum_testkit::conformance::record;
use ieum_testkit::engines::Redis;
use redis::streams::StreamRangeReply;
use serde_json::json;

use super::server::{connect as connect_to, own, url};

/// Ends the tasks of a process with it.
struct Process(Tasks);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.stop().request();
    }
}

async fn connect(url: &EngineUrl) -> (Broker, Process) {
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_redis::connect(url, &Clock::system(), &tasks)
        .await
        .expect("connected");
    (broker, Process(tasks))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_keeps_its_promises() {
    let server = Arc::new(Mutex::new(own()));
    let url = url(&server.lock().expect("a lock"), "?lease=3s&prefix=suite:");
    let connecting = {
        let url = url.clone();
        move || {
            let url = url.clone();
            Box::pin(async move {
                let (broker, process) = connect(&url).await;
                let process = Box::new(process);
                Connection { broker, process }
            }) as _
        }
    };
    let letters = {
        let url = url.clone();
        move |topic, group| Box::pin(dead_letters(url.clone(), topic, group)) as _
    };
    let restarted = url.clone();
    let outage = move || Box::pin(restart(Arc::clone(&server), restarted.clone())) as _;
    let engine = BrokerUnderTest::new(connecting, letters);
    let report = run_broker(engine.with_outage(outage)).await;
    let engine = CAPABILITIES.engine;
    record(
        "broker",
        engine,
        &report.passed,
        &report.failed,
        &report.skipped,
    );
    assert_eq!(report.failed, []);
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed, broker_names());
}

/// Kills the server, starts it again, and waits until it has read its data.
async fn restart(server: Arc<Mutex<Redis>>, url: EngineUrl) {
    let restarted = tokio::task::spawn_blocking(move || {
        let mut server = server.lock().expect("a lock");
        server.kill().expect("killed");
        server.start_again().expect("started again");
    });
    restarted.await.expect("restarted");
    let (connection, tasks) = connect_to(&url).await;
    drop(connection);
    tasks.stop().request();
}

async fn dead_letters(url: EngineUrl, topic: String, group: String) -> Vec<(String, String)> {
    let mut plain = plain(&url).await;
    let key = format!("suite:{topic}-{group}.dead");
    let range = redis::cmd("XRANGE").arg(key).arg("-").arg("+").to_owned();
    let letters: StreamRangeReply = range.query_async(&mut plain).await.expect("letters");
    let letter = |entry: &redis::streams::StreamId| {
        let event: String = entry.get("event").expect("an event");
        let message: Message = serde_json::from_str(&event).expect("a message");
        (message.id, entry.get("reason").expect("a reason"))
    };
    letters.ids.iter().map(letter).collect()
}

/// A connection with nothing of ours.
pub(crate) async fn plain(url: &EngineUrl) -> redis::aio::MultiplexedConnection {
    let server = url.expose().expose().split('?').next().map(str::to_owned);
    let client = redis::Client::open(server.expect("a URL")).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("a plain connection")
}

fn message(n: u32) -> Message {
    Message::new("/orders", n.to_string(), "order.placed", &json!({"n": n})).expect("a message")
}

#[tokio::test]
async fn what_a_group_has_not_acknowledged_is_never_trimmed() {
    let server = own();
    let url = url(&server, "?retain=50&most=2000");
    let (broker, _process) = connect(&url).await;
    let mut slow = broker
        .subscriber
        .subscribe("t", "slow", "m")
        .await
        .expect("subscribed");
    let mut fast = broker
        .subscriber
        .subscribe("t", "fast", "m")
        .await
        .expect("subscribed");
    let publish = async |n: u32| {
        let batch: Vec<_> = (n..n + 100).map(message).collect();
        broker.publisher.publish("t", &batch).await
    };
    for n in 0..10 {
        publish(n * 100).await.expect("published");
        let read = fast.next(100).await.expect("read");
        fast.ack(read.last().expect("one"))
            .await
            .expect("acknowledged");
    }
    let mut plain = plain(&url).await;
    let mut length = async || {
        let mut length = redis::cmd("XLEN");
        length
            .arg("ieum:t")
            .query_async::<u64>(&mut plain)
            .await
            .expect("a length")
    };
    assert_eq!(length().await, 1_000, "the slow group needs all of it");
    let mut read = 0;
    while read < 1_000 {
        let page = slow.next(100).await.expect("read");
        slow.ack(page.last().expect("one"))
            .await
            .expect("acknowledged");
        read += page.len();
    }
    for n in 10..15 {
        publish(n * 100).await.expect("published");
    }
    let kept = length().await;
    assert!((500..1_000).contains(&kept), "{kept} are kept");
    assert_eq!(slow.next(500).await.expect("read")[0].message.id, "1000");
}

#[tokio::test]
async fn a_topic_that_nobody_reads_is_bounded_and_refuses() {
    let server = own();
    let (broker, _process) = connect(&url(&server, "?most=10")).await;
    let batch: Vec<_> = (0..8).map(message).collect();
    broker
        .publisher
        .publish("t", &batch)
        .await
        .expect("published");
    let more: Vec<_> = (8..12).map(message).collect();
    let full = broker
        .publisher
        .publish("t", &more)
        .await
        .expect_err("full");
    assert_eq!(full.kind(), ErrorKind::Full);
    broker
        .publisher
        .publish("t", &batch)
        .await
        .expect("known already");
    broker
        .publisher
        .publish("t", &more[..2])
        .await
        .expect("there is room");
}

#[tokio::test]
async fn a_server_says_what_it_does_not_promise() {
    for (settings, durable, caveat) in [
        (
            vec![("appendonly", "yes"), ("appendfsync", "always")],
            Durable::Synced,
            "One server",
        ),
        (
            vec![("appendonly", "yes"), ("appendfsync", "everysec")],
            Durable::Memory,
            "two seconds",
        ),
        (
            vec![("appendonly", "yes"), ("appendfsync", "no")],
            Durable::Written,
            "power cut",
        ),
        (vec![], Durable::Memory, "`appendonly` is off"),
        (
            vec![("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")],
            Durable::Memory,
            "evicts keys",
        ),
    ] {
        let server = Redis::with(&settings).expect("a server");
        let (broker, _process) = connect(&url(&server, "?window=5s")).await;
        let capabilities = broker.capabilities;
        assert_eq!(capabilities.durable, durable, "{settings:?}");
        let said = capabilities.caveats.join(" ");
        assert!(said.contains(caveat), "{settings:?}: {said}");
        let window = Deduplicates::Within(std::time::Duration::from_secs(5));
        assert_eq!(capabilities.deduplicates, window);
    }
}

/// What somebody else added by mistake becomes a dead letter, and holds up nothing.
#[tokio::test]
async fn an_entry_that_is_no_message_holds_up_nobody() {
    let server = own();
    let url = url(&server, "");
    let (broker, _process) = connect(&url).await;
    let mut plain = plain(&url).await;
    broker
        .publisher
        .publish("t", &[message(1)])
        .await
        .expect("published");
    for (field, value) in [("other", "x"), ("event", "not JSON"), ("event", "{}")] {
        let mut add = redis::cmd("XADD");
        add.arg("ieum:t").arg("*").arg(field).arg(value);
        add.query_async::<String>(&mut plain).await.expect("added");
    }
    broker
        .publisher
        .publish("t", &[message(2)])
        .await
        .expect("published");
    let mut group = broker
        .subscriber
        .subscribe("t", "g", "m")
        .await
        .expect("subscribed");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let page = group.next(10).await.expect("read");
        if let Some(last) = page.last() {
            group.ack(last).await.expect("acknowledged");
        }
        seen.extend(page.into_iter().map(|delivery| delivery.message.id));
    }
    assert_eq!(seen, ["1", "2"]);
    let mut letters = redis::cmd("XLEN");
    letters.arg("ieum:t-g.dead");
    assert_eq!(
        letters
            .query_async::<u32>(&mut plain)
            .await
            .expect("a length"),
        3
    );
}

/// Other languages read the stream with `XRANGE`: structured CloudEvents in a field.
#[tokio::test]
async fn a_stream_holds_cloud_events_that_others_can_read() {
    let server = own();
    let url = url(&server, "");
    let (broker, _process) = connect(&url).await;
    let sent = message(1).with_key("o-1").with_subject("o-1");
    broker
        .publisher
        .publish("order.events", &[sent])
        .await
        .expect("published");
    let mut plain = plain(&url).await;
    let range = redis::cmd("XRANGE")
        .arg("ieum:order.events")
        .arg("-")
        .arg("+")
        .to_owned();
    let found: StreamRangeReply = range.query_async(&mut plain).await.expect("read");
    let entry = &found.ids[0];
    assert_eq!(entry.get::<String>("key").as_deref(), Some("o-1"));
    let event: serde_json::Value =
        serde_json::from_str(&entry.get::<String>("event").expect("an event")).expect("JSON");
    let expected = json!({
        "specversion": "1.0", "id": "1", "source": "/orders", "type": "order.placed",
        "subject": "o-1", "partitionkey": "o-1", "data": {"n": 1},
    });
    assert_eq!(event, expected);
}
