//! Hazards: zombies, restores, a server that is killed under load.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ieum_messaging::consumer::{Consumer, HandlerError};
use ieum_messaging::{DeadLetterFilter, Delivery, ErrorKind, Groups as _, Inspect, Publisher as _};
use ieum_messaging::{Subscriber as _, Subscription};
use ieum_testkit::engines::Nats;
use tokio::time::Instant;

use crate::server::{client, engine, message, next, open, shared, url};

const TOPIC: &str = "things";
const GROUP: &str = "readers";

/// H13: a worker stands still past its lease; its successor works; whatever the first one does late
/// is refused, and nothing of it is left.
#[tokio::test(flavor = "multi_thread")]
async fn h13_whatever_a_zombie_does_late_is_refused() {
    let rest = "/h13?lease=500ms";
    let (zombie, owner) = (engine(shared(), rest).await, engine(shared(), rest).await);
    let batch: Vec<_> = (1..=4).map(|n: u32| message(&n.to_string(), "a")).collect();
    zombie
        .publisher()
        .publish(TOPIC, &batch)
        .await
        .expect("published");
    let groups = zombie.groups();
    let late = groups.join(TOPIC, GROUP, "one").await.expect("joined");
    let read = groups
        .pull(TOPIC, GROUP, late, 4, Duration::ZERO)
        .await
        .expect("read");
    let others = owner.groups();
    let begun = Instant::now();
    let epoch = loop {
        match others.join(TOPIC, GROUP, "two").await {
            Ok(epoch) => break epoch,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "it is never freed"
        );
        tokio::task::yield_now().await;
    };
    assert!(begun.elapsed() >= Duration::from_millis(500), "too early");
    assert!(epoch > late);
    let at = read[1].position;
    let answers = [
        groups.ack(TOPIC, GROUP, late, at).await,
        groups.dead_letter(TOPIC, GROUP, late, at, "no").await,
        groups
            .pull(TOPIC, GROUP, late, 0, Duration::ZERO)
            .await
            .map(drop),
        groups
            .pull(TOPIC, GROUP, late, 4, Duration::ZERO)
            .await
            .map(drop),
        groups
            .pull_after(TOPIC, GROUP, late, at, 4, Duration::ZERO)
            .await
            .map(drop),
    ];
    for answer in answers {
        let error = answer.expect_err("a zombie");
        assert_eq!(error.kind(), ErrorKind::Superseded, "{error}");
    }
    let read = others
        .pull(TOPIC, GROUP, epoch, 9, Duration::ZERO)
        .await
        .expect("read");
    assert_eq!(read.len(), 4, "nothing was acknowledged");
    others
        .ack(TOPIC, GROUP, epoch, read[3].position)
        .await
        .expect("acknowledged");
    let filter = DeadLetterFilter {
        topic: Some(TOPIC.to_owned()),
        group: Some(GROUP.to_owned()),
    };
    let letters = owner
        .inspect()
        .dead_letters(&filter, 9)
        .await
        .expect("listed");
    assert!(letters.is_empty(), "{letters:?}");
}

/// A worker that is alive and idle keeps its group, however long nothing comes.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_keeps_its_group() {
    let rest = "/idle?lease=300ms";
    let (one, two) = (engine(shared(), rest).await, engine(shared(), rest).await);
    let (worker, standby) = (one.groups(), two.groups());
    let epoch = worker.join(TOPIC, GROUP, "one").await.expect("joined");
    let idle = worker.pull(TOPIC, GROUP, epoch, 9, Duration::from_secs(2));
    let refused = async {
        let begun = Instant::now();
        let mut refused = 0;
        while begun.elapsed() < Duration::from_millis(1_800) {
            let error = standby.join(TOPIC, GROUP, "two").await.expect_err("busy");
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            refused += 1;
            tokio::task::yield_now().await;
        }
        refused
    };
    let (read, refused) = tokio::join!(idle, refused);
    assert_eq!(read.expect("nothing came").len(), 0);
    assert!(refused > 10, "{refused}");
    worker
        .ack(TOPIC, GROUP, epoch, 0)
        .await
        .expect("still its term");
}

