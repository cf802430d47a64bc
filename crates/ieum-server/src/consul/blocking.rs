//! Queries: their parameters, and how long a blocking one waits.
//!
//! A query with an `index` above 0 waits until the index is another one, at most for `wait` and up
//! to a sixteenth of it longer, so that many clients do not come back together.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Consul;
use super::error::{Refused, Result};
use super::wire::{boolean, duration};

/// The parameters of a query, in the order they were given; a name may come more than once.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// How long a query waits, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocking {
    /// The index that the client has seen; 0 asks for an answer at once.
    pub(super) index: u64,
    /// The longest wait, jitter included.
    pub(super) wait: Duration,
}

impl Query {
    pub(super) const fn new(parameters: Vec<(String, String)>) -> Self {
        Self(parameters)
    }

    /// The first value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(key, _)| key == name);
        value.map(|(_, value)| value.as_str())
    }

    /// Every value of `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let values = self.0.iter().filter(move |(key, _)| key == name);
        values.map(|(_, value)| value.as_str())
    }

    /// A switch: `?passing`, `?passing=true`, `?passing=0`.
    pub(super) fn switch(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None => Ok(false),
            Some("") => Ok(true),
            Some(value) => boolean(value)
                .ok_or_else(|| Refused::bad_request(format!("Invalid value for ?{name}"))),
        }
    }

    /// Refuses what this node cannot answer truthfully.
    pub(super) fn check(&self, consul: &Consul) -> Result<()> {
        if self.get("filter").is_some_and(|filter| !filter.is_empty()) {
            return Err(Refused::bad_request("filter expressions are not supported"));
        }
        match self.get("dc") {
            Some(dc) if !dc.is_empty() && dc != consul.node.datacenter => Err(Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "No path to datacenter",
            )),
            _ => Ok(()),
        }
    }

    /// The wait of this query, with jitter.
    pub(super) fn blocking(&self, consul: &Consul) -> Result<Blocking> {
        let index = match self.get("index").unwrap_or_default() {
            "" => 0,
            text => text
                .parse()
                .map_err(|_| Refused::bad_request("Invalid index"))?,
        };
        let wait = match self.get("wait").unwrap_or_default() {
            "" => DEFAULT_WAIT,
            text => duration(text).ok_or_else(|| Refused::bad_request("Invalid wait time"))?,
        };
        // Consul takes a wait of nothing for none given.
        let wait = if wait.is_zero() { DEFAULT_WAIT } else { wait };
        let wait = wait.min(LONGEST_WAIT);
        let jitter = (wait / 16).mul_f64(consul.rng.fraction());
        Ok(Blocking {
            index,
            wait: wait + jitter,
        })
    }
}

/// JSON with the headers of a query's answer.
pub(super) fn indexed<T: Serialize>(index: u64, value: &T) -> Response {
    let headers = [
        (INDEX, HeaderValue::from(index)),
        (KNOWN_LEADER, HeaderValue::from_static("true")),
        (LAST_CONTACT, HeaderValue::from_static("0")),
        (CONSISTENCY, HeaderValue::from_static("leader")),
    ];
    (headers, Json(value)).into_response()
}

const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const KNOWN_LEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const LAST_CONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
const CONSISTENCY: HeaderName = HeaderName::from_static("x-consul-effective-consistency");

/// Consul's default and its bound.
const DEFAULT_WAIT: Duration = Duration::from_secs(5 * 60);
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);
