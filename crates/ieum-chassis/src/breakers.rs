//! How a service tells of the circuit breakers that it calls through: their states, and each change
//! since the last time it told.

use std::sync::{Arc, Mutex, PoisonError};

use ieum_base::{Clock, Timestamp};
use ieum_discovery::Resolver;
use ieum_discovery::telemetry::EndpointBreaker;
use ieum_telemetry::breakers::{ChangeReport, StateReport, gauges, record};
use ieum_telemetry::otlp::{Report, Reporter};
use tokio::time::Instant;

/// Reads the breakers of `resolver`.
pub(crate) fn reporter(resolver: Resolver, clock: Clock) -> Reporter {
    let read_until = Mutex::new(Instant::now());
    Arc::new(move || {
        let (now, moment) = (clock.now(), Instant::now());
        let mut until = read_until.lock().unwrap_or_else(PoisonError::into_inner);
        let since = std::mem::replace(&mut *until, moment);
        drop(until);
        let breakers = resolver.breakers();
        let states: Vec<_> = breakers.iter().map(state_of).collect();
        let changes = breakers
            .iter()
            .flat_map(|breaker| changes_of(breaker, (since, moment), now));
        Report {
            metrics: match states.is_empty() {
                true => Vec::new(),
                false => gauges(&states, now),
            },
            records: changes.map(|change| record(&change, now)).collect(),
        }
    })
}

/// The state of a breaker.
pub(crate) fn state_of(of: &EndpointBreaker) -> StateReport {
    let snapshot = of.breaker.snapshot();
    StateReport {
        service: of.service.clone(),
        target: of.target.clone(),
        instance: of.instance.0.clone(),
        state: snapshot.state.as_str().to_owned(),
        calls: snapshot.successes + snapshot.failures,
        failures: snapshot.failures,
    }
}

/// Its changes after one moment and until another, which is `now`; the earliest first.
fn changes_of(
    of: &EndpointBreaker,
    (since, until): (Instant, Instant),
    now: Timestamp,
) -> Vec<ChangeReport> {
    let changes = of.breaker.changes().into_iter().rev();
    let changes = changes.filter(|change| since < change.at && change.at <= until);
    changes
        .map(|change| ChangeReport {
            service: of.service.clone(),
            target: of.target.clone(),
            instance: of.instance.0.clone(),
            at: before(now, until - change.at),
            from: change.from.as_str().to_owned(),
            to: change.to.as_str().to_owned(),
            reason: change.reason.to_string(),
        })
        .collect()
}

fn before(now: Timestamp, ago: std::time::Duration) -> Timestamp {
    let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use ieum_base::testing::pass;
    use ieum_base::{Stop, Tasks};
    use ieum_discovery::{Instance, InstanceId, Outcome, balance, memory};
    use ieum_telemetry::breakers::{read_gauges, read_record};
    use ieum_telemetry::proto::ScopeMetrics;

    use super::*;

    fn payments() -> Instance {
        Instance {
            id: InstanceId("payments-1".into()),
            service: "payments".into(),
            address: "10.0.0.9".into(),
            port: 80,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_is_told_once_and_the_state_each_time() {
        let tasks = Tasks::new(Stop::new());
        let resolver = Resolver::new(Arc::new(memory::Registry::new()), tasks);
        let service = resolver.fixed("payments", vec![payments()]);
        let reporter = reporter(resolver, Clock::system());
        let told = || {
            let Report { metrics, records } = reporter();
            let scope = ScopeMetrics {
                scope: None,
                metrics,
            };
            let states = read_gauges([&scope]).into_iter().map(|report| report.state);
            let changes = records.iter().filter_map(read_record);
            let reasons = changes.map(|change| change.reason);
            (states.collect::<Vec<_>>(), reasons.collect::<Vec<_>>())
        };
        assert_eq!(told(), (vec!["closed".to_owned()], vec![]));
        pass(Duration::from_secs(1)).await;
        let endpoint = &service.endpoints()[0];
        while endpoint.breaker().state().as_str() == "closed" {
            let picked = service.pick(balance::Policy::default(), &[]);
            picked.expect("an endpoint").finish(Outcome::FAILURE);
        }
        let (states, reasons) = told();
        assert_eq!((states, reasons.len()), (vec!["open".to_owned()], 1));
        pass(Duration::from_millis(1)).await;
        assert_eq!(told(), (vec!["open".to_owned()], vec![]));
    }
}
