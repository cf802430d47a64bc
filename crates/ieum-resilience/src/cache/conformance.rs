//! The suite that every cache passes: what the port promises, as cases.
//!
//! A case uses keys of its own, so that the cases may run against one long-lived server. Nothing here
//! needs an engine to remember: an entry that is gone is allowed, except right after it was set, where
//! an engine that always forgot would pass for a cache.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use ieum_base::Uuid;

use super::{Cache, Error, ErrorKind, Lookup, Result};

/// What a run of the suite found.
#[derive(Debug, Default)]
pub struct Report {
    /// The cases that held.
    pub passed: Vec<&'static str>,
    /// The cases that did not, and why.
    pub failed: Vec<(&'static str, String)>,
    /// The cases that were not run, and why.
    pub skipped: Vec<(&'static str, String)>,
}

/// What time a suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// That of a test, which jumps.
    Virtual,
    /// The machine's.
    Real,
}

/// Runs every case; `fresh` gives an empty cache that no other case uses, and `pass` lets time pass
/// for it: at most a second, or where time is virtual any.
pub async fn run<F, C, P, W>(fresh: F, pass: P, time: Time) -> Report
where
    F: Fn() -> C,
    C: Future<Output = Arc<dyn Cache>>,
    P: Fn(Duration) -> W + Send + Sync,
    W: Future<Output = ()> + Send + 'static,
{
    let mut report = Report::default();
    for (name, case) in CASES {
        if time == Time::Real && SLOW.contains(name) {
            report
                .skipped
                .push((name, "takes half a minute of real time".to_owned()));
            continue;
        }
        let pass = |duration| -> BoxFuture<'static, ()> { Box::pin(pass(duration)) };
        let room = Room {
            cache: fresh().await,
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
    cache: Arc<dyn Cache>,
    pass: &'a (dyn Fn(Duration) -> BoxFuture<'static, ()> + Sync),
}

/// Why a case does not hold.
struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
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
    finds_what_was_set,
    finds_nothing_that_was_never_set,
    the_last_value_wins,
    any_bytes_are_a_value,
    a_value_ends_with_its_time,
    setting_again_begins_the_time_again,
    a_deleted_key_is_gone,
    deleting_what_is_not_there_is_no_error,
    clear_forgets_everything,
    a_ticket_fills_once,
    readers_that_miss_together_have_one_ticket,
    a_ticket_from_before_a_delete_does_not_fill,
    a_ticket_from_before_a_clear_does_not_fill,
    a_ticket_does_not_replace_what_was_set,
    a_ticket_ends_in_half_a_minute,
    a_key_of_no_length_is_refused,
    writers_and_slow_readers_never_leave_a_stale_value,
];

/// Those that wait for longer than a test may take.
const SLOW: [&str; 1] = ["a_ticket_ends_in_half_a_minute"];

async fn finds_what_was_set(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    cache.set(&key, bytes("one"), LONG).await?;
    same("got", &cache.get(&key).await?, &Some(bytes("one")))?;
    let found = Lookup::Found(bytes("one"));
    same("looked up", &cache.look_up(&key).await?, &found)
}

async fn finds_nothing_that_was_never_set(Room { cache, .. }: Room<'_>) -> Verdict {
    same("got", &cache.get(&key()).await?, &None)
}

async fn the_last_value_wins(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    cache.set(&key, bytes("one"), LONG).await?;
    cache.set(&key, bytes("two"), LONG).await?;
    same("got", &cache.get(&key).await?, &Some(bytes("two")))
}

async fn any_bytes_are_a_value(Room { cache, .. }: Room<'_>) -> Verdict {
    let all: Bytes = (0..=255_u8).cycle().take(2_000).collect();
    for value in [Bytes::new(), all] {
        let key = format!("{}/키:{{}} *", key());
        cache.set(&key, value.clone(), LONG).await?;
        same("got", &cache.get(&key).await?, &Some(value.clone()))?;
        cache.delete(&key).await?;
        let ticket = missing(&cache, &key).await?;
        same(
            "filled",
            &cache.fill(&key, ticket, value.clone(), LONG).await?,
            &true,
        )?;
        same("found", &cache.look_up(&key).await?, &Lookup::Found(value))?;
    }
    Ok(())
}

async fn a_value_ends_with_its_time(Room { cache, pass }: Room<'_>) -> Verdict {
    let (key, short) = (key(), Duration::from_millis(200));
    cache.set(&key, bytes("one"), short).await?;
    pass(short + SLACK).await;
    same("got", &cache.get(&key).await?, &None)?;
    let ticket = missing(&cache, &key).await?;
    cache.fill(&key, ticket, bytes("two"), short).await?;
    pass(short + SLACK).await;
    same("got a filled one", &cache.get(&key).await?, &None)
}

async fn setting_again_begins_the_time_again(Room { cache, pass }: Room<'_>) -> Verdict {
    let key = key();
    cache
        .set(&key, bytes("one"), Duration::from_millis(200))
        .await?;
    cache.set(&key, bytes("two"), LONG).await?;
    pass(Duration::from_millis(200) + SLACK).await;
    same("got", &cache.get(&key).await?, &Some(bytes("two")))
}

async fn a_deleted_key_is_gone(Room { cache, .. }: Room<'_>) -> Verdict {
    let (key, other) = (key(), key());
    cache.set(&key, bytes("one"), LONG).await?;
    cache.set(&other, bytes("other"), LONG).await?;
    cache.delete(&key).await?;
    same("got", &cache.get(&key).await?, &None)?;
    same(
        "got another",
        &cache.get(&other).await?,
        &Some(bytes("other")),
    )
}

async fn deleting_what_is_not_there_is_no_error(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    cache.delete(&key).await?;
    cache.delete(&key).await?;
    Ok(())
}

async fn clear_forgets_everything(Room { cache, .. }: Room<'_>) -> Verdict {
    let keys: Vec<String> = (0..50).map(|_| key()).collect();
    for key in &keys {
        cache.set(key, bytes("one"), LONG).await?;
    }
    cache.clear().await?;
    for key in &keys {
        same("got", &cache.get(key).await?, &None)?;
    }
    cache.set(&keys[0], bytes("two"), LONG).await?;
    same("got", &cache.get(&keys[0]).await?, &Some(bytes("two")))
}

async fn a_ticket_fills_once(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    let ticket = missing(&cache, &key).await?;
    same("got a claim", &cache.get(&key).await?, &None)?;
    same(
        "filled",
        &cache.fill(&key, ticket, bytes("one"), LONG).await?,
        &true,
    )?;
    same(
        "filled again",
        &cache.fill(&key, ticket, bytes("two"), LONG).await?,
        &false,
    )?;
    same("got", &cache.get(&key).await?, &Some(bytes("one")))
}

async fn readers_that_miss_together_have_one_ticket(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    let tickets = join_all((0..8).map(|_| missing(&cache, &key))).await;
    let first = missing(&cache, &key).await?;
    for ticket in tickets {
        same("ticket", &ticket?, &first)?;
    }
    Ok(())
}

async fn a_ticket_from_before_a_delete_does_not_fill(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    let before = missing(&cache, &key).await?;
    cache.delete(&key).await?;
    same(
        "filled",
        &cache.fill(&key, before, bytes("old"), LONG).await?,
        &false,
    )?;
    let after = missing(&cache, &key).await?;
    same(
        "filled late",
        &cache.fill(&key, before, bytes("old"), LONG).await?,
        &false,
    )?;
    same(
        "filled",
        &cache.fill(&key, after, bytes("new"), LONG).await?,
        &true,
    )?;
    same("got", &cache.get(&key).await?, &Some(bytes("new")))
}

async fn a_ticket_from_before_a_clear_does_not_fill(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    let before = missing(&cache, &key).await?;
    cache.clear().await?;
    same(
        "filled",
        &cache.fill(&key, before, bytes("old"), LONG).await?,
        &false,
    )?;
    same("got", &cache.get(&key).await?, &None)
}

async fn a_ticket_does_not_replace_what_was_set(Room { cache, .. }: Room<'_>) -> Verdict {
    let key = key();
    let ticket = missing(&cache, &key).await?;
    cache.set(&key, bytes("set"), LONG).await?;
    same(
        "filled",
        &cache.fill(&key, ticket, bytes("old"), LONG).await?,
        &false,
    )?;
    same("got", &cache.get(&key).await?, &Some(bytes("set")))
}

async fn a_ticket_ends_in_half_a_minute(Room { cache, pass }: Room<'_>) -> Verdict {
    let key = key();
    let ticket = missing(&cache, &key).await?;
    pass(super::Ticket::LIFE + SLACK).await;
    same(
        "filled",
        &cache.fill(&key, ticket, bytes("old"), LONG).await?,
        &false,
    )
}

async fn a_key_of_no_length_is_refused(Room { cache, .. }: Room<'_>) -> Verdict {
    for key in ["", &"k".repeat(1_025)] {
        match cache.set(key, bytes("one"), LONG).await {
            Err(error) if error.kind() == ErrorKind::Invalid => {}
            other => return Err(Failure(format!("{} bytes: {other:?}", key.len()))),
        }
    }
    Ok(())
}

/// A store of one number beside the cache. Writers raise it, forget, and answer; whoever reads after
/// an answer must not find less.
async fn writers_and_slow_readers_never_leave_a_stale_value(
    Room { cache, .. }: Room<'_>,
) -> Verdict {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    let (key, store, answered) = (key(), AtomicU64::new(0), AtomicU64::new(0));
    let aside = super::Aside::new(Arc::clone(&cache), LONG);
    let write = async {
        for _ in 0..100 {
            let written = store.fetch_add(1, SeqCst) + 1;
            tokio::task::yield_now().await;
            aside.forget(&key).await;
            answered.store(written, SeqCst);
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    let read = |slowness: usize| {
        let (aside, key, store, answered) = (&aside, &key, &store, &answered);
        async move {
            while answered.load(SeqCst) < 100 {
                let least = answered.load(SeqCst);
                let load = async {
                    let value = store.load(SeqCst);
                    for _ in 0..slowness {
                        tokio::task::yield_now().await;
                    }
                    Ok::<_, Error>(Some(Bytes::from(value.to_string())))
                };
                let found = aside.read(key, load).await?.unwrap_or_default();
                let found: u64 = String::from_utf8_lossy(&found).parse().unwrap_or(0);
                if found < least {
                    return Err(Failure(format!("read {found} after {least} was answered")));
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    };
    let (written, a, b, c) = tokio::join!(write, read(2), read(4), read(16));
    [written, a, b, c].into_iter().collect::<Verdict>()?;
    let last = aside.read(&key, async { Ok::<_, Error>(Some(bytes("100"))) });
    same("left", &last.await?, &Some(bytes("100")))
}

async fn missing(cache: &Arc<dyn Cache>, key: &str) -> Result<super::Ticket, Failure> {
    match cache.look_up(key).await? {
        Lookup::Missing(ticket) => Ok(ticket),
        Lookup::Found(value) => Err(Failure(format!("found {value:?}"))),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Verdict {
    if found == wanted {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?}, not {wanted:?}")))
}

fn key() -> String {
    Uuid::new_v4().simple().to_string()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

const LONG: Duration = Duration::from_secs(60);
/// Engines count whole milliseconds.
const SLACK: Duration = Duration::from_millis(20);
