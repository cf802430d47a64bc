//! What an operator sees of topics, groups and dead letters.

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::Info;
use async_trait::async_trait;
use ieum_messaging::{
    DeadLetter, DeadLetterFilter, DeadLetterReason, Epoch, GroupState, Result, TopicState,
};
use serde::Deserialize;
use serde_json::json;

use crate::binding;
use crate::connection::{Connection, Kept, Which};
use crate::error::refused;
use crate::group::{self, Names, Record};
use crate::streams::{self, TOPIC};

/// Looks at the streams and at the bucket of the groups.
#[derive(Clone, Debug)]
pub struct Inspect {
    connection: Arc<Connection>,
}

/// A page of the server's list of streams.
#[derive(Deserialize)]
struct Page {
    total: usize,
    #[serde(default)]
    streams: Option<Vec<Info>>,
}

impl Inspect {
    pub(crate) const fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    /// All streams of the namespace, whatever they are for.
    pub(crate) async fn streams(&self) -> Result<Vec<Info>> {
        let doing = "listing the streams";
        let namespace = &self.connection.config.namespace;
        let (prefix, bucket) = (
            format!("{}-", namespace.as_str()),
            namespace.bucket_stream(),
        );
        let mut found = Vec::new();
        let mut offset = 0;
        loop {
            let asked = json!({ "offset": offset });
            let page = self.connection.api::<Page>(doing, "STREAM.LIST", &asked);
            let page = page.await?.map_err(|error| refused(doing, error))?;
            let streams = page.streams.unwrap_or_default();
            offset += streams.len();
            let is_last = streams.is_empty() || offset >= page.total;
            found.extend(streams.into_iter().filter(|info| {
                info.config.name == bucket || info.config.name.starts_with(&prefix)
            }));
            if is_last || found.len() >= MOST {
                return Ok(found);
            }
        }
    }

    /// All streams that carry a topic of ours, by the topic's name.
    async fn topic_streams(&self) -> Result<Vec<(String, Info)>> {
        let namespace = &self.connection.config.namespace;
        let topic = |info: Info| {
            let topic = info.config.description.as_deref()?.strip_prefix(TOPIC)?;
            let topic = topic.to_owned();
            (namespace.topic_stream(&topic) == info.config.name).then_some((topic, info))
        };
        let streams = self.streams().await?.into_iter();
        let mut found: Vec<_> = streams.filter_map(topic).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The entries of all groups.
    pub(crate) async fn records(&self) -> Result<Vec<Record>> {
        let stream = self.connection.config.namespace.bucket_stream();
        let Some(info) = streams::info(&self.connection, &stream).await? else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        // One entry per group, and each write moves it to the end.
        let mut at = info.state.first_sequence;
        while at <= info.state.last_sequence && records.len() < MOST {
            let Some(kept) = self.at_or_after(&stream, at).await? else {
                break;
            };
            at = kept.seq + 1;
            if let Ok(record) = serde_json::from_slice::<Record>(&kept.payload) {
                records.push(record);
            }
        }
        records.sort_by(|a, b| (&a.topic, &a.group).cmp(&(&b.topic, &b.group)));
        records.dedup_by(|a, b| (&a.topic, &a.group) == (&b.topic, &b.group));
        Ok(records)
    }

    async fn at_or_after(&self, stream: &str, at: u64) -> Result<Option<Kept>> {
        let doing = format!("reading the stream `{stream}`");
        self.connection
            .get(&doing, stream, Which::AtOrAfter(at))
            .await
    }

    /// The dead letters of one group, at most `limit`, by position.
    pub(crate) async fn letters(&self, names: &Names, limit: usize) -> Result<Vec<DeadLetter>> {
        let stream = names.dead_stream(&self.connection.config.namespace);
        let Some(info) = streams::info(&self.connection, &stream).await? else {
            return Ok(Vec::new());
        };
        let mut letters = Vec::new();
        let mut at = info.state.first_sequence;
        while at <= info.state.last_sequence && letters.len() < limit {
            let Some(kept) = self.at_or_after(&stream, at).await? else {
                break;
            };
            at = kept.seq + 1;
            letters.extend(self.letter(names, &kept));
        }
        letters.sort_by_key(|letter: &DeadLetter| letter.position);
        Ok(letters)
    }

    /// A dead letter; `None` if it is none that we can read: such are seen with NATS' own tools.
    fn letter(&self, names: &Names, kept: &Kept) -> Option<DeadLetter> {
        let limits = &self.connection.config.limits;
        let message = binding::read(Some(&kept.headers), &kept.payload, limits).ok()?;
        let reason = match header(&kept.headers, group::BEHIND) {
            Some(at) => DeadLetterReason::Behind(at.parse().ok()?),
            None => {
                let why = header(&kept.headers, group::REASON).unwrap_or_default();
                DeadLetterReason::GaveUp(binding::decoded(why))
            }
        };
        Some(DeadLetter {
            topic: names.topic.clone(),
            group: names.group.clone(),
            position: header(&kept.headers, group::POSITION)?.parse().ok()?,
            key: message.ordering_key().to_owned(),
            reason,
            recorded_at: header(&kept.headers, group::RECORDED_AT)?.parse().ok()?,
            message,
        })
    }
}

#[async_trait]
impl ieum_messaging::Inspect for Inspect {
    async fn topics(&self) -> Result<Vec<TopicState>> {
        let streams = self.topic_streams().await?.into_iter();
        Ok(streams
            .map(|(topic, info)| TopicState {
                topic,
                messages: info.state.messages,
                head: info.state.last_sequence,
            })
            .collect())
    }

    async fn groups(&self) -> Result<Vec<GroupState>> {
        let topics = self.topic_streams().await?;
        let records = self.records().await?.into_iter();
        let state = |record: Record| {
            let found = topics.binary_search_by(|(topic, _)| topic.cmp(&record.topic));
            let head = found.map_or(0, |at| topics[at].1.state.last_sequence);
            GroupState {
                member: Some(record.member).filter(|member| !member.is_empty()),
                epoch: Epoch(record.epoch),
                checkpoint: record.checkpoint,
                lag: head.saturating_sub(record.checkpoint),
                dead_letters: record.dead,
                topic: record.topic,
                group: record.group,
            }
        };
        Ok(records.map(state).collect())
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let wanted = |want: &Option<String>, name: &str| want.as_deref().is_none_or(|w| w == name);
        let mut letters = Vec::new();
        for record in self.records().await? {
            let is_wanted =
                wanted(&filter.topic, &record.topic) && wanted(&filter.group, &record.group);
            let room = limit - letters.len();
            if is_wanted && room > 0 {
                let names = Names::new(&record.topic, &record.group);
                letters.extend(self.letters(&names, room).await?);
            }
        }
        Ok(letters)
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.as_str())
}

/// The most groups, and the most streams, that are listed.
const MOST: usize = 10_000;
