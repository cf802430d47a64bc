//! Random appends of all kinds against the log in memory: the same answers, the same log.

use futures_util::future::join_all;
use ieum_base::{Clock, Rng, Uuid};
use ieum_eventstore::{
    Append, Condition, ErrorKind, Event, EventStore, Expect, Fence, Fences, Filter, NewEvent,
    Position, Result, Version, Write, memory,
};
use ieum_sql::postgres::log;

use super::server::{database, everything, open_with, stream};

/// What an append amounts to, without words.
type Outcome = Result<(Position, Vec<u64>, bool), ErrorKind>;

struct World {
    rng: Rng,
    oracle: memory::Store,
    /// Appends of earlier groups, to be repeated.
    past: Vec<Append>,
    epoch: u64,
}

impl World {
    fn event(&self) -> NewEvent {
        let id = Uuid::from_u64_pair(self.rng.bits(), self.rng.bits());
        let kind = ["x", "y"][self.rng.below(2)];
        let mut event = NewEvent::new(id, kind, &self.rng.below(1_000)).expect("an event");
        let tags = self.rng.below(3);
        event.tags = (0..tags)
            .map(|_| format!("t:{}", self.rng.below(3)))
            .collect();
        event
    }

    async fn expect(&self, name: &str) -> Expect {
        let name = stream(name);
        let known = self.oracle.read_stream(&name, Version(0), 10_000).await;
        let version = known.expect("reads").len() as u64;
        match self.rng.below(8) {
            0 => Expect::NoStream,
            1 => Expect::Exists,
            2 => Expect::Version(Version(version + 1)),
            3 | 4 => Expect::Version(Version(version)),
            _ => Expect::Any,
        }
    }

    async fn append(&self) -> Append {
        let first = self.rng.below(5);
        let mut writes = Vec::new();
        for n in 0..=self.rng.below(6).saturating_sub(3) {
            let name = format!("a-{}", (first + n) % 5);
            let count = 1 + self.rng.below(5).saturating_sub(2);
            writes.push(Write {
                expect: self.expect(&name).await,
                stream: stream(&name),
                events: (0..count).map(|_| self.event()).collect(),
            });
        }
        let head = self.oracle.head().await.expect("head").position.0;
        let condition = (self.rng.below(4) == 0).then(|| Condition {
            tags: (0..=self.rng.below(2))
                .map(|_| format!("t:{}", self.rng.below(3)))
                .collect(),
            types: if self.rng.below(2) == 0 {
                Vec::new()
            } else {
                vec!["y".into()]
            },
            after: Position((head + 1).saturating_sub(self.rng.below(8) as u64)),
        });
        let fence = (self.rng.below(5) == 0).then(|| Fence {
            name: "owner".into(),
            epoch: self.epoch.saturating_sub(u64::from(self.rng.below(3) == 0)),
        });
        Append {
            writes,
            condition,
            fence,
        }
    }

    /// An earlier append as it was, or a part of it with something new.
    fn repetition(&self) -> Option<Append> {
        let mut again = self
            .past
            .get(self.rng.below(self.past.len().max(1)))?
            .clone();
        match self.rng.below(4) {
            0 => again.writes[0].events.push(self.event()),
            1 => again.writes[0].stream = stream("b-1"),
            2 => again.writes[0].events[0].kind = "z".into(),
            _ => {}
        }
        Some(again)
    }

    /// Appends that are under way together; no id is in two of them.
    async fn group(&self) -> Vec<Append> {
        let mut group: Vec<Append> = Vec::new();
        for _ in 0..=self.rng.below(12) {
            let repeated = if self.rng.below(6) == 0 {
                self.repetition()
            } else {
                None
            };
            let append = match repeated {
                Some(again) => again,
                None => self.append().await,
            };
            if !group
                .iter()
                .any(|other| ids(other).any(|id| ids(&append).any(|own| own == id)))
            {
                group.push(append);
            }
        }
        group
    }
}

fn ids(append: &Append) -> impl Iterator<Item = Uuid> {
    append
        .writes
        .iter()
        .flat_map(|write| &write.events)
        .map(|event| event.id)
}

async fn outcome(store: &dyn EventStore, append: Append) -> Outcome {
    match store.append(append).await {
        Ok(done) => {
            let versions = done.versions.iter().map(|(_, version)| version.0).collect();
            Ok((done.position, versions, done.duplicate))
        }
        Err(error) => Err(error.kind().clone()),
    }
}

