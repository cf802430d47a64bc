//! The platform API: every route under `/api/`, the OTLP receiver, and Consul's API, on one listener.
//!
//! A request passes, in this order: the guard (host, origin, token), the limit of the body, the
//! route. What nobody answers is answered with problem details.

mod absent;
mod extract;
mod guard;
mod health;
pub(crate) mod impact;
mod limits;
mod log;
mod openapi;
mod otlp;
mod overview;
mod platforms;
mod reserved;
mod router;
pub(crate) mod routes;
pub(crate) mod sagas;
mod services;
mod streams;
mod topics;
mod traces;

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod tests;

pub(crate) use absent::Absent;
pub(crate) use guard::Guard;
pub(crate) use health::{Check, Vitals};
pub(crate) use log::Log;
pub(crate) use overview::Live;
pub(crate) use platforms::Company;
pub(crate) use router::{Parts, router};
pub(crate) use services::Catalogue;
pub(crate) use topics::Topics;
