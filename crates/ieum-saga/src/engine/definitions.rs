//! The definitions: kept as events, every version for ever, the latest one for new sagas.
//!
//! A saga finds its plan by the hash that it was started with, so that a deploy, also one that
//! renames or reorders steps, never changes a saga in flight.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use ieum_base::{Timestamp, Uuid};
use ieum_eventstore::{
    Event, EventStore, Expect, Filter, Metadata, NewEvent, Position, StreamName, Version,
};
use serde::{Deserialize, Serialize};

use super::shared::Shared;
use super::writer::{Refused, read_whole};
use super::{Error, ErrorKind, Result};
use crate::definition::{Definition, Hash, Plan, Trigger};

/// A definition was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// Its name.
    pub name: String,
    /// The version that new sagas get.
    pub hash: Hash,
    /// True if nothing of this name was defined before.
    pub created: bool,
    /// True if the version is another one than before.
    pub changed: bool,
}

/// A definition on one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionSummary {
    /// Its name.
    pub name: String,
    /// The version that new sagas get.
    pub hash: Hash,
    /// How many versions were stored.
    pub versions: u64,
    /// The version that new sagas get, as it was written.
    pub definition: Definition,
}

/// Every definition that is known, in memory.
#[derive(Debug, Default)]
pub(super) struct Definitions(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plans: HashMap<Hash, Arc<Plan>>,
    names: BTreeMap<String, Current>,
}

#[derive(Clone, Debug)]
struct Current {
    plan: Arc<Plan>,
    /// The version of its stream.
    version: Version,
    /// Where its trigger was first written as it is: only later events start sagas.
    since: Position,
}

/// The data of the event that stores a definition.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    hash: Hash,
    definition: Definition,
    at: Timestamp,
}

impl Definitions {
    /// The plan for new sagas of this name.
    pub(super) fn current(&self, name: &str) -> Option<Arc<Plan>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner
            .names
            .get(name)
            .map(|current| Arc::clone(&current.plan))
    }

    /// The plan that a saga in flight is pinned to.
    pub(super) fn pinned(&self, hash: Hash) -> Option<Arc<Plan>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.plans.get(&hash).map(Arc::clone)
    }

    /// What starts sagas of this name, and from which position on.
    pub(super) fn trigger(&self, name: &str) -> Option<(Trigger, Position)> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let current = inner.names.get(name)?;
        Some((current.plan.trigger()?.clone(), current.since))
    }

    /// The names of the definitions that events start.
    pub(super) fn triggered(&self) -> Vec<String> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let named = inner.names.iter();
        named
            .filter(|(_, current)| current.plan.trigger().is_some())
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(super) fn list(&self) -> Vec<DefinitionSummary> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let summary = |(name, current): (&String, &Current)| DefinitionSummary {
            name: name.clone(),
            hash: current.plan.hash(),
            versions: current.version.0,
            definition: current.plan.definition().clone(),
        };
        inner.names.iter().map(summary).collect()
    }

    fn version(&self, name: &str) -> (Version, Option<Hash>) {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let current = inner.names.get(name);
        current.map_or((Version(0), None), |current| {
            (current.version, Some(current.plan.hash()))
        })
    }

    fn add(&self, plan: Arc<Plan>, version: Version, position: Position) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.plans.insert(plan.hash(), Arc::clone(&plan));
        let earlier = inner.names.get(plan.name());
        if earlier.is_some_and(|earlier| earlier.version >= version) {
            return;
        }
        let topic = |plan: &Plan| plan.trigger().map(|trigger| trigger.topic.clone());
        let since = earlier
            .filter(|earlier| topic(&earlier.plan) == topic(&plan))
            .map_or(position, |earlier| earlier.since);
        let name = plan.name().to_owned();
        inner.names.insert(
            name,
            Current {
                plan,
                version,
                since,
            },
        );
    }

    /// Reads an event of the category. A definition that this version cannot read is left out:
    /// its sagas are left alone and shown as stalled, everything else goes on.
    pub(super) fn learn(&self, event: &Event) {
        let plan = event
            .decode::<Stored>()
            .map_err(|error| error.to_string())
            .and_then(|stored| {
                let plan = Plan::new(stored.definition).map_err(|error| error.to_string())?;
                Ok(plan.pinned_to(stored.hash))
            });
        match plan {
            Ok(plan) => self.add(Arc::new(plan), event.version, event.position),
            Err(why) => tracing::error!(
                stream = %event.stream, version = %event.version, why,
                "a definition cannot be read; its sagas wait"
            ),
        }
    }

    /// Reads every stored definition.
    pub(super) async fn load(&self, store: &Arc<dyn EventStore>) -> Result<()> {
        let filter = Filter::category(CATEGORY);
        let mut after = Position::START;
        loop {
            let page = store.read_all(after, &filter, PAGE).await?;
            page.events.iter().for_each(|event| self.learn(event));
            after = page.scanned_to;
            if after >= page.head.position {
                return Ok(());
            }
        }
    }
}

