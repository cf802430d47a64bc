//! The retry budget.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::InvalidSetting;
use crate::rate_limit::{Limiter, Quota};
use crate::window::{Column, Window};

/// How many retries a number of requests pays for.
///
/// ```toml
/// percent = 20
/// window = "10s"
/// per-second = 10
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Retries as a percentage of the requests in the window. Default 20; 0 to 100.
    #[schemars(range(max = 100))]
    pub percent: u32,
    /// The time over which requests and retries are counted. Default `10s`; `1s` to `1h`.
    pub window: HumanDuration,
    /// Retries per second that are always allowed. Default 10; 0 for none.
    pub per_second: u32,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            percent: 20,
            window: HumanDuration::from_secs(10),
            per_second: 10,
        }
    }
}

impl BudgetConfig {
    /// Every setting that is out of its range.
    pub fn invalid(&self) -> Vec<InvalidSetting> {
        let mut found = Vec::new();
        if self.percent > 100 {
            found.push(InvalidSetting::new("percent", "must be from 0 to 100"));
        }
        let windows = Duration::from_secs(1)..=Duration::from_secs(3600);
        if !windows.contains(&self.window.0) {
            found.push(InvalidSetting::new("window", "must be from 1s to 1h"));
        }
        found
    }
}

/// Pays for retries. Clones share one budget; give one to all callers of one service.
///
/// Over any stretch of time, retries ≤ `percent` of the requests in it (and in the window before) +
/// `per_second` × seconds + one second's worth.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    percent: u64,
    /// Requests, and the retries that they paid for.
    window: Window,
    reserve: Option<Limiter>,
    /// Only a retry takes it, so that two retries cannot spend the same request.
    spending: Mutex<()>,
}

impl Budget {
    /// A budget that nobody has paid into.
    pub fn new(config: BudgetConfig) -> Self {
        let reserve = (config.per_second > 0).then(|| {
            let quota = Quota::new(config.per_second, Duration::from_secs(1), config.per_second);
            Limiter::new(quota)
        });
        Self(Arc::new(Shared {
            percent: u64::from(config.percent),
            window: Window::new(config.window.0),
            reserve,
            spending: Mutex::default(),
        }))
    }

    /// Counts a request; the first attempt only.
    pub fn deposit(&self) {
        self.deposit_at(Instant::now());
    }

    /// The same, for callers who have read the clock already.
    pub fn deposit_at(&self, now: Instant) {
        self.0.window.add(now, Column::First);
    }

    /// Pays for one retry; false means that it must not be made.
    #[must_use]
    pub fn try_withdraw(&self) -> bool {
        let now = Instant::now();
        let shared = &self.0;
        let _spending = shared
            .spending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let counts = shared.window.sum(now);
        let (requests, retries) = (counts.first, counts.second);
        if (retries + 1) * 100 <= requests * shared.percent {
            shared.window.add(now, Column::Second);
            return true;
        }
        let reserve = shared.reserve.as_ref();
        reserve.is_some_and(|reserve| reserve.check_at(now).is_ok())
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(BudgetConfig::default())
    }
}
