//! Whether the service can work: named checks behind `/health`.
//!
//! A check has a time limit, and its result is kept for a moment, so that asking for health costs a
//! database nothing. All checks run at once; a caller that finds one running waits for its result.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use http::StatusCode;
use ieum_base::{HumanDuration, Stop};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The health of a service. Clones are the same.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    timeout: Duration,
    cache: Duration,
    leaving: Stop,
    checks: std::sync::Mutex<Vec<Arc<Check>>>,
}

struct Check {
    name: String,
    /// Whether the service cannot work while it fails.
    vital: bool,
    run: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
    last: Mutex<Option<(Instant, CheckResult)>>,
}

/// What `/health` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `healthy` if every check is.
    pub status: Overall,
    /// The checks by their names.
    pub checks: BTreeMap<String, CheckResult>,
    /// Whether the service can be called: no vital check failed, and it is not stopping.
    #[serde(skip)]
    pub callable: bool,
}

/// The sum of all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Every check is ok, and the service accepts work.
    Healthy,
    /// A check failed, or the service is stopping.
    Degraded,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "status")]
pub enum CheckResult {
    /// It works.
    Ok,
    /// It does not.
    Failed {
        /// Why.
        error: String,
    },
}

impl Health {
    /// Health without checks: ready at once.
    pub fn new(timeout: Duration, cache: Duration) -> Self {
        Self(Arc::new(Inner {
            timeout,
            cache,
            leaving: Stop::new(),
            checks: std::sync::Mutex::default(),
        }))
    }

