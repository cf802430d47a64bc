//! A service's life: its database, its relay, its consumers, its server.
//!
//! Everything that the eight services with a database do alike is here, so that a service's own
//! module is its business and nothing else.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use ieum::base::trace::{self, Tracer};
use ieum::base::{Clock, EngineUrl, Stop, Tasks};
use ieum::chassis::figures::{self, Consumers};
use ieum::chassis::{self, Chassis};
use ieum::client::Client;
use ieum::eventstore::EventStore;
use ieum::messaging::consumer::{Consumer, HandlerError};
use ieum::messaging::{Delivery, Message, OutboxStore};
use ieum::sql::{
    Database, Migration, Reader, Tx, barrier, idempotency, inbox, outbox, sqlite, streams,
};

use super::failure::{Failure, Reply};
use super::hosting::Hosting;
use super::idempotency::Request;
use super::participant::{Answer, Call};
use super::patience;
use super::platform::Platform;
use super::retention;
use super::sabotage::{LossyOutbox, Sabotage};
use super::sending;
use super::watch::Watches;
use super::work::Work;
use crate::proto;

/// What a service is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    /// Its name, in the registry and as the source of its events (`/name`).
    pub(crate) name: &'static str,
    /// The team that it belongs to.
    pub(crate) owner: &'static str,
    /// Where it tells others what happened.
    pub(crate) topic: &'static str,
    /// The port that it uses where it is free.
    pub(crate) port: u16,
    /// The schema of its own tables.
    pub(crate) tables: &'static [Migration],
    /// What it listens to.
    pub(crate) hears: &'static [Hears],
}

impl Spec {
    /// The name under which a copy of the service works for its consumer groups: the same after a
    /// restart, so that it goes on at once.
    pub(crate) fn member(&self) -> String {
        format!("{}-1", self.name)
    }
}

/// What a service listens to in a topic, and what it does then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hears {
    /// Where it is told.
    pub(crate) topic: &'static str,
    /// Types of events; empty means all.
    pub(crate) kinds: &'static [&'static str],
    /// Only events of orders that are driven this way, if that matters.
    pub(crate) flow: Option<&'static str>,
    /// What it does, in a transaction.
    pub(crate) act: fn(&Work<'_>, &Message) -> Reply<()>,
}

/// Where a service runs, and what it works with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The frame around it.
    pub(crate) hosting: Hosting,
    /// Its database.
    pub(crate) database: EngineUrl,
    /// The broker that carries its events; the platform does if there is none.
    pub(crate) broker: Option<EngineUrl>,
    /// The defect that is planted, for the auditor to find.
    pub(crate) sabotage: Option<Sabotage>,
}

/// A service, as its handlers see it.
pub(crate) struct Service {
    spec: Spec,
    sabotage: Option<Sabotage>,
    database: Database,
    log: Arc<dyn EventStore>,
    platform: Platform,
    tracer: Tracer,
    tasks: Tasks,
    consumers: Consumers,
    watches: Watches,
    has_other_writers: bool,
    leaving: Stop,
    /// Taken when the service begins to serve.
    chassis: Mutex<Option<Chassis>>,
}

impl Service {
    /// Opens the database, connects to the platform, and begins to relay what was published.
    pub(crate) async fn open(spec: Spec, settings: Settings) -> Result<Arc<Self>> {
        let opened = open_database(&settings.database, &spec).await;
        let database = opened
            .with_context(|| format!("the service {} cannot open its database", spec.name))?;
        let Hosting {
            platform, token, ..
        } = &settings.hosting;
        let chassis = settings.hosting.chassis(spec.name, spec.owner);
        let broker = settings.broker.as_ref();
        let platform = Platform::connect(platform, token.clone(), broker, &chassis).await?;
        let outbox = database.outbox();
        retention::keep(&database, &outbox, chassis.tasks());
        let store: Arc<dyn OutboxStore> = Arc::new(LossyOutbox::new(outbox, settings.sabotage));
        let relay = sending::start(&store, &platform.publisher, chassis.tasks());
        let unsent = database.clone();
        figures::watch_relay(chassis.metrics(), relay, move || {
            let unsent = unsent.clone();
            async move { sending::unsent(&unsent).await }
        });
        Ok(Arc::new(Self {
            spec,
            sabotage: settings.sabotage,
            log: database.log(),
            database,
            platform,
            tracer: chassis.tracer().clone(),
            tasks: chassis.tasks().clone(),
            consumers: Consumers::register(chassis.metrics()),
            watches: Watches::default(),
            has_other_writers: settings.database.scheme() != sqlite::SCHEME,
            leaving: chassis.health_checks().leaving().clone(),
            chassis: Mutex::new(Some(chassis)),
        }))
    }

