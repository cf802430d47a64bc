//! The facade: what a service in Rust depends on.
//!
//! ieum joins services. A service needs one dependency and finds each thing under the name of its
//! crate: [`chassis`] gives it a life (health, metrics, registration, graceful stop), [`client`]
//! calls other services by name, [`eventstore`] and [`messaging`] keep and publish what happened,
//! `sql` puts streams, outbox, inbox and barrier into the service's own database, and [`saga`]
//! describes what must happen as a whole or not at all.
//!
//! The facade adds nothing of its own, so that a type has one home and one name. Engines that bring
//! a client library are features; the embedded SQLite is the default one.
//!
//! | module | what it joins |
//! |---|---|
//! | [`base`] | time, ids, units, tasks, secrets, the trace context |
//! | [`http`] | connections, problem details, header propagation |
//! | [`resilience`] | timeout, retry, circuit breaker, bulkhead, rate limit, fallback, cache |
//! | [`eventstore`] | streams, deciders, projections |
//! | [`messaging`] | CloudEvents, topics, outbox and inbox |
//! | [`discovery`] | which instances of a service live where |
//! | [`client`] | calls to a service by its name |
//! | [`chassis`] | the life of a service |
//! | [`saga`] | definitions, engine and participants of sagas |
//! | [`remote`] | every port over the API of a running ieum (`ieum://`) |
//! | `contract` | contracts with other services, for tests (feature `contract`) |
//! | `sql` | every port on SQLite (feature `sqlite`) and PostgreSQL (feature `postgres`) |
//! | `nats`, `kafka`, `rabbitmq`, `redis`, `aws` | brokers by URL (a feature each) |

#[cfg(doctest)]
mod documents;

pub use ieum_base as base;
pub use ieum_http as http;
pub use ieum_resilience as resilience;

pub use ieum_eventstore as eventstore;
pub use ieum_messaging as messaging;

pub use ieum_discovery as discovery;

pub use ieum_chassis as chassis;
pub use ieum_client as client;
pub use ieum_saga as saga;

pub use ieum_remote as remote;

#[cfg(feature = "contract")]
pub use ieum_contract as contract;
#[cfg(feature = "sqlite")]
pub use ieum_sql as sql;

#[cfg(feature = "aws")]
pub use ieum_aws as aws;
#[cfg(feature = "kafka")]
pub use ieum_kafka as kafka;
#[cfg(feature = "nats")]
pub use ieum_nats as nats;
#[cfg(feature = "rabbitmq")]
pub use ieum_rabbitmq as rabbitmq;
#[cfg(feature = "redis")]
pub use ieum_redis as redis;

#[cfg(any(doctest, test))]
mod patterns;
