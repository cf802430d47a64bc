//! Did every event arrive once, and have its effect once?

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

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
            "SELECT topic, message ->> 'source', message ->> 'id', message ->> 'type',
                    message ->> 'subject', message ->> 'flow', error
             FROM ieum_outbox ORDER BY id",
            |row| {
                let event = Event {
                    topic: row.get(0)?,
                    kind: row.get(3)?,
                    subject: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
                    flow: row.get(5)?,
                };
                Ok((
                    (row.get::<_, String>(1)?, row.get::<_, String>(2)?),
                    event,
                    row.get::<_, Option<String>>(6)?,
                ))
            },
        )?;
        for (id, event, error) in rows {
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

/// Each event stands in the platform's log exactly once, and nothing else does in the same topics.
pub(super) fn check_log(told: &Told, log: &Reading<'_>, books: &mut Books) -> Result<()> {
    let topics: std::collections::BTreeSet<_> = told.values().map(|e| e.topic.as_str()).collect();
    let logged = log.rows(
        "SELECT category, metadata ->> 'source', metadata ->> 'id' FROM ieum_events
         WHERE category GLOB '*.events'",
        |row| {
            let id = (
                row.get::<_, Option<String>>(1)?,
                row.get::<_, Option<String>>(2)?,
            );
            Ok((row.get::<_, String>(0)?, id))
        },
    )?;
    let mut times = HashMap::<Id, u64>::new();
    for (category, (source, id)) in logged {
        if topics.contains(category.as_str()) {
            *times
                .entry((source.unwrap_or_default(), id.unwrap_or_default()))
                .or_default() += 1;
        }
    }
    compare(told, &times, "in the log", |_| true, books);
    Ok(())
}

/// Analytics noted each event exactly once.
pub(super) fn check_facts(told: &Told, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let facts = book.rows("SELECT event_source, event_id FROM facts", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    compare(told, &count(facts), "noted by analytics", |_| true, books);
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
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
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
        |row| row.get::<_, String>(0),
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
