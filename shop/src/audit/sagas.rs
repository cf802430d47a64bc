//! Did every saga end?

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::book::Reading;
use super::books::Books;
use super::events::Told;

/// A saga as its stream tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Saga {
    /// The order that it is about.
    order_id: String,
    ended: bool,
}

/// Every order that an engine drives has exactly one saga, and it has ended. What has not is added to
/// `stuck`.
pub(super) fn check(
    told: &Told,
    log: &Reading<'_>,
    stuck: &mut BTreeSet<String>,
    books: &mut Books,
) -> Result<()> {
    let mut of_order = BTreeMap::<String, u64>::new();
    for (stream, saga) in replay(log)? {
        if !saga.ended {
            books.find(format_args!(
                "{stream}, of order {}, is open",
                saga.order_id
            ));
            stuck.insert(saga.order_id.clone());
        }
        *of_order.entry(saga.order_id).or_default() += 1;
    }
    let placed = told.values().filter(|event| {
        event.kind == "order.placed" && event.flow.as_deref() == Some("orchestrated")
    });
    for event in placed {
        let sagas = of_order.get(&event.subject).copied().unwrap_or(0);
        if sagas != 1 {
            books.find(format_args!("order {} has {sagas} sagas", event.subject));
            stuck.insert(event.subject.clone());
        }
    }
    Ok(())
}

fn replay(log: &Reading<'_>) -> Result<BTreeMap<String, Saga>> {
    let events = log.rows(
        "SELECT stream, type, CASE type WHEN 'saga.started' THEN CAST(data AS TEXT) END
         FROM ieum_events
         WHERE category = 'saga'
           AND type IN ('saga.started', 'saga.completed', 'saga.compensated')
         ORDER BY position",
        |row| {
            Ok((
                row.get::<String>(0)?,
                row.get::<String>(1)?,
                row.get::<Option<String>>(2)?,
            ))
        },
    )?;
    let mut sagas = BTreeMap::<String, Saga>::new();
    for (stream, kind, data) in events {
        let context = format!("the beginning of {stream} is not JSON");
        let saga = sagas.entry(stream).or_default();
        saga.ended = kind != "saga.started";
        if let Some(data) = data {
            let data: Value = serde_json::from_str(&data).context(context)?;
            let order_id = data["input"]["orderId"].as_str().unwrap_or_default();
            order_id.clone_into(&mut saga.order_id);
        }
    }
    Ok(sagas)
}
