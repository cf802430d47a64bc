//! Balance: which endpoint takes the next try.

use std::time::Duration;

use ieum_base::Retry;
use ieum_discovery::balance::Policy;
use ieum_discovery::{Absence, EndpointId, Picked};

use crate::errors::{Code, Refusal};
use crate::upstream::Upstream;

/// Picks an endpoint, if possible one that was not tried. A service that was asked for the first
/// time may have to wait a moment for the registry.
pub(crate) async fn pick(
    upstream: &Upstream,
    policy: Policy,
    tried: &[EndpointId],
) -> Result<Picked, Box<Refusal>> {
    if let Some(picked) = upstream.service.pick(policy, tried) {
        return Ok(picked);
    }
    let wait = upstream.service.pick_within(FIRST_ANSWER, policy, tried);
    let picked = Box::pin(wait).await;
    picked.map_err(|absence| absent(upstream, absence))
}

fn absent(upstream: &Upstream, absence: Absence) -> Box<Refusal> {
    let code = match absence {
        Absence::AllOpen { .. } => Code::BreakerOpen,
        _ => Code::NoInstance,
    };
    let refusal = Refusal::new(code, format!("`{}`: {absence}", upstream.name));
    match absence.retry() {
        Retry::After(wait) => refusal.retry_after(wait),
        Retry::Never | Retry::Exhausted => refusal,
    }
}

/// How long the registry's first answer is waited for.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
