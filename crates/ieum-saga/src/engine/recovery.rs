//! Finding the open sagas when the engine begins.

use std::collections::HashMap;
use std::sync::Arc;

use ieum_base::Uuid;
use ieum_eventstore::{Event, Filter, Position};

use super::Result;
use super::index::Summary;
use super::shared::Shared;
use crate::events::{CATEGORY, ENDED, Fact, Recorded, STARTED};
use crate::state::Status;

impl Shared {
    /// Reads the beginnings and ends of all sagas, runs those without an end, and answers how many
    /// there were. A beginning that cannot be read stops nobody else: it is logged with its place.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<usize> {
        let filter = Filter {
            categories: vec![CATEGORY.to_owned()],
            types: std::iter::once(STARTED)
                .chain(ENDED)
                .map(str::to_owned)
                .collect(),
        };
        let mut open: HashMap<Uuid, Summary> = HashMap::new();
        let mut after = Position::START;
        loop {
            let page = self.store.read_all(after, &filter, PAGE).await?;
            for event in &page.events {
                self.recover_from(event, &mut open);
            }
            after = page.scanned_to;
            if after >= page.head.position {
                break;
            }
        }
        let mut open: Vec<Summary> = open.into_values().collect();
        // The oldest first: they are nearest to their deadlines.
        open.sort_by_key(|summary| (summary.started_at, summary.id));
        let recovered = open.len();
        for summary in open {
            self.adopt(summary, None);
        }
        self.counters
            .recovered
            .add(u64::try_from(recovered).unwrap_or(u64::MAX));
        Ok(recovered)
    }

    fn recover_from(&self, event: &Event, open: &mut HashMap<Uuid, Summary>) {
        let Ok(id) = event.stream.id().parse::<Uuid>() else {
            tracing::warn!(stream = %event.stream, "not the stream of a saga");
            return;
        };
        match Recorded::from_event(event) {
            Ok(Recorded {
                at,
                fact: Fact::Started(started),
            }) => {
                open.insert(id, Summary::begun(id, &started, at));
            }
            Ok(Recorded { at, fact }) => {
                let Some(mut summary) = open.remove(&id) else {
                    return;
                };
                summary.updated_at = at;
                summary.status = match fact {
                    Fact::Completed => Status::Completed,
                    _ => Status::Compensated,
                };
                self.index.note_finished(summary);
            }
            Err(error) => tracing::error!(%error, "a saga cannot be read; it is left alone"),
        }
    }
}

/// How many events are read at once.
const PAGE: usize = 1_000;