/// H35: the stream was made anew, or is a restored one: a checkpoint of another never skips.
#[tokio::test(flavor = "multi_thread")]
async fn h35_a_checkpoint_of_another_stream_is_refused() {
    let engine = engine(shared(), "/h35").await;
    let publisher = engine.publisher();
    let context = async_nats::jetstream::new(client(shared()).await);
    for (topic, again) in [("fewer", 2), ("more", 9)] {
        let batch = |from: u32, count: u32| {
            let numbers = from..from + count;
            numbers
                .map(|n| message(&n.to_string(), "a"))
                .collect::<Vec<_>>()
        };
        publisher
            .publish(topic, &batch(1, 5))
            .await
            .expect("published");
        let groups = engine.groups();
        let epoch = groups.join(topic, GROUP, "one").await.expect("joined");
        let read = groups
            .pull(topic, GROUP, epoch, 9, Duration::ZERO)
            .await
            .expect("read");
        groups
            .ack(topic, GROUP, epoch, read[4].position)
            .await
            .expect("acknowledged");
        let joined = groups.join(topic, GROUP, "one").await;
        joined.expect("the same stream is no other");
        let stream = format!("h35-{topic}");
        context.delete_stream(&stream).await.expect("deleted");
        let other = crate::server::engine(shared(), "/h35").await;
        other
            .publisher()
            .publish(topic, &batch(100, again))
            .await
            .expect("published");
        let error = other
            .groups()
            .join(topic, GROUP, "one")
            .await
            .expect_err(topic);
        assert!(error.to_string().contains("made anew"), "{error}");
        // What the error says to do.
        let bucket = context.get_key_value("h35-groups").await.expect("a bucket");
        bucket
            .delete(format!("{topic}.{GROUP}"))
            .await
            .expect("deleted");
        let groups = other.groups();
        let epoch = groups.join(topic, GROUP, "one").await.expect("joined");
        let read = groups
            .pull(topic, GROUP, epoch, 99, Duration::ZERO)
            .await
            .expect("read");
        assert_eq!(read.len() as u32, again, "{topic}");
    }
}

/// What one consumer did, as its database would have it: the inbox and the effects.
#[derive(Default)]
struct Book {
    done: HashSet<String>,
    effects: BTreeMap<String, Vec<u32>>,
    twice: usize,
}

/// The server is killed again and again while messages are published and handled: what was
/// acknowledged is there, effects happen once through the inbox, in order per key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_loses_nothing_that_was_acknowledged() {
    const KILLS: usize = 5;
    const KEYS: u32 = 8;
    let server = Arc::new(Mutex::new(Nats::start().expect("nats-server")));
    let at = {
        let server = server.lock().unwrap_or_else(PoisonError::into_inner);
        url(&server, "/load?lease=2s&answer=1s")
    };
    let ended = Arc::new(AtomicBool::new(false));
    let publishing = publish_until(open(&at).await, Arc::clone(&ended), KEYS);
    let killing = async {
        for _ in 0..KILLS {
            Box::pin(worked_a_while()).await;
            let server = Arc::clone(&server);
            let restart = move || {
                let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
                server.kill().expect("killed");
                server.start_again().expect("started again");
            };
            tokio::task::spawn_blocking(restart)
                .await
                .expect("restarted");
        }
        worked_a_while().await;
        ended.store(true, Ordering::SeqCst);
    };
    let book = Arc::new(Mutex::new(Book::default()));
    let tasks = ieum_base::Tasks::new(ieum_base::Stop::new());
    let consumers: Vec<_> = ["one", "two"].into_iter().collect();
    for member in consumers {
        let subscriber = Arc::new(open(&at).await.subscriber());
        let book = Arc::clone(&book);
        Consumer::new(subscriber, GROUP, member)
            .topic(TOPIC)
            .on("thing.happened", move |delivery: Delivery| {
                let book = Arc::clone(&book);
                async move { handle(&book, &delivery) }
            })
            .spawn(&tasks);
    }
    let (acknowledged, ()) = tokio::join!(publishing, killing);
    let total: usize = acknowledged.values().map(Vec::len).sum();
    let begun = Instant::now();
    loop {
        let done = book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .done
            .len();
        if done >= total {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{done} of {total}"
        );
        tokio::task::yield_now().await;
    }
    tasks.shut_down(Duration::from_secs(10)).await;
    let book = book.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{total} acknowledged over {KILLS} kills; {} delivered again",
        book.twice
    );
    for (key, wanted) in &acknowledged {
        let effects = &book.effects[key];
        let kept: Vec<u32> = effects
            .iter()
            .copied()
            .filter(|n| wanted.contains(n))
            .collect();
        assert_eq!(&kept, wanted, "{key}");
        assert!(
            effects.windows(2).all(|pair| pair[0] < pair[1]),
            "{key}: {effects:?}"
        );
    }
    assert!(total > 500, "{total}");
}

