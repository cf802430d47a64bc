//! The suite that every store of rate limits passes. Its quotas are wide enough for real time.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use ieum_base::Uuid;

use super::{Limited, Quota, Store, StoreError};

/// What a run of the suite found.
#[derive(Debug, Default)]
pub struct Report {
    /// The cases that held.
    pub passed: Vec<&'static str>,
    /// The cases that did not, and why.
    pub failed: Vec<(&'static str, String)>,
}

/// Runs every case; `connect` gives one more process's view of one and the same store, and `pass` lets
/// time pass for it, less than a second.
pub async fn run<F, C, P, W>(connect: F, pass: P) -> Report
where
    F: Fn() -> C,
    C: Future<Output = Arc<dyn Store>>,
    P: Fn(Duration) -> W + Send + Sync,
    W: Future<Output = ()> + Send + 'static,
{
    let mut report = Report::default();
    for (name, case) in CASES {
        let pass = |duration| -> BoxFuture<'static, ()> { Box::pin(pass(duration)) };
        let room = Room {
            one: connect().await,
            two: connect().await,
            key: Uuid::new_v4().to_string(),
            pass: &pass,
        };
        match case(room).await {
            Ok(()) => report.passed.push(name),
            Err(Failure(why)) => report.failed.push((name, why)),
        }
    }
    report
}

/// The names of all cases.
pub fn names() -> Vec<&'static str> {
    CASES.iter().map(|(name, _)| *name).collect()
}

struct Room<'a> {
    one: Arc<dyn Store>,
    two: Arc<dyn Store>,
    key: String,
    pass: &'a (dyn Fn(Duration) -> BoxFuture<'static, ()> + Sync),
}

/// Why a case does not hold.
struct Failure(String);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(format!("{error:?}"))
    }
}

type Verdict = Result<(), Failure>;
type Case = for<'a> fn(Room<'a>) -> BoxFuture<'a, Verdict>;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        &[$((stringify!($name), |room| Box::pin($name(room)))),+]
    };
}

const CASES: &[(&str, Case)] = cases![
    a_burst_then_a_refusal_that_says_when,
    a_refused_request_costs_nothing,
    a_pause_gives_back_what_it_is_worth,
    two_processes_share_a_limit,
    many_at_once_get_the_burst_and_not_more,
    keys_do_not_share,
    a_key_may_be_long,
    quotas_of_one_key_may_differ,
];

async fn a_burst_then_a_refusal_that_says_when(Room { one, key, .. }: Room<'_>) -> Verdict {
    let quota = Quota::new(1, HOUR, 3);
    for left in [2, 1, 0] {
        let allowed = one.admit(&key, quota).await?;
        let allowed = allowed.map_err(|limited| Failure(format!("refused: {limited:?}")))?;
        same("the limit", &allowed.limit, &3)?;
        same("what is left", &allowed.remaining, &left)?;
        near("whole again", allowed.reset, HOUR * (3 - left))?;
    }
    let limited = refused(one.admit(&key, quota).await?)?;
    same("the limit", &limited.limit, &3)?;
    near("one more", limited.retry_after, HOUR)?;
    near("whole again", limited.reset, HOUR * 3)
}

async fn a_refused_request_costs_nothing(Room { one, key, .. }: Room<'_>) -> Verdict {
    let quota = Quota::new(1, HOUR, 1);
    let _ = one.admit(&key, quota).await?;
    for _ in 0..20 {
        near(
            "one more",
            refused(one.admit(&key, quota).await?)?.retry_after,
            HOUR,
        )?;
    }
    Ok(())
}

async fn a_pause_gives_back_what_it_is_worth(Room { one, key, pass, .. }: Room<'_>) -> Verdict {
    let quota = Quota::new(1, Duration::from_millis(400), 2);
    for _ in 0..2 {
        let _ = one.admit(&key, quota).await?;
    }
    refused(one.admit(&key, quota).await?)?;
    pass(Duration::from_millis(450)).await;
    same("one is back", &one.admit(&key, quota).await?.is_ok(), &true)?;
    refused(one.admit(&key, quota).await?).map(drop)
}

async fn two_processes_share_a_limit(Room { one, two, key, .. }: Room<'_>) -> Verdict {
    let quota = Quota::new(1, HOUR, 4);
    for store in [&one, &two, &one, &two] {
        same(
            "in the burst",
            &store.admit(&key, quota).await?.is_ok(),
            &true,
        )?;
    }
    for store in [&one, &two] {
        refused(store.admit(&key, quota).await?)?;
    }
    Ok(())
}

async fn many_at_once_get_the_burst_and_not_more(Room { one, two, key, .. }: Room<'_>) -> Verdict {
    let quota = Quota::new(1, HOUR, 25);
    let asked = (0..100).map(|n| match n % 2 {
        0 => one.admit(&key, quota),
        _ => two.admit(&key, quota),
    });
    let mut admitted = 0;
    for verdict in join_all(asked).await {
        admitted += i32::from(verdict?.is_ok());
    }
    same("admitted", &admitted, &25)
}

async fn keys_do_not_share(Room { one, key, .. }: Room<'_>) -> Verdict {
    let quota = Quota::new(1, HOUR, 1);
    for end in ["", "a", "b", " ", "\0", "한"] {
        let key = format!("{key}{end}");
        same("the first", &one.admit(&key, quota).await?.is_ok(), &true)?;
        refused(one.admit(&key, quota).await?)?;
    }
    Ok(())
}

async fn a_key_may_be_long(Room { one, key, .. }: Room<'_>) -> Verdict {
    let quota = Quota::new(1, HOUR, 1);
    let long = key + &"k".repeat(100_000);
    same("the first", &one.admit(&long, quota).await?.is_ok(), &true)?;
    refused(one.admit(&long, quota).await?)?;
    let other = format!("{long}!");
    same("another", &one.admit(&other, quota).await?.is_ok(), &true)
}

/// A configuration that was changed: nobody is locked out for longer than the new quota says.
async fn quotas_of_one_key_may_differ(Room { one, key, .. }: Room<'_>) -> Verdict {
    let (slow, fast) = (
        Quota::new(1, HOUR, 1),
        Quota::new(1, Duration::from_secs(60), 1),
    );
    let _ = one.admit(&key, slow).await?;
    let limited = refused(one.admit(&key, fast).await?)?;
    same("refused", &(limited.retry_after <= HOUR), &true)?;
    near(
        "the old one still",
        refused(one.admit(&key, slow).await?)?.retry_after,
        HOUR,
    )
}

fn refused(verdict: super::Verdict) -> Result<Limited, Failure> {
    match verdict {
        Err(limited) => Ok(limited),
        Ok(allowed) => Err(Failure(format!("admitted: {allowed:?}"))),
    }
}

/// Half a minute less is near an hour.
fn near(what: &str, found: Duration, wanted: Duration) -> Verdict {
    let least = wanted.saturating_sub(Duration::from_secs(30));
    if (least..=wanted + Duration::from_millis(1)).contains(&found) {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?}, not {wanted:?}")))
}

fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, wanted: &T) -> Verdict {
    if found == wanted {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?}, not {wanted:?}")))
}

const HOUR: Duration = Duration::from_secs(3_600);