    /// Begins to handle what the service listens to.
    pub(crate) fn listen(self: &Arc<Self>) {
        for hears in self.spec.hears {
            self.consume(*hears);
        }
    }

    /// Handles messages of a topic, each once: the inbox's row commits with the effect. What a
    /// service does not listen to costs it nothing.
    fn consume(self: &Arc<Self>, hears: Hears) {
        let subscriber = Arc::clone(&self.platform.subscriber);
        let mut consumer = Consumer::new(subscriber, self.spec.name, self.spec.member())
            .config(sending::patience())
            .tracer(self.tracer.clone())
            .topic(hears.topic);
        let service = Arc::clone(self);
        let handler = move |delivery: Delivery| {
            let service = Arc::clone(&service);
            async move { service.receive(delivery.message, hears).await }
        };
        for kind in hears.kinds {
            consumer = consumer.on(*kind, handler.clone());
        }
        if hears.kinds.is_empty() {
            consumer = consumer.otherwise(handler);
        }
        self.consumers
            .watch(hears.topic, consumer.spawn(&self.tasks));
    }

    async fn receive(
        &self,
        message: Message,
        Hears { flow, act, .. }: Hears,
    ) -> Result<(), HandlerError> {
        if flow.is_some() && message.extension("flow") != flow {
            return Ok(());
        }
        let consumer = self.spec.name;
        let done = self.write(move |work| {
            if inbox::claim(work.tx(), consumer, &message.source, &message.id)? {
                act(work, &message)?;
            }
            Ok(())
        });
        done.await
            .map_err(|failure| match failure.problem().status {
                408 | 425 | 429 | 500.. => HandlerError::retry(failure),
                _ => HandlerError::reject(failure),
            })
    }

    /// Answers calls of gRPC too, once it serves: with a server under the name that the shop's
    /// descriptors have for it.
    pub(crate) fn grpc<S, B>(&self, name: &'static str, server: S) -> Result<()>
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        http::Response<B>: IntoResponse,
    {
        let services = chassis::grpc::Services::described_by(proto::DESCRIPTORS)?;
        let services = services.with(name, server)?;
        let mut chassis = self.chassis.lock().unwrap_or_else(PoisonError::into_inner);
        let without = chassis.take().context("a service serves once")?;
        *chassis = Some(without.grpc(services)?);
        Ok(())
    }

    /// Listens, registers under the service's name, and answers requests. The answer is where it
    /// listens, and its life, which ends some time after `stop`.
    pub(crate) fn serve(&self, routes: Router, stop: Stop) -> Result<Serving> {
        let chassis = self
            .chassis
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let chassis = chassis.context("a service serves once")?;
        let database = self.database.clone();
        let bound = chassis
            .router(routes)
            .health("database", move || {
                let database = database.clone();
                async move { database.probe().await }
            })
            .remark("platform", self.platform.check(self.spec.name))
            .registry(Arc::clone(&self.platform.registry))
            .bind()
            .with_context(|| format!("the service {} cannot listen", self.spec.name))?;
        let database = self.database.clone();
        Ok(Serving {
            name: self.spec.name,
            address: bound.address(),
            life: Box::pin(async move {
                let ended = bound.run(stop).await;
                let unsent = sending::unsent(&database).await;
                if let Err(error) = database.close().await {
                    tracing::error!(%error, "a database was not closed cleanly");
                }
                Ended { ended, unsent }
            }),
        })
    }

    /// Runs `work` in a transaction, for the request that is being handled.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Work<'_>) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let (spec, sabotage) = (self.spec, self.sabotage);
        let trace = trace::current();
        let written = self
            .database
            .write(move |tx: &Tx<'_>| work(&Work::new(tx, &spec, trace.as_ref(), sabotage)))
            .await;
        if written.is_ok() {
            self.watches.wake();
        }
        written
    }

    /// Runs `work` on a snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        self.database.read(work).await
    }

