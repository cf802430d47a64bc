//! The mirror between two brokers in memory: one is the broker, the other stands for the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::testing::pass;
use ieum_messaging::memory::Broker;
use ieum_messaging::{DeadLetterFilter, Groups, Inspect};

use super::*;

const TOPIC: &str = "order.events";

/// A log that can be away, and that refuses messages of one type.
struct Log {
    broker: Broker,
    away: AtomicBool,
}

#[async_trait]
impl Publisher for Log {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "publishing"));
        }
        if messages.iter().any(|message| message.kind == "poison") {
            return Err(Error::new(ErrorKind::Invalid, "a message of this type"));
        }
        self.broker.publish(topic, messages).await
    }
}

/// A broker, a log, and platforms that copy from one to the other.
struct Bench {
    broker: Broker,
    log: Arc<Log>,
}

impl Bench {
    fn new() -> Self {
        let log = Log {
            broker: Broker::default(),
            away: AtomicBool::new(false),
        };
        Self {
            broker: Broker::default(),
            log: Arc::new(log),
        }
    }

    /// A platform called `member` that copies [`TOPIC`], until the stop of the tasks.
    fn platform(&self, member: &str) -> (Tasks, Status) {
        let mirror = Mirror {
            from: Arc::new(self.broker.clone()),
            to: Arc::<Log>::clone(&self.log),
            member: member.to_owned(),
            clock: Clock::system(),
            rng: Rng::seeded(1),
            status: Status::default(),
        };
        let (tasks, status) = (Tasks::new(Stop::new()), mirror.status.clone());
        let run = mirror.run(|| BTreeSet::from([TOPIC.to_owned()]), tasks.clone());
        tasks.spawn(TaskKind::Essential, "mirror", run);
        (tasks, status)
    }

    async fn publish(&self, ids: &[&str], kind: &str) {
        for id in ids {
            let message = Message::new("/shop", *id, kind, &id).expect("json");
            let published = self
                .broker
                .publish(TOPIC, &[message.with_key("order-1")])
                .await;
            published.expect("published");
        }
    }

    /// The ids of the messages in the log, in order.
    async fn copied(&self) -> Vec<String> {
        let log = &self.log.broker;
        let epoch = log.join(TOPIC, "readers", "reader").await.expect("joined");
        let pulled = log.pull(TOPIC, "readers", epoch, 100, Duration::ZERO).await;
        let pulled = pulled.expect("pulled").into_iter();
        pulled.map(|delivery| delivery.message.id).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_published_at_the_broker_is_in_the_log_in_order() {
    let bench = Bench::new();
    bench.publish(&["a", "b"], "order.placed").await;
    let (_tasks, status) = bench.platform("one");
    pass(Duration::from_secs(1)).await;
    bench.publish(&["c"], "order.placed").await;
    pass(Duration::from_secs(1)).await;
    assert_eq!(bench.copied().await, ["a", "b", "c"]);
    assert_eq!(status.here(), [TOPIC]);
    assert_eq!(status.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_away_gets_everything_once() {
    let bench = Bench::new();
    let (_tasks, status) = bench.platform("one");
    bench.log.away.store(true, Ordering::SeqCst);
    bench.publish(&["a", "b"], "order.placed").await;
    pass(Duration::from_secs(30)).await;
    let stuck = status.check().expect_err("it stands still");
    assert!(stuck.contains(TOPIC), "{stuck}");
    bench.log.away.store(false, Ordering::SeqCst);
    pass(Duration::from_secs(30)).await;
    assert_eq!(bench.copied().await, ["a", "b"]);
    assert_eq!(status.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_the_log_can_never_take_is_a_dead_letter_at_the_broker() {
    let bench = Bench::new();
    bench.publish(&["a"], "order.placed").await;
    let poison = Message::new("/shop", "b", "poison", &()).expect("json");
    let poison = bench
        .broker
        .publish(TOPIC, &[poison.with_key("order-2")])
        .await;
    poison.expect("published");
    bench.publish(&["c"], "order.placed").await;
    let (_tasks, _) = bench.platform("one");
    pass(Duration::from_secs(5)).await;
    assert_eq!(bench.copied().await, ["a", "c"]);
    let letters = bench
        .broker
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await;
    let letters = letters.expect("letters");
    let ids: Vec<_> = letters
        .iter()
        .map(|l| (l.group.as_str(), l.message.id.as_str()))
        .collect();
    assert_eq!(ids, [(GROUP, "b")]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_dead_letter_is_not_copied_before_it() {
    let bench = Bench::new();
    bench.publish(&["a"], "poison").await;
    bench.publish(&["b", "c"], "order.placed").await;
    let (_tasks, _) = bench.platform("one");
    pass(Duration::from_secs(5)).await;
    assert_eq!(bench.copied().await, Vec::<String>::new());
    let every = DeadLetterFilter::default();
    let letters = bench.broker.dead_letters(&every, 10);
    let ids = letters.await.expect("letters").into_iter();
    let ids: Vec<_> = ids.map(|letter| letter.message.id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_platforms_one_copies_and_the_other_takes_over() {
    let bench = Bench::new();
    let (first, here) = bench.platform("one");
    pass(Duration::from_secs(1)).await;
    let (_second, elsewhere) = bench.platform("two");
    bench.publish(&["a"], "order.placed").await;
    pass(Duration::from_secs(3)).await;
    assert_eq!((here.here().len(), elsewhere.here().len()), (1, 0));
    first.shut_down(Duration::from_secs(1)).await;
    bench.publish(&["b"], "order.placed").await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(elsewhere.here(), [TOPIC]);
    assert_eq!(bench.copied().await, ["a", "b"]);
}
