//! The API as its callers meet it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use ieum_base::{Clock, Stop};
use ieum_discovery::{Instance, InstanceId, Registration, Registry};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Catalogue, Guard, Log, Parts, Topics, Vitals, openapi, router};
use crate::traces::{Limits, Store};

/// An API over everything in memory.
struct Api {
    router: Router,
    registry: Arc<ieum_discovery::memory::Registry>,
}

impl Api {
    fn new() -> Self {
        let database = ieum_sql::sqlite::Log::memory(Clock::system());
        Self::over(database)
    }
}
