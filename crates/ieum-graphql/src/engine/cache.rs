//! The cache of plans, by document, operation name and what decides conditions.
//!
//! It is bounded twice: an entry weighs its document and about what its plan takes, but at least its share
//! if the cache were full, so that neither many small documents nor few large ones outgrow it. Documents whose plans are
//! asked for once only do not push out those that are asked for again (Clock-PRO).

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use super::config::Planning;
use super::prepared::Prepared;
use crate::operation::Given;
use crate::rejection::Rejection;
use crate::request::Request;

pub(super) struct PlanCache(Cache<Key, Arc<Prepared>, Weight>);

#[derive(Clone, PartialEq, Eq)]
struct Key {
    document: Arc<str>,
    operation: Option<Arc<str>>,
    given: Given,
}

/// A key that borrows from a request.
struct KeyRef<'a> {
    document: &'a str,
    operation: Option<&'a str>,
    given: Cow<'a, Given>,
}

impl PlanCache {
    pub(super) fn new(planning: &Planning) -> Self {
        let plans = planning.cached_plans.max(1);
        let bytes = planning.cached_bytes.max(1);
        let least = bytes.div_ceil(plans).max(1);
        let (bytes, least) = (bytes as u64, least as u64);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(plans)
            .weight_capacity(bytes)
            .build();
        Self(match options {
            Ok(options) => Cache::with_options(
                options,
                Weight { least },
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // Not met: only a capacity that was not set is an error.
            Err(_) => Cache::with_weighter(plans, bytes, Weight { least }),
        })
    }

    /// The plan of this request, if it is known.
    pub(super) fn get(&self, request: &Request) -> Option<Arc<Prepared>> {
        self.0.get(&KeyRef::of(request))
    }

    /// The plan of this request, made if need be. Of several requests at once for one document, one makes
    /// it and the others wait.
    pub(super) fn get_or_make(
        &self,
        request: &Request,
        make: impl FnOnce() -> Result<Arc<Prepared>, Rejection>,
    ) -> Result<Arc<Prepared>, Rejection> {
        let key = Key {
            document: request.query.as_str().into(),
            operation: request.operation_name.as_deref().map(Into::into),
            given: Given::of(request),
        };
        self.0.get_or_insert_with(&key, make)
    }

    /// How many plans are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> KeyRef<'a> {
    fn of(request: &'a Request) -> Self {
        Self {
            document: &request.query,
            operation: request.operation_name.as_deref(),
            given: Cow::Owned(Given::of(request)),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let borrowed = KeyRef {
            document: &self.document,
            operation: self.operation.as_deref(),
            given: Cow::Borrowed(&self.given),
        };
        borrowed.hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.document.hash(state);
        self.operation.hash(state);
        self.given.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *key.document == *self.document
            && key.operation.as_deref() == self.operation
            && key.given == *self.given
    }
}

#[derive(Clone)]
struct Weight {
    least: u64,
}

impl Weighter<Key, Arc<Prepared>> for Weight {
    fn weight(&self, key: &Key, prepared: &Arc<Prepared>) -> u64 {
        let bytes = key.document.len() + prepared.bytes();
        (bytes as u64).max(self.least)
    }
}

/// Parts with a lock and an equal share of the bytes each. What outweighs a share is not remembered, so
/// that there are few, whatever the number of cores: one of four holds the largest plan of the defaults.
const SHARDS: usize = 4;