    /// Adds a check, or replaces the one of that name. `check` runs anew each time.
    pub fn add<C, F, E>(&self, name: impl Into<String>, check: C)
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.put(name.into(), true, check);
    }

    /// Adds a check of something that the service can do without for a while: while it fails the
    /// report is degraded, and the service can still be called.
    pub fn add_remark<C, F, E>(&self, name: impl Into<String>, check: C)
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.put(name.into(), false, check);
    }

    fn put<C, F, E>(&self, name: String, vital: bool, check: C)
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let run = move || -> BoxFuture<'static, Result<(), String>> {
            let running = check();
            Box::pin(async move { running.await.map_err(|error| error.to_string()) })
        };
        let check = Arc::new(Check {
            name,
            vital,
            run: Box::new(run),
            last: Mutex::new(None),
        });
        let mut checks = self.checks();
        checks.retain(|other| other.name != check.name);
        checks.push(check);
    }

    /// From now on the report is degraded: the service takes no more work.
    pub fn not_ready(&self) {
        self.0.leaving.request();
    }

    /// Given when the service takes no more work: an answer that has no end of its own ends then, and
    /// its client turns to another instance.
    pub fn leaving(&self) -> &Stop {
        &self.0.leaving
    }

    /// Runs the checks whose results are too old.
    pub async fn report(&self) -> Report {
        let checks = self.checks().clone();
        let (timeout, cache) = (self.0.timeout, self.0.cache);
        let results = join_all(checks.iter().map(|check| check.result(timeout, cache))).await;
        let mut callable = checks
            .iter()
            .zip(&results)
            .all(|(check, result)| !check.vital || *result == CheckResult::Ok);
        let mut results: BTreeMap<_, _> = checks
            .iter()
            .map(|check| check.name.clone())
            .zip(results)
            .collect();
        if self.0.leaving.is_requested() {
            let error = "the service is stopping".to_owned();
            results.insert("accepting".to_owned(), CheckResult::Failed { error });
            callable = false;
        }
        let well = results.values().all(|result| *result == CheckResult::Ok);
        Report {
            status: if well {
                Overall::Healthy
            } else {
                Overall::Degraded
            },
            checks: results,
            callable,
        }
    }

    fn checks(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Check>>> {
        self.0
            .checks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Report {
    /// 200 if the service can be called, otherwise 503: who sees it must not send anything.
    pub const fn status_code(&self) -> StatusCode {
        match self.callable {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The failed checks, for people: `database: no such file`.
    pub fn failures(&self) -> String {
        let failed = self
            .checks
            .iter()
            .filter_map(|(name, result)| match result {
                CheckResult::Ok => None,
                CheckResult::Failed { error } => Some(format!("{name}: {error}")),
            });
        failed.collect::<Vec<_>>().join("; ")
    }
}

impl Check {
    async fn result(&self, timeout: Duration, cache: Duration) -> CheckResult {
        let mut last = self.last.lock().await;
        // What failed and is only remarked upon is looked at again: nothing is taken out for it, and
        // nobody should read for a second that a service that has just begun is degraded.
        if let Some((at, result)) = &*last
            && at.elapsed() < cache
            && (self.vital || *result == CheckResult::Ok)
        {
            return result.clone();
        }
        let result = match tokio::time::timeout(timeout, (self.run)()).await {
            Ok(Ok(())) => CheckResult::Ok,
            Ok(Err(error)) => CheckResult::Failed { error },
            Err(_) => CheckResult::Failed {
                error: format!("no result within {}", HumanDuration(timeout)),
            },
        };
        if let CheckResult::Failed { error } = &result {
            tracing::warn!(check = self.name, error, "a health check failed");
        }
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks();
        let names = checks.iter().map(|check| &check.name);
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn the_report_has_the_shape_of_the_guides() {
        let health = Health::new(SECOND, SECOND);
        health.add("database", || async { Ok::<_, String>(()) });
        let report = health.report().await;
        assert_eq!(report.status_code(), 200);
        assert_eq!(
            serde_json::to_value(&report).expect("serialises"),
            serde_json::json!({"status": "healthy", "checks": {"database": {"status": "ok"}}})
        );
    }

    #[tokio::test]
    async fn a_failed_check_is_named_and_the_answer_is_503() {
        let health = Health::new(SECOND, SECOND);
        health.add("cache", || async { Ok::<_, String>(()) });
        health.add("database", || async { Err("no such file") });
        let report = health.report().await;
        assert_eq!(report.status_code(), 503);
        assert_eq!(report.failures(), "database: no such file");
        let json = serde_json::to_value(&report).expect("serialises");
        assert_eq!(json["status"], "degraded");
        let failed = serde_json::json!({"status": "failed", "error": "no such file"});
        assert_eq!(json["checks"]["database"], failed);
    }

    #[tokio::test]
    async fn without_what_it_can_do_without_a_service_is_degraded_and_can_be_called() {
        let health = Health::new(SECOND, SECOND);
        health.add("database", || async { Ok::<_, String>(()) });
        health.add_remark("platform", || async { Err("nobody listens") });
        let report = health.report().await;
        assert_eq!(
            (report.status, report.status_code()),
            (Overall::Degraded, StatusCode::OK)
        );
        assert_eq!(report.failures(), "platform: nobody listens");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_service_waits_for_at_its_start_is_seen_as_soon_as_it_is_there() {
        let is_there = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_there);
        let health = Health::new(SECOND, SECOND);
        health.add_remark("platform", move || {
            let there = seen.load(Ordering::SeqCst);
            async move { there.then_some(()).ok_or("not registered yet") }
        });
        assert_eq!(health.report().await.status, Overall::Degraded);
        is_there.store(true, Ordering::SeqCst);
        assert_eq!(health.report().await.status, Overall::Healthy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_in_time() {
        let health = Health::new(SECOND, SECOND);
        health.add("database", std::future::pending::<Result<(), String>>);
        let before = Instant::now();
        let report = health.report().await;
        assert_eq!(before.elapsed(), SECOND);
        assert_eq!(report.failures(), "database: no result within 1s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_is_kept_for_a_moment_and_then_asked_anew() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let health = Health::new(SECOND, SECOND);
        health.add("database", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move { if run == 0 { Err("away") } else { Ok(()) } }
        });
        let both = tokio::join!(health.report(), health.report());
        assert_eq!(
            (both.0.status, runs.load(Ordering::SeqCst)),
            (Overall::Degraded, 1)
        );
        tokio::time::advance(SECOND).await;
        assert_eq!(health.report().await.status, Overall::Healthy);
    }

    #[tokio::test]
    async fn a_stopping_service_is_not_ready() {
        let health = Health::new(SECOND, SECOND);
        health.not_ready();
        assert_eq!(
            health.report().await.failures(),
            "accepting: the service is stopping"
        );
    }
}