fn handle(book: &Mutex<Book>, delivery: &Delivery) -> Result<(), HandlerError> {
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let message = &delivery.message;
    if !book.done.insert(message.id.clone()) {
        book.twice += 1;
        return Ok(());
    }
    let number = message
        .id
        .rsplit('-')
        .next()
        .and_then(|n| n.parse::<u32>().ok());
    let number = number.ok_or_else(|| HandlerError::Reject("no number".to_owned()))?;
    let key = message.ordering_key().to_owned();
    book.effects.entry(key).or_default().push(number);
    Ok(())
}

async fn worked_a_while() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_200) {
        tokio::task::yield_now().await;
    }
}

/// Publishes as a relay does, each batch again until it is answered; what was, by key in order.
async fn publish_until(
    engine: ieum_nats::Engine,
    ended: Arc<AtomicBool>,
    keys: u32,
) -> HashMap<String, Vec<u32>> {
    let publisher = engine.publisher();
    let mut acknowledged: HashMap<String, Vec<u32>> = HashMap::new();
    let mut number = 0_u32;
    while !ended.load(Ordering::SeqCst) {
        let batch: Vec<_> = (0..32)
            .map(|n| {
                let (key, number) = (n % keys, number + n / keys);
                message(&format!("{key}-{number}"), &key.to_string())
            })
            .collect();
        while publisher.publish(TOPIC, &batch).await.is_err() {
            tokio::task::yield_now().await;
        }
        for message in &batch {
            let key = message.ordering_key().to_owned();
            let number = message
                .id
                .rsplit('-')
                .next()
                .and_then(|n| n.parse::<u32>().ok());
            acknowledged.entry(key).or_default().extend(number);
        }
        number += 32 / keys;
    }
    acknowledged
}

/// A worker stops between saying what it gives up and keeping it: its successor keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_before_a_crash_is_kept_by_the_successor() {
    let engine = engine(shared(), "/crash").await;
    let publisher = engine.publisher();
    publisher
        .publish(TOPIC, &[message("1", "a"), message("2", "b")])
        .await
        .expect("published");
    let subscriber = engine.subscriber();
    let mut before: Box<dyn Subscription> = subscriber
        .subscribe(TOPIC, GROUP, "one")
        .await
        .expect("subscribed");
    let read = next(&mut before, 2).await;
    before.dead_letter(&read[0], "no").await.expect("given up");
    // As if it had crashed before it kept the dead letter: the group's entry says so still.
    let context = async_nats::jetstream::new(client(shared()).await);
    context
        .delete_stream("crash-dead-things@readers")
        .await
        .expect("deleted");
    let mut after = subscriber
        .subscribe(TOPIC, GROUP, "one")
        .await
        .expect("subscribed");
    assert_eq!(next(&mut after, 1).await[0].message.id, "2");
    let other = crate::server::engine(shared(), "/crash").await;
    drop(after);
    let groups = other.groups();
    groups.join(TOPIC, GROUP, "one").await.expect("joined");
    let letters = other
        .inspect()
        .dead_letters(&DeadLetterFilter::default(), 9)
        .await;
    let letters = letters.expect("listed");
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].message.id, "1");
}
