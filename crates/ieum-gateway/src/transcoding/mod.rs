//! Transcoding: what a route with `transcode` answers from.
//!
//! The translator is made of descriptors that were given, or that the service itself is asked for by
//! a [`keeper`] in the background. The last one that made sense stays in use, whatever the service
//! says of itself later; and it survives a reload of the configuration.

mod fetch;
mod keeper;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ieum_base::Stop;
use ieum_grpc::transcode::Transcoder;
use serde::Serialize;

use crate::table::{DescriptorSource, PlannedTranscode, Table};
use crate::upstream::{Address, Upstream};

pub(crate) use keeper::begin_new;

/// Services of gRPC that are offered as HTTP with JSON.
pub(crate) struct Transcoding {
    plan: PlannedTranscode,
    pub(crate) upstream: Arc<Upstream>,
    live: ArcSwapOption<Transcoder>,
    /// What is wrong with what the service says of itself.
    problem: Mutex<Option<String>>,
    /// True once somebody keeps it.
    is_kept: AtomicBool,
    /// Requested when no route uses it any more.
    gone: Stop,
}

/// What a route translates, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TranscodeInfo {
    /// What is offered, in the order in which it is looked at. Empty until the service has said what
    /// it looks like.
    pub methods: Vec<TranscodedMethod>,
    /// What is wrong with what the service says of itself; the last that made sense is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A method that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TranscodedMethod {
    /// The requests that call it, after `strip-prefix`: `GET /v1/users/{id=*}`.
    pub request: String,
    /// The method of gRPC: `/shop.users.v1.Users/GetUser`.
    pub rpc: String,
}

impl Transcoding {
    /// What a plan says; with the translator from before, if its descriptors were fetched for the
    /// same.
    pub(crate) fn build(
        plan: PlannedTranscode,
        upstream: impl Fn(&Address) -> Arc<Upstream>,
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let kept = before.filter(|before| plan.fetches_as(&before.plan));
        let (live, refresh) = match &plan.source {
            DescriptorSource::File(given) => (Some(Arc::clone(given)), None),
            DescriptorSource::Reflection(refresh) => {
                (kept.and_then(|before| before.live()), Some(refresh))
            }
        };
        Arc::new(Self {
            upstream: upstream(&plan.address),
            live: ArcSwapOption::new(live),
            problem: Mutex::default(),
            is_kept: AtomicBool::new(refresh.is_none()),
            gone: Stop::new(),
            plan,
        })
    }

    /// The translator in use; `None` until the service has said what it looks like.
    pub(crate) fn live(&self) -> Option<Arc<Transcoder>> {
        self.live.load_full()
    }

    /// The largest message, in bytes.
    pub(crate) fn most(&self, table: &Table) -> u64 {
        self.plan.most.unwrap_or(table.config.limits.message.0)
    }

    /// What it offers, for people.
    pub(crate) fn info(&self) -> TranscodeInfo {
        let live = self.live();
        let bindings = live.iter().flat_map(|transcoder| transcoder.bindings());
        let methods = bindings.map(|binding| TranscodedMethod {
            request: binding.to_string(),
            rpc: binding.rpc().to_owned(),
        });
        TranscodeInfo {
            methods: methods.collect(),
            problem: self.problem().clone(),
        }
    }

    fn problem(&self) -> MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, problem: Option<String>) {
        *self.problem() = problem;
    }

    /// True for the first who asks, if it has to be kept at all.
    fn claim(&self) -> bool {
        !self.is_kept.swap(true, Ordering::AcqRel)
    }

    /// How often the service is asked.
    fn refresh(&self) -> Duration {
        match self.plan.source {
            DescriptorSource::Reflection(refresh) => refresh,
            DescriptorSource::File(_) => Duration::MAX,
        }
    }
}

impl Drop for Transcoding {
    fn drop(&mut self) {
        self.gone.request();
    }
}

impl fmt::Debug for Transcoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transcoding")
            .field(&self.plan.services)
            .finish()
    }
}
