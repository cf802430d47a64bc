//! Many at once: each effect exactly once, whoever comes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use ieum_base::EngineUrl;
use ieum_messaging::{OutboxStore, memory, relay};
use ieum_sql::barrier::Op;
use ieum_sql::idempotency::Outcome;
use ieum_sql::{Database, Error, inbox, outbox};

use crate::fixture::{balance, book, both, number, service};
use crate::outbox::{message, publish};
use crate::participant::{call, charge, order};

both![
    h21_of_64_calls_at_once_one_has_its_effect,
    h33_of_64_requests_at_once_with_one_key_one_runs,
    of_64_deliveries_of_one_message_at_once_one_has_its_effect,
    a_delivery_that_is_undone_leaves_the_message_to_the_next,
    h21_a_call_and_its_cancel_at_once_leave_nothing_200_times,
    what_is_read_under_a_lock_is_still_so_when_it_is_written,
    h29_messages_of_one_key_have_ids_in_the_order_of_their_commits,
    h29_what_many_publish_at_once_is_sent_once_and_in_order,
];

const MANY: usize = 64;

/// A service whose pool has opened all its connections: while the others are opened, the first would
/// do everything alone, and nothing would be at once.
async fn ready(url: &EngineUrl) -> Database {
    let database = service(url).await;
    if url.scheme() != "memory" {
        let everybody = Arc::new(std::sync::Barrier::new(CONNECTIONS));
        let reads = (0..CONNECTIONS).map(|_| {
            let everybody = Arc::clone(&everybody);
            database.read(move |_| {
                everybody.wait();
                Ok::<_, Error>(())
            })
        });
        for read in join_all(reads).await {
            read.expect("reads");
        }
    }
    database
}

/// The connections of a pool, by default.
const CONNECTIONS: usize = 8;

async fn h21_of_64_calls_at_once_one_has_its_effect(url: EngineUrl) {
    let database = ready(&url).await;
    let calls = (0..MANY).map(|_| charge(&database, call("s", Op::Do, 1, 1), 201));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(balance(&database).await, 100);
    let undos = (0..MANY).map(|_| charge(&database, call("s", Op::Undo, 1, 1), 200));
    join_all(undos).await;
    assert_eq!(balance(&database).await, 0);
}

async fn h33_of_64_requests_at_once_with_one_key_one_runs(url: EngineUrl) {
    let database = ready(&url).await;
    let requests = (0..MANY).map(|_| order(&database, "key", "body"));
    let outcomes = join_all(requests).await;
    let is_fresh = |outcome: &&Outcome| matches!(outcome, Outcome::Fresh(_));
    assert_eq!(outcomes.iter().filter(is_fresh).count(), 1);
    assert_eq!(balance(&database).await, 1);
}

fn deliver(
    database: &Database,
    is_kept: bool,
) -> impl Future<Output = Result<bool, Error>> + use<> {
    let database = database.clone();
    async move {
        let write = database.write(move |tx| {
            let is_first = inbox::claim(tx, "mail", "/orders", "1")?;
            if is_first {
                book(tx, 1)?;
            }
            if is_kept {
                Ok(is_first)
            } else {
                Err(Error::new(ieum_sql::ErrorKind::Busy, "planted"))
            }
        });
        write.await
    }
}

async fn of_64_deliveries_of_one_message_at_once_one_has_its_effect(url: EngineUrl) {
    let database = ready(&url).await;
    let outcomes = join_all((0..MANY).map(|_| deliver(&database, true))).await;
    let firsts = outcomes.into_iter().map(|first| first.expect("claims"));
    assert_eq!(firsts.filter(|is_first| *is_first).count(), 1);
    assert_eq!(balance(&database).await, 1);
}

async fn a_delivery_that_is_undone_leaves_the_message_to_the_next(url: EngineUrl) {
    let database = ready(&url).await;
    let outcomes = join_all((0..MANY).map(|n| deliver(&database, n % 2 == 1))).await;
    let firsts = outcomes.into_iter().filter_map(Result::ok);
    assert_eq!(firsts.filter(|is_first| *is_first).count(), 1);
    assert_eq!(balance(&database).await, 1);
}

async fn h21_a_call_and_its_cancel_at_once_leave_nothing_200_times(url: EngineUrl) {
    let database = ready(&url).await;
    let mut late = 0;
    for n in 0..200 {
        // Half of them are the first that is heard of a saga.
        let saga = (n % 2 * n).to_string();
        let done = charge(&database, call(&saga, Op::Do, n, 1), 201);
        let undone = charge(&database, call(&saga, Op::Undo, n, 1), 200);
        let (done, undone) = if n % 4 < 2 {
            join(done, undone).await
        } else {
            let (undone, done) = join(undone, done).await;
            (done, undone)
        };
        assert_eq!(undone.status, 200);
        late += usize::from(done.status == 409);
        assert_eq!(balance(&database).await, 0, "round {n}, {}", done.status);
    }
    assert!((1..200).contains(&late), "both orders were seen: {late}");
}