impl Shared {
    /// Stores a definition, unless it is the current one already.
    pub(super) async fn define(&self, definition: Definition) -> Result<Defined> {
        let plan = Plan::new(definition)?;
        let unreadable =
            |error| Error::new(ErrorKind::Unreadable, "not a stream's name").caused_by(error);
        let stream = StreamName::new(CATEGORY, plan.name()).map_err(unreadable)?;
        let plan = Arc::new(plan);
        for _ in 0..RACES {
            let (version, hash) = self.definitions.version(plan.name());
            let mut defined = Defined {
                name: plan.name().to_owned(),
                hash: plan.hash(),
                created: hash.is_none(),
                changed: hash != Some(plan.hash()),
            };
            if !defined.changed {
                return Ok(defined);
            }
            let event = self.definition_event(&plan, version)?;
            let expect = Expect::Version(version);
            match self.append(stream.clone(), expect, vec![event]).await {
                Ok(appended) => {
                    let version = Version(version.0 + 1);
                    self.definitions
                        .add(Arc::clone(&plan), version, appended.position);
                    self.redefined.notify_one();
                    defined.created = version.0 == 1;
                    return Ok(defined);
                }
                Err(Refused::Conflict) => self.relearn(&stream).await?,
                Err(refused) => return Err(refused.into_error("storing the definition")),
            }
        }
        Err(Refused::Conflict.into_error("storing the definition"))
    }

    /// The plan for new sagas of this name. Another platform may have stored it a moment ago.
    pub(super) async fn current_plan(&self, name: &str) -> Result<Option<Arc<Plan>>> {
        let known = self.definitions.current(name);
        if known.is_none()
            && !self.is_alone()
            && let Ok(stream) = StreamName::new(CATEGORY, name)
        {
            self.relearn(&stream).await?;
            return Ok(self.definitions.current(name));
        }
        Ok(known)
    }

    async fn relearn(&self, stream: &StreamName) -> Result<()> {
        let events = read_whole(&self.store, stream).await?;
        events
            .iter()
            .for_each(|event| self.definitions.learn(event));
        Ok(())
    }

    /// The id follows from the place, so that going back to an earlier version is a new event.
    fn definition_event(&self, plan: &Plan, after: Version) -> Result<NewEvent> {
        let name = format!("{}/{}/{}", plan.name(), after.0 + 1, plan.hash());
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let stored = Stored {
            hash: plan.hash(),
            definition: plan.definition().clone(),
            at: self.clock.now(),
        };
        let unwritable = |error| Error::new(ErrorKind::Unreadable, "not JSON").caused_by(error);
        let event = NewEvent::new(id, DEFINED, &stored).map_err(unwritable)?;
        Ok(event.with_metadata(Metadata::default()))
    }
}

/// The category of the definitions' streams.
pub(super) const CATEGORY: &str = "saga_definition";
/// The type of the event that stores a definition.
pub(super) const DEFINED: &str = "saga.defined";
/// How many events are read at once.
const PAGE: usize = 200;
/// How often a lost race for the next version is run again.
const RACES: usize = 10;