    /// Answers a saga's call: its effect happens once, in any order of calls.
    pub(crate) async fn participate(
        &self,
        Call(call): Call,
        effect: impl FnOnce(&Work<'_>) -> Reply<Answer> + Send + 'static,
    ) -> Reply<Response> {
        let answer = self.write(move |work| {
            barrier::run(work.tx(), &call, || {
                effect(work).map(|Answer(answer)| answer)
            })
        });
        Ok(Answer(answer.await?).into_response())
    }

    /// Answers a request: once, if it has a key.
    pub(crate) async fn once(
        &self,
        request: Option<Request>,
        effect: impl FnOnce(&Work<'_>) -> Reply<Answer> + Send + 'static,
    ) -> Reply<Response> {
        let answer = self.write(move |work| {
            let effect = || effect(work).map(|Answer(answer)| answer);
            match &request {
                None => effect(),
                Some(request) => {
                    let Request {
                        scope,
                        key,
                        fingerprint,
                        ..
                    } = request;
                    let outcome = idempotency::run(work.tx(), scope, key, fingerprint, effect)?;
                    Ok(Answer::to(request, outcome).0)
                }
            }
        });
        Ok(Answer(answer.await?).into_response())
    }

    /// What a request was answered before. Saves preparations; only [`Service::once`] decides.
    pub(crate) async fn recall(&self, request: Option<Request>) -> Reply<Option<Response>> {
        let Some(request) = request else {
            return Ok(None);
        };
        let known = self.read(move |db| {
            let Request {
                scope,
                key,
                fingerprint,
                ..
            } = &request;
            let known = idempotency::find(db, scope, key, fingerprint)?;
            Ok(known.map(|outcome| Answer::to(&request, outcome)))
        });
        Ok(known.await?.map(IntoResponse::into_response))
    }

    /// Those who watch what it writes.
    pub(crate) const fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Whether another process may write to its database.
    pub(crate) const fn has_other_writers(&self) -> bool {
        self.has_other_writers
    }

    /// Given when the service takes no more work: answers without an end end then.
    pub(crate) const fn leaving(&self) -> &Stop {
        &self.leaving
    }

    /// Calls other services by their names.
    pub(crate) const fn client(&self) -> &Client {
        &self.platform.client
    }

    /// Makes the spans of what it does.
    pub(crate) const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The service's own streams.
    pub(crate) fn log(&self) -> &dyn EventStore {
        &*self.log
    }

    /// The time of day.
    pub(crate) fn clock(&self) -> &Clock {
        self.database.clock()
    }

    /// The tree of tasks that the service belongs to.
    pub(crate) const fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

/// A service that listens.
pub(crate) struct Serving {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Serves while it is awaited, until the stop.
    pub(crate) life: Pin<Box<dyn Future<Output = Ended> + Send>>,
}

/// What was given up when a service stopped.
#[derive(Debug)]
pub(crate) struct Ended {
    ended: chassis::Ended,
    unsent: usize,
}

impl Ended {
    /// The end of a service that sends no events.
    pub(super) const fn with_nothing_unsent(ended: chassis::Ended) -> Self {
        Self { ended, unsent: 0 }
    }

    /// How many of what; nothing if nothing was given up.
    pub(crate) fn abandoned(&self) -> Vec<(usize, &'static str)> {
        let tasks = self.ended.tasks.iter().map(|task| (task.count, task.name));
        let others = [
            (self.ended.connections, "running request"),
            (self.unsent, "event not sent yet; the next start sends it"),
        ];
        let all = others.into_iter().chain(tasks);
        all.filter(|(count, _)| *count > 0).collect()
    }
}

/// Opens the database. One on the network that does not answer yet is waited for; one that refuses us
/// is not, nor is a file.
async fn open_database(url: &EngineUrl, spec: &Spec) -> ieum::sql::Result<Database> {
    let clock = Clock::system();
    let migrations = migrations(spec);
    let open = || Database::open(url, &migrations, clock.clone());
    let is_file = url.scheme() == sqlite::SCHEME;
    patience::wait("the database", &clock, open, |error| {
        !is_file && error.retry().is_worthwhile()
    })
    .await
}

/// The schema of a service's database: its own tables beside streams, outbox, inbox, barrier and
/// idempotency records.
pub(super) fn migrations(spec: &Spec) -> Vec<Migration> {
    let parts = [
        streams::MIGRATIONS,
        outbox::MIGRATIONS,
        inbox::MIGRATIONS,
        barrier::MIGRATIONS,
        idempotency::MIGRATIONS,
        spec.tables,
    ];
    parts.concat()
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        anyhow::anyhow!("{failure}")
    }
}
