//! A server that is killed under load: nothing acknowledged is lost, and order per key holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ieum_base::{Clock, Stop, Tasks};
use ieum_messaging::{Message, Publisher, Subscriber};
use serde_json::json;

use super::server::{eventually, own, url};

/// Publishes numbered messages on one key until told to stop; how many were acknowledged. What is not
/// known to be published is published again.
async fn publish(
    publisher: Arc<dyn Publisher>,
    key: usize,
    stop: Arc<AtomicBool>,
    total: Arc<AtomicU32>,
) -> u32 {
    let mut n = 0;
    let mut again = tokio::time::interval(Duration::from_millis(5));
    while !stop.load(Ordering::SeqCst) {
        let batch: Vec<_> = (n..n + 3)
            .map(|n| {
                let message = Message::new(format!("/{key}"), n.to_string(), "it", &json!(n));
                message.expect("a message").with_key(format!("k{key}"))
            })
            .collect();
        while publisher.publish("load", &batch).await.is_err() {
            again.tick().await;
        }
        n += 3;
        total.fetch_add(3, Ordering::SeqCst);
    }
    n
}

/// Reads until every key has come to its end; what was seen of each, first deliveries only.
async fn consume(
    subscriber: Arc<dyn Subscriber>,
    ends: Arc<std::sync::Mutex<Option<Vec<u32>>>>,
) -> HashMap<String, Vec<u32>> {
    let mut seen: HashMap<String, Vec<u32>> = HashMap::new();
    let mut subscription = subscriber
        .subscribe("load", "readers", "one")
        .await
        .expect("subscribed");
    loop {
        let total: usize = seen.values().map(Vec::len).sum();
        let wanted = ends
            .lock()
            .expect("a lock")
            .as_ref()
            .map(|ends| ends.iter().sum::<u32>());
        if wanted.is_some_and(|wanted| total >= wanted as usize) {
            return seen;
        }
        let Ok(page) = subscription.next(64).await else {
            continue;
        };
        for delivery in &page {
            let key = delivery.message.ordering_key().to_owned();
            let number: u32 = delivery.message.decode().expect("a number");
            let of_key = seen.entry(key).or_default();
            if of_key.last().is_none_or(|last| *last < number) {
                of_key.push(number);
            }
        }
        if let Some(last) = page.last() {
            // Refused or unknown: it comes again.
            let _ = subscription.ack(last).await;
        }
    }
}

/// Waits until there is a load: some hundred messages more.
async fn at_work(total: &AtomicU32) {
    let enough = total.load(Ordering::SeqCst) + 300;
    eventually("there is a load", async || {
        total.load(Ordering::SeqCst) > enough
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_it_loses_nothing_that_was_acknowledged() {
    let mut server = own();
    let url = url(&server, "");
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_redis::connect(&url, &Clock::system(), &tasks)
        .await
        .expect("connected");
    let stop = Arc::new(AtomicBool::new(false));
    let total = Arc::new(AtomicU32::new(0));
    let ends = Arc::new(std::sync::Mutex::new(None));
    let publishers: Vec<_> = (0..4)
        .map(|key| {
            let work = publish(
                Arc::clone(&broker.publisher),
                key,
                Arc::clone(&stop),
                Arc::clone(&total),
            );
            tokio::task::JoinSet::from_iter([work])
        })
        .collect();
    let mut reader = tokio::task::JoinSet::new();
    reader.spawn(consume(Arc::clone(&broker.subscriber), Arc::clone(&ends)));
    for _ in 0..5 {
        at_work(&total).await;
        server = tokio::task::spawn_blocking(move || {
            server.kill().expect("killed");
            server.start_again().expect("started again");
            server
        })
        .await
        .expect("restarted");
    }
    at_work(&total).await;
    stop.store(true, Ordering::SeqCst);
    let mut published = Vec::new();
    for mut publisher in publishers {
        published.push(
            publisher
                .join_next()
                .await
                .expect("one")
                .expect("published"),
        );
    }
    *ends.lock().expect("a lock") = Some(published.clone());
    let reading = tokio::time::timeout(Duration::from_secs(60), reader.join_next());
    let seen = reading
        .await
        .expect("all of it came")
        .expect("one")
        .expect("read");
    for (key, count) in published.iter().enumerate() {
        let wanted: Vec<u32> = (0..*count).collect();
        assert!(
            seen[&format!("k{key}")] == wanted,
            "key {key}: {count} published"
        );
        assert!(*count > 100, "key {key}: there was a load, {count}");
    }
    eprintln!("acknowledged over 5 kills: {published:?}");
    tasks.stop().request();
}
