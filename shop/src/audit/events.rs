//! Did every event arrive once and unchanged, and have its effect once?

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use serde_json::Value;

use super::book::{Book, Reading, Tally};
use super::books::Books;
use super::orders::{End, Orders};

/// What identifies an event: who said it, and its id.
type Id = (String, String);

/// What the services say that they told the others: topic and type of each event.
pub(super) type Told = BTreeMap<Id, Event>;

/// An event in an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) topic: String,
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) flow: Option<String>,
    pub(super) data: Value,
}

/// Reads the outboxes of all services.
pub(super) fn told(
    services: impl Iterator<Item = Result<Book>>,
    tally: &Tally,
    books: &mut Books,
) -> Result<Told> {
    let mut told = Told::new();
    for book in services {
        let mut book = book?;
        let rows = book.read(tally)?.rows(
            "SELECT topic, CAST(message AS TEXT), error FROM ieum_outbox ORDER BY id",
            |row| {
                let (topic, message) = (row.get::<String>(0)?, row.get::<String>(1)?);
                Ok((topic, message, row.get::<Option<String>>(2)?))
            },
        )?;
        for (topic, message, error) in rows {
            let (id, event) = message_of(topic, &message)?;
            if let Some(error) = error {
                books.lose(&id.1);
                books.find(format_args!(
                    "{} of {} cannot be sent: {error}",
                    event.kind, id.0
                ));
            }
            if told.insert(id.clone(), event).is_some() {
                books.find(format_args!("{} used the event id {} twice", id.0, id.1));
            }
        }
    }
    Ok(told)
}

/// A message as it stands in an outbox: a CloudEvent, as JSON.
fn message_of(topic: String, message: &str) -> Result<(Id, Event)> {
    let mut message: Value = serde_json::from_str(message)
        .with_context(|| format!("a message to {topic} is not JSON"))?;
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let id = (text("source"), text("id"));
    let event = Event {
        topic,
        kind: text("type"),
        subject: text("subject"),
        flow: message["flow"].as_str().map(str::to_owned),
        data: message["data"].take(),
    };
    Ok((id, event))
}

/// Each event stands in the platform's log exactly once, and nothing else does in the same topics.
pub(super) fn check_log(told: &Told, log: &Reading<'_>, books: &mut Books) -> Result<()> {
    let topics: std::collections::BTreeSet<_> = told.values().map(|e| e.topic.as_str()).collect();
    let logged = log.rows(
        "SELECT category, CAST(metadata AS TEXT), type, CAST(data AS TEXT) FROM ieum_events
         WHERE category LIKE '%.events'",
        |row| {
            let content = (row.get::<String>(2)?, row.get::<String>(3)?);
            Ok((row.get::<String>(0)?, row.get::<String>(1)?, content))
        },
    )?;
    let mut times = HashMap::<Id, u64>::new();
    for (category, metadata, (kind, data)) in logged {
        if !topics.contains(category.as_str()) {
            continue;
        }
        let id = told_by(&metadata)?;
        let data: Value = serde_json::from_str(&data)
            .with_context(|| format!("event {} of {} is not JSON", id.1, id.0))?;
        let same =
            |event: &Event| event.topic == category && event.kind == kind && event.data == data;
        if let Some(event) = told.get(&id).filter(|event| !same(event)) {
            books.lose(&id.1);
            books.find(format_args!(
                "{} of {} stands otherwise in the log",
                event.kind, event.subject
            ));
        }
        *times.entry(id).or_default() += 1;
    }
    compare(told, &times, "in the log", |_| true, books);
    Ok(())
}

/// Who told an event in the log, and its id there.
fn told_by(metadata: &str) -> Result<Id> {
    let metadata: Value = serde_json::from_str(metadata).context("metadata are not JSON")?;
    let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
    Ok((text("source"), text("id")))
}