/// Without the lock two of them would read the same sum.
async fn what_is_read_under_a_lock_is_still_so_when_it_is_written(url: EngineUrl) {
    let database = ready(&url).await;
    let doubles = (0..32).map(|_| {
        database.write(|tx| {
            tx.lock("ledger")?;
            let sql = "SELECT count(*) FROM ledger";
            let count: Option<i64> = tx.row(sql, (), |row| row.get(0))?;
            book(tx, count.unwrap_or(0))
        })
    });
    for done in join_all(doubles).await {
        done.expect("writes");
    }
    let different = number(&database, "SELECT count(DISTINCT amount) FROM ledger").await;
    assert_eq!((different, balance(&database).await), (32, 31 * 32 / 2));
}

/// Each transaction draws the row's id, and then tells when it commits by a number that only grows.
async fn h29_messages_of_one_key_have_ids_in_the_order_of_their_commits(url: EngineUrl) {
    let database = ready(&url).await;
    let publishes = (0..200).map(|n| {
        let keyed = message(&n.to_string()).with_key(format!("k-{}", n % 3));
        database.write(move |tx| {
            outbox::publish(tx, "order.events", &keyed)?;
            // Committed under the key's lock: what stands in the ledger came earlier.
            let sql = "SELECT max(id) FROM ieum_outbox WHERE topic = $1";
            tx.row(sql, ["order.events"], |row| row.get::<i64>(0))?;
            Ok::<_, Error>(())
        })
    });
    for published in join_all(publishes).await {
        published.expect("publishes");
    }
    // A relay that looks while others publish sees each key's rows in one order, for ever.
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let looks = async {
        let store = database.outbox();
        while store.pending(1_000).await.expect("reads").len() < 300 {
            let rows = store.pending(1_000).await.expect("reads");
            let mut keys: BTreeMap<String, Vec<i64>> = BTreeMap::new();
            for row in rows {
                let key = row.message.ordering_key().to_owned();
                keys.entry(key).or_default().push(row.id);
            }
            seen.lock().expect("a lock").push(keys);
        }
    };
    let more = join_all((200..300).map(|n| {
        let keyed = message(&n.to_string()).with_key(format!("k-{}", n % 3));
        publish(&database, keyed)
    }));
    join(looks, more).await;
    let seen = seen.lock().expect("a lock");
    for pair in seen.windows(2) {
        for (key, before) in &pair[0] {
            let after = &pair[1][key];
            assert_eq!(&after[..before.len()], before, "a row came before another");
        }
    }
}

async fn h29_what_many_publish_at_once_is_sent_once_and_in_order(url: EngineUrl) {
    let database = ready(&url).await;
    let broker = Arc::new(memory::Broker::default());
    let store: Arc<dyn OutboxStore> = database.outbox();
    let relay = relay::Service::new(store, Arc::clone(&broker) as _, relay::Config::default());
    let writers = (0..16).map(|writer| {
        let database = database.clone();
        async move {
            for n in 0..20 {
                let id = format!("{writer}-{n}");
                let keyed = message(&id).with_key(format!("k-{writer}"));
                publish(&database, keyed).await.expect("publishes");
            }
        }
    });
    let relays = async {
        let mut sent = 0;
        while sent < 16 * 20 {
            sent += relay.round().await.expect("sends");
        }
    };
    join(join_all(writers), relays).await;
    let left = "SELECT count(*) FROM ieum_outbox WHERE sent_at IS NULL";
    assert_eq!(number(&database, left).await, 0);
    let mut next = BTreeMap::new();
    for id in published(&broker).await {
        let (writer, n) = id.split_once('-').expect("an id");
        let expected = next.entry(writer.to_owned()).or_insert(0);
        assert_eq!(n, expected.to_string());
        *expected += 1;
    }
    assert!(next.len() == 16 && next.values().all(|count| *count == 20));
}

/// The ids of what stands in the topic.
pub(crate) async fn published(broker: &memory::Broker) -> Vec<String> {
    use ieum_messaging::Groups;

    let topic = "order.events";
    let epoch = broker
        .join(topic, "checker", "checker")
        .await
        .expect("joins");
    let pulled = broker.pull(topic, "checker", epoch, 5_000, std::time::Duration::ZERO);
    let pulled = pulled.await.expect("pulls");
    pulled
        .into_iter()
        .map(|delivery| delivery.message.id)
        .collect()
}
