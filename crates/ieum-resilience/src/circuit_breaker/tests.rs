//! Behaviour, on virtual time.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ieum_base::Rng;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

fn breaker(config: Config) -> Breaker {
    Breaker::new(Config {
        jitter: 0.0,
        ..config
    })
}

fn call(breaker: &Breaker, outcome: Outcome) -> bool {
    match breaker.try_acquire() {
        Ok(permit) => {
            permit.record(outcome);
            true
        }
        Err(_) => false,
    }
}

fn calls(breaker: &Breaker, number: usize, outcome: Outcome) {
    for _ in 0..number {
        assert!(call(breaker, outcome), "the breaker opened too early");
    }
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

const SECOND: Duration = Duration::from_secs(1);
const PROBE: &str = "it was open for long enough; a probe is sent";

#[tokio::test(start_paused = true)]
async fn opens_after_seven_failures_in_a_row() {
    let breaker = breaker(Config {
        success_rate: 0.0,
        ..Config::linkerd()
    });
    calls(&breaker, 6, Outcome::Failure);
    calls(&breaker, 1, Outcome::Success);
    calls(&breaker, 6, Outcome::Failure);
    assert_eq!(breaker.state(), State::Closed);
    calls(&breaker, 1, Outcome::Failure);
    assert_eq!(breaker.state(), State::Open);
    assert!(!call(&breaker, Outcome::Success));
}

#[tokio::test(start_paused = true)]
async fn opens_when_the_success_rate_over_the_window_is_low() {
    let breaker = breaker(Config::linkerd());
    calls(&breaker, 8, Outcome::Success);
    calls(&breaker, 2, Outcome::Failure);
    assert_eq!(breaker.state(), State::Closed, "8 of 10 is not below 80 %");
    calls(&breaker, 1, Outcome::Failure);
    assert_eq!(breaker.state(), State::Open, "8 of 11 is");
}

#[tokio::test(start_paused = true)]
async fn the_rate_counts_from_the_minimum_of_requests() {
    let breaker = breaker(Config::linkerd());
    calls(&breaker, 4, Outcome::Failure);
    assert_eq!(breaker.state(), State::Closed);
    calls(&breaker, 1, Outcome::Success);
    assert_eq!(breaker.state(), State::Open, "1 of 5");
}

#[tokio::test(start_paused = true)]
async fn a_long_healthy_past_does_not_delay_the_opening() {
    let breaker = breaker(Config {
        consecutive_failures: 0,
        ..Config::linkerd()
    });
    calls(&breaker, 20_000, Outcome::Success);
    pass(11 * SECOND).await;
    calls(&breaker, 5, Outcome::Failure);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_not_found_is_no_failure() {
    let breaker = breaker(Config::linkerd());
    let status = |result: Result<&u16, &Infallible>| match result {
        Ok(500..) => Outcome::Failure,
        _ => Outcome::Success,
    };
    let layer = CircuitBreakerLayer::with_breaker(breaker.clone(), status);
    let answer = |status: u16| {
        let service = layer.layer(service_fn(
            move |()| async move { Ok::<_, Infallible>(status) },
        ));
        service.oneshot(())
    };
    for _ in 0..50 {
        assert_eq!(answer(404).await, Ok(404));
    }
    for _ in 0..7 {
        let _ = answer(503).await;
    }
    assert_eq!(breaker.state(), State::Open);
    assert!(matches!(answer(200).await, Err(Error::Open(_))));
}

#[tokio::test(start_paused = true)]
async fn lets_exactly_one_probe_through_and_its_success_closes() {
    let breaker = breaker(Config::linkerd());
    calls(&breaker, 5, Outcome::Failure);
    pass(SECOND - Duration::from_millis(1)).await;
    assert!(!breaker.is_available());
    let refused = breaker.try_acquire().expect_err("still open");
    assert_eq!(refused.retry_after, Duration::from_millis(1));
    pass(Duration::from_millis(1)).await;
    assert!(breaker.is_available());
    let probe = breaker.try_acquire().expect("the probe");
    assert!(probe.is_probe());
    assert_eq!(breaker.state(), State::HalfOpen);
    for _ in 0..100 {
        assert!(
            breaker.try_acquire().is_err(),
            "a second call while half-open"
        );
    }
    probe.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
    calls(&breaker, 4, Outcome::Failure);
    assert_eq!(breaker.state(), State::Closed, "the past is forgotten");
}

#[tokio::test(start_paused = true)]
async fn failed_probes_double_the_open_time_up_to_its_bound() {
    let breaker = breaker(Config::linkerd());
    calls(&breaker, 5, Outcome::Failure);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let open = breaker.try_acquire().expect_err("open");
        assert_eq!(open.retry_after, Duration::from_secs(seconds));
        pass(open.retry_after).await;
        calls(&breaker, 1, Outcome::Failure);
    }
    pass(60 * SECOND).await;
    calls(&breaker, 1, Outcome::Success);
    calls(&breaker, 5, Outcome::Failure);
    let open = breaker.try_acquire().expect_err("open");
    assert_eq!(open.retry_after, SECOND, "closing starts the times anew");
}

#[tokio::test(start_paused = true)]
async fn jitter_adds_at_most_its_share() {
    for seed in 0..50 {
        let silent: Observer = Arc::new(|_| {});
        let breaker = Breaker::observed(Config::linkerd(), Rng::seeded(seed), silent);
        calls(&breaker, 5, Outcome::Failure);
        let open = breaker.try_acquire().expect_err("open").retry_after;
        assert!((SECOND..=SECOND.mul_f64(1.5)).contains(&open), "{open:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_makes_room_for_the_next() {
    let breaker = breaker(Config::linkerd());
    calls(&breaker, 5, Outcome::Failure);
    pass(SECOND).await;
    drop(breaker.try_acquire().expect("the probe"));
    let next = breaker.try_acquire().expect("the next probe");
    assert!(next.is_probe());
    next.record(Outcome::Unknown);
    calls(&breaker, 1, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_straggler_of_an_earlier_generation_changes_nothing() {
    let breaker = breaker(Config::linkerd());
    let straggler = breaker.try_acquire().expect("closed");
    let another = breaker.try_acquire().expect("closed");
    calls(&breaker, 5, Outcome::Failure);
    straggler.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Open);
    pass(SECOND).await;
    let probe = breaker.try_acquire().expect("the probe");
    another.record(Outcome::Failure);
    assert_eq!(breaker.state(), State::HalfOpen);
    probe.record(Outcome::Success);
    assert_eq!(breaker.snapshot().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn several_probes_go_one_after_the_other() {
    let breaker = breaker(Config {
        probes: 3,
        ..Config::linkerd()
    });
    calls(&breaker, 5, Outcome::Failure);
    pass(SECOND).await;
    for state in [State::Open, State::Open, State::Closed] {
        let probe = breaker.try_acquire().expect("a probe");
        assert!(breaker.try_acquire().is_err());
        probe.record(Outcome::Success);
        assert_eq!(breaker.state(), state);
    }
}

#[tokio::test(start_paused = true)]
async fn clones_are_one_breaker_and_layers_share_it() {
    let layer = CircuitBreakerLayer::new(Config {
        jitter: 0.0,
        ..Config::linkerd()
    });
    let fail = service_fn(|()| async { Err::<(), _>("down") });
    for _ in 0..5 {
        assert_eq!(
            layer.layer(fail).oneshot(()).await,
            Err(Error::Inner("down"))
        );
    }
    let refused = layer.clone().layer(fail).oneshot(()).await;
    assert_eq!(
        refused,
        Err(Error::Open(Open {
            retry_after: SECOND
        }))
    );
}

#[tokio::test(start_paused = true)]
async fn each_change_of_state_is_told_once() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let observer: Observer = Arc::new(move |t| ear.lock().expect("not poisoned").push(t.to));
    let config = Config {
        jitter: 0.0,
        ..Config::guide()
    };
    let breaker = Breaker::observed(config, Rng::seeded(1), observer);
    calls(&breaker, 5, Outcome::Failure);
    pass(30 * SECOND).await;
    calls(&breaker, 1, Outcome::Failure);
    pass(30 * SECOND).await;
    calls(&breaker, 1, Outcome::Success);
    let expected = [
        State::Open,
        State::HalfOpen,
        State::Open,
        State::HalfOpen,
        State::Closed,
    ];
    assert_eq!(*heard.lock().expect("not poisoned"), expected);
    assert_eq!(breaker.snapshot().opened, 2);
}

#[test]
fn threads_get_one_probe_between_them() {
    let breaker = breaker(Config {
        open: ieum_base::HumanDuration(Duration::from_nanos(1)),
        ..Config::linkerd()
    });
    calls(&breaker, 5, Outcome::Failure);
    let kept = Mutex::new(Vec::new());
    let permits: usize = std::thread::scope(|scope| {
        let ask = || {
            let granted: Vec<Permit> = (0..1_000)
                .filter_map(|_| breaker.try_acquire().ok())
                .collect();
            let count = granted.len();
            kept.lock().expect("not poisoned").extend(granted);
            count
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .sum()
    });
    assert_eq!(permits, 1);
}

#[test]
fn presets_are_valid_and_nonsense_is_named() {
    let presets = [
        Config::linkerd(),
        Config::opossum(),
        Config::guide(),
        Config::resilience4j(),
    ];
    for preset in presets {
        assert_eq!(preset.invalid(), []);
    }
    let nonsense = Config {
        success_rate: 1.5,
        probes: 0,
        ..Config::linkerd()
    };
    let fields: Vec<_> = nonsense.invalid().iter().map(|i| i.field).collect();
    assert_eq!(fields, ["success-rate", "probes"]);
}

#[tokio::test(start_paused = true)]
async fn remembers_when_it_changed_and_why() {
    let breaker = breaker(Config {
        success_rate: 0.0,
        ..Config::linkerd()
    });
    let made = breaker.made();
    calls(&breaker, 7, Outcome::Failure);
    pass(SECOND).await;
    calls(&breaker, 1, Outcome::Failure);
    pass(2 * SECOND).await;
    calls(&breaker, 1, Outcome::Success);
    let told = breaker.changes().into_iter().map(|change| {
        let after = (change.at - made).as_secs();
        (after, change.from, change.to, change.reason.to_string())
    });
    let expected = [
        (3, State::HalfOpen, State::Closed, "the probe went well"),
        (3, State::Open, State::HalfOpen, PROBE),
        (1, State::HalfOpen, State::Open, "the probe failed"),
        (1, State::Open, State::HalfOpen, PROBE),
        (0, State::Closed, State::Open, "7 calls in a row failed"),
    ];
    let expected = expected.map(|(after, from, to, why)| (after, from, to, why.to_owned()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn remembers_the_last_twenty_changes_and_counts_all() {
    let breaker = breaker(Config::linkerd());
    for _ in 0..30 {
        while call(&breaker, Outcome::Failure) {}
        breaker.reset();
    }
    let changes = breaker.changes();
    assert_eq!((changes.len(), breaker.changed()), (20, 60));
    assert_eq!(changes[0].reason, Reason::Reset);
}
