//! What one thread of the data path owns: its connections, its buffer of the access log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ieum_base::trace::Tracer;
use ieum_base::{Backoff, Clock, Rng, Tasks};
use ieum_discovery::{Endpoint, EndpointId};
use ieum_http::{Pool, Target, http2};

use crate::access_log::Buffer;
use crate::body::RequestBody;
use crate::table::Table;
use crate::telemetry::Telemetry;

/// One thread of the data path.
pub(crate) struct Worker {
    pub(crate) tables: Arc<ArcSwap<Table>>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) tracer: Tracer,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) backoff: Backoff,
    pub(crate) pool: Pool<RequestBody>,
    /// Connections to upstreams that are called by gRPC.
    pub(crate) http2: http2::Pool,
    /// Connections, streams and tunnels of this thread.
    pub(crate) tasks: Tasks,
    pub(crate) log: Option<Buffer>,
    targets: Mutex<HashMap<EndpointId, Target>>,
}

/// What a worker is made of.
pub(crate) struct Parts {
    pub(crate) tables: Arc<ArcSwap<Table>>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) tracer: Tracer,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) backoff: Backoff,
    pub(crate) pool: Pool<RequestBody>,
    pub(crate) http2: http2::Pool,
    pub(crate) tasks: Tasks,
    pub(crate) log: Option<Buffer>,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            tables,
            telemetry,
            tracer,
            clock,
            rng,
            backoff,
            pool,
            http2,
            tasks,
            log,
        } = parts;
        Self {
            tables,
            telemetry,
            tracer,
            clock,
            rng,
            backoff,
            pool,
            http2,
            tasks,
            log,
            targets: Mutex::default(),
        }
    }

    /// The present table. A request keeps the one that it began with.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.tables.load_full()
    }

    /// An endpoint's address as the pool wants it, parsed once.
    pub(crate) fn target(&self, endpoint: &Endpoint, is_secure: bool) -> ieum_http::Result<Target> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(&endpoint.id()) {
            return Ok(target.clone());
        }
        let authority = endpoint.authority().as_str();
        let target = if is_secure {
            Target::https(authority)?
        } else {
            Target::http(authority)?
        };
        // Endpoints come and go; those that are gone need not be told from those that are not.
        if targets.len() >= MOST_TARGETS {
            targets.clear();
        }
        targets.insert(endpoint.id(), target.clone());
        Ok(target)
    }
}

const MOST_TARGETS: usize = 1_024;