/// What was told of each order is what its own events tell.
pub(super) fn check_orders(told: &Told, orders: &Orders, books: &mut Books) {
    let mut kinds = BTreeMap::<&str, Vec<&str>>::new();
    for event in told.values().filter(|event| event.topic == "order.events") {
        let of_order = kinds.entry(&event.subject).or_default();
        of_order.push(&event.kind);
        let told = (
            event.data["totalAmount"].as_i64(),
            event.data["userId"].as_str(),
            event.data["currency"].as_str(),
        );
        let same = orders.get(&event.subject).is_some_and(|order| {
            let (user, currency) = (order.user_id.as_str(), order.currency.as_str());
            told == (Some(order.total), Some(user), Some(currency))
        });
        if !same {
            books.find(format_args!(
                "{} tells another story than order {}",
                event.kind, event.subject
            ));
        }
    }
    for (id, order) in orders {
        let expected: &[&str] = match order.end {
            End::Open => continue,
            End::Completed => &[
                "order.completed",
                "order.confirmed",
                "order.created",
                "order.placed",
            ],
            End::Cancelled(_) => &["order.cancelled", "order.created", "order.placed"],
        };
        let mut found = kinds.remove(id.as_str()).unwrap_or_default();
        found.sort_unstable();
        if found != expected {
            books.find(format_args!("of order {id} was told {}", found.join(", ")));
        }
    }
}

/// What analytics notes of an event.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    name: String,
    user_id: Option<String>,
    order_id: Option<String>,
    amount: Option<i64>,
}

impl Fact {
    fn of(event: &Event) -> Self {
        let text = |name: &str| event.data[name].as_str().map(str::to_owned);
        let number = |name: &str| event.data[name].as_i64();
        Self {
            name: match event.kind.as_str() {
                "user.created" => "user_registered".to_owned(),
                kind => kind.replace('.', "_"),
            },
            user_id: text("userId"),
            order_id: text("orderId"),
            amount: number("amount").or_else(|| number("totalAmount")),
        }
    }
}

/// Analytics noted each event exactly once, as it was told.
pub(super) fn check_facts(told: &Told, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let facts = book.rows(
        "SELECT event_source, event_id, name, user_id, order_id, amount FROM facts",
        |row| {
            let fact = Fact {
                name: row.get(2)?,
                user_id: row.get(3)?,
                order_id: row.get(4)?,
                amount: row.get(5)?,
            };
            Ok(((row.get::<String>(0)?, row.get::<String>(1)?), fact))
        },
    )?;
    for (id, fact) in &facts {
        if let Some(event) = told.get(id).filter(|event| Fact::of(event) != *fact) {
            books.find(format_args!(
                "{} of {} was noted by analytics otherwise than it was told: {fact:?}",
                event.kind, event.subject
            ));
        }
    }
    let ids = facts.into_iter().map(|(id, _)| id).collect();
    compare(told, &count(ids), "noted by analytics", |_| true, books);
    Ok(())
}

/// Each new user was welcomed exactly once, and each completed order announced exactly once.
pub(super) fn check_mails(
    told: &Told,
    orders: &Orders,
    book: &Reading<'_>,
    books: &mut Books,
) -> Result<()> {
    let welcomes = book.rows(
        "SELECT event_source, event_id FROM notifications WHERE kind = 'welcome'",
        |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)),
    )?;
    let is_new_user = |event: &Event| event.kind == "user.created";
    compare(
        told,
        &count(welcomes),
        "answered by a welcome",
        is_new_user,
        books,
    );
    let announced = book.rows(
        "SELECT order_id FROM notifications WHERE kind = 'order-completed'",
        |row| row.get::<String>(0),
    )?;
    let announced = count(announced);
    for (id, order) in orders {
        let expected = u64::from(order.end == End::Completed);
        let times = announced.get(id).copied().unwrap_or(0);
        if times != expected {
            books.lose(id);
            books.find(format_args!(
                "the end of order {id} was announced {times} times"
            ));
        }
    }
    Ok(())
}

/// Compares what was told with how often it arrived.
fn compare(
    told: &Told,
    times: &HashMap<Id, u64>,
    how: &str,
    wanted: impl Fn(&Event) -> bool,
    books: &mut Books,
) {
    for (id, event) in told.iter().filter(|(_, event)| wanted(event)) {
        let times = times.get(id).copied().unwrap_or(0);
        if times != 1 {
            books.lose(&id.1);
            let Event { kind, subject, .. } = event;
            books.find(format_args!("{kind} of {subject} was {how} {times} times"));
        }
    }
    for id in times.keys().filter(|id| !told.contains_key(*id)) {
        books.find(format_args!(
            "event {} of {} was {how} and never told",
            id.1, id.0
        ));
    }
}

fn count<T: std::hash::Hash + Eq>(things: Vec<T>) -> HashMap<T, u64> {
    let mut times = HashMap::new();
    for thing in things {
        *times.entry(thing).or_default() += 1;
    }
    times
}