fn bare(event: &Event) -> (Position, String, Version, Uuid, String, String, Vec<String>) {
    let (stream, data) = (event.stream.to_string(), event.data.get().to_owned());
    let (kind, tags) = (event.kind.clone(), event.tags.clone());
    (
        event.position,
        stream,
        event.version,
        event.id,
        kind,
        data,
        tags,
    )
}

#[tokio::test]
async fn random_appends_are_answered_as_by_the_log_in_memory() {
    let seed = Clock::system().new_id().as_u128() as u64;
    // One call at a time, so that what was asked first is decided first, in memory too.
    let config = log::Config {
        calls: 1,
        ..log::Config::default()
    };
    let log = open_with(&database().0, config).await;
    let mut world = World {
        rng: Rng::seeded(seed),
        oracle: memory::Store::new(),
        past: Vec::new(),
        epoch: 0,
    };
    let mut seen = [0_usize; 2];
    for round in 0..120 {
        if world.rng.below(10) == 0 {
            world.oracle.raise("owner").await.expect("raises");
            world.epoch = log.raise("owner").await.expect("raises").epoch;
        }
        let group = world.group().await;
        let found = join_all(group.iter().map(|append| outcome(&log, append.clone()))).await;
        for (append, found) in group.into_iter().zip(found) {
            let expected = outcome(&world.oracle, append.clone()).await;
            assert_eq!(found, expected, "seed {seed}, round {round}: {append:?}");
            seen[usize::from(found.is_ok())] += 1;
            world.past.push(append);
        }
    }
    assert!(
        seen.iter().all(|count| *count > 50),
        "seed {seed}: {seen:?}"
    );
    let wanted = world
        .oracle
        .read_all(Position::START, &Filter::default(), 10_000)
        .await;
    let wanted: Vec<_> = wanted.expect("reads").events.iter().map(bare).collect();
    let found: Vec<_> = everything(&log).await.iter().map(bare).collect();
    assert_eq!(found, wanted, "seed {seed}");
}

#[tokio::test]
async fn random_reads_are_answered_as_by_the_log_in_memory() {
    let seed = Clock::system().new_id().as_u128() as u64;
    let rng = Rng::seeded(seed);
    let log = open_with(&database().0, log::Config::default()).await;
    let oracle = memory::Store::new();
    for _ in 0..300 {
        let name = format!("{}-{}", ["a", "b", "c"][rng.below(3)], rng.below(3));
        let kind = ["x", "y", "z"][rng.below(3)];
        let id = Clock::system().new_id();
        let event = NewEvent::new(id, kind, &1).expect("an event");
        let append = Append::to(stream(&name), Expect::Any, vec![event]);
        oracle.append(append.clone()).await.expect("appends");
        log.append(append).await.expect("appends");
    }
    let some = |of: &[&str]| -> Vec<String> {
        of.iter()
            .filter(|_| rng.below(3) == 0)
            .map(|name| (*name).to_owned())
            .collect()
    };
    for _ in 0..200 {
        let filter = Filter {
            categories: some(&["a", "b", "c", "d"]),
            types: some(&["x", "y", "w"]),
        };
        let (after, limit) = (Position(rng.below(302) as u64), rng.below(40));
        let found = log.read_all(after, &filter, limit).await;
        let wanted = oracle.read_all(after, &filter, limit).await;
        let (found, wanted) = match (found, wanted) {
            (Ok(found), Ok(wanted)) => (found, wanted),
            (found, wanted) => {
                let kinds = (found.err(), wanted.err());
                let kinds = (
                    kinds.0.map(|e| e.kind().clone()),
                    kinds.1.map(|e| e.kind().clone()),
                );
                assert_eq!(kinds.0, kinds.1, "seed {seed}: {filter:?} after {after}");
                continue;
            }
        };
        let events: Vec<_> = found.events.iter().map(bare).collect();
        let expected: Vec<_> = wanted.events.iter().map(bare).collect();
        assert_eq!(
            events, expected,
            "seed {seed}: {filter:?} after {after} limit {limit}"
        );
        assert_eq!(found.head.position, wanted.head.position);
        // How far is looked at may differ, but nothing that matches may be passed.
        let later = expected.len() == limit || found.scanned_to >= wanted.scanned_to;
        assert!(later, "seed {seed}: {filter:?} after {after} limit {limit}");
    }
}
