//! Metrics of one service, in its own registry: several services may live in one process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
/// The crate whose metrics are registered here; a service that uses this one has the same version.
pub use prometheus_client;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

/// The media type of [`Metrics::encode`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry of metrics. Clones are the same registry.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    refreshers: Arc<Mutex<Vec<Refresher>>>,
}

/// Brings metrics up to date.
type Refresher = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metric and hands back a clone, which is the same metric. Counters get the suffix
    /// `_total` when they are shown. User input is never a label.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry().register(name, help, metric.clone());
        metric
    }

    /// Has `refresh` called before metrics are shown: for what is counted elsewhere.
    pub fn refresh<F>(&self, refresh: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let refresh: Refresher = Arc::new(move || refresh().boxed());
        self.refreshers().push(refresh);
    }

    /// All metrics, up to date, in the OpenMetrics text format.
    pub async fn show(&self) -> String {
        let refreshers = self.refreshers().clone();
        join_all(refreshers.iter().map(|refresh| refresh())).await;
        self.encode()
    }

    /// All metrics as they are in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry());
        text
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refreshers(&self) -> MutexGuard<'_, Vec<Refresher>> {
        self.refreshers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
