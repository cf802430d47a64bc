//! Queries: their parameters, and how long a blocking one waits.
//!
//! A query with an `index` above 0 waits until the index is another one, at most for `wait` and up
//! to a sixteenth of it longer, so that many clients do not come back together.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::{Refused, Result};
use super::filter::{Filter, Shape};
use super::wire::{boolean, duration};
use super::{Consul, NodeInfo};

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

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        let given = self.get(name).map(str::parse).transpose();
        given.map_err(|_| Refused::bad_request(format!("Invalid {name}")))
    }

    /// Refuses more than one of `names`, which would contradict each other.
    pub(super) fn one_of(&self, names: &[&str]) -> Result<()> {
        let given = names.iter().filter(|name| self.get(name).is_some());
        let given: Vec<&str> = given.copied().collect();
        match given.len() {
            0 | 1 => Ok(()),
            _ => Err(Refused::bad_request(format!(
                "Conflicting flags: {}",
                given.join("&")
            ))),
        }
    }

    /// The filter, if there is one, for entries of `shape`.
    pub(super) fn filter(&self, shape: &Shape) -> Result<Option<Filter>> {
        let given = self.get("filter").filter(|filter| !filter.is_empty());
        given.map(|text| Filter::parse(text, shape)).transpose()
    }

    /// Whether a node has all the metadata that is asked for, as `node-meta=key:value`.
    pub(super) fn has_node_meta(&self, node: &NodeInfo) -> bool {
        self.all("node-meta").all(|wanted| {
            let (key, value) = wanted.split_once(':').unwrap_or((wanted, ""));
            node.meta.get(key).is_some_and(|known| known == value)
        })
    }

    /// Refuses what this node cannot answer truthfully.
    pub(super) fn check(&self, consul: &Consul) -> Result<()> {
        consul.check_datacenter(self.get("dc").unwrap_or_default())
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
    with_index(index, Json(value).into_response())
}

/// An answer with the headers of a query's.
pub(super) fn with_index(index: u64, mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(INDEX, HeaderValue::from(index));
    headers.insert(KNOWN_LEADER, HeaderValue::from_static("true"));
    headers.insert(LAST_CONTACT, HeaderValue::from_static("0"));
    headers.insert(CONSISTENCY, HeaderValue::from_static("leader"));
    answer
}

/// Leaves what passes.
pub(super) fn keep<T: Serialize>(filter: Option<&Filter>, entries: &mut Vec<T>) {
    if let Some(filter) = filter {
        entries.retain(|entry| filter.passes(entry));
    }
}

const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const KNOWN_LEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const LAST_CONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
const CONSISTENCY: HeaderName = HeaderName::from_static("x-consul-effective-consistency");

/// Consul's default and its bound.
const DEFAULT_WAIT: Duration = Duration::from_secs(5 * 60);
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);
