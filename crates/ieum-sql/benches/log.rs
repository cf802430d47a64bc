//! Durable appends to the log in PostgreSQL: many per call of the server, beside one per call.
//!
//! Writers append single events of 300 bytes with an expected version, each to a stream of its own.
//! Both sides run the same function on the same server, which is started for it; rounds alternate,
//! and only the ratio of a pair counts. `bench/log.sh` says how it is called.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::{Clock, EngineUrl};
use ieum_eventstore::{Append, EventStore, Expect, NewEvent, StreamName, Version};
use ieum_sql::postgres::{self, Log, log};
use ieum_testkit::engines::Postgres;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The facts of an event have as many bytes, as those of the measurements that this is compared with.
const BYTES: usize = 300;

struct Settings {
    writers: usize,
    rounds: usize,
    seconds: f64,
    calls: usize,
    limit: f64,
    json: bool,
}

/// What one side did in one round.
struct Side {
    per_second: f64,
    server_micros: f64,
}

fn main() -> ExitCode {
    let Some(settings) = Settings::parse(std::env::args().skip(1)) else {
        eprintln!("see bench/log.sh");
        return ExitCode::from(2);
    };
    // One thread for all writers: the server has the other core.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let measured = runtime.map_err(in_words).and_then(|runtime| {
        let server = Postgres::start().map_err(in_words)?;
        runtime.block_on(measure(&server, &settings))
    });
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

impl Settings {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut settings = Self {
            writers: 64,
            rounds: 5,
            seconds: 4.0,
            calls: log::Config::default().calls,
            limit: 3.0,
            json: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                // What `cargo bench` adds.
                "--bench" => {}
                "--json" => settings.json = true,
                "--writers" => settings.writers = words.next()?.parse().ok()?,
                "--rounds" => settings.rounds = words.next()?.parse().ok()?,
                "--seconds" => settings.seconds = words.next()?.parse().ok()?,
                "--calls" => settings.calls = words.next()?.parse().ok()?,
                "--limit" => settings.limit = words.next()?.parse().ok()?,
                _ => return None,
            }
        }
        Some(settings)
    }
}

/// All rounds; true if the median ratio is high enough.
async fn measure(server: &Postgres, settings: &Settings) -> Result<bool, String> {
    let url = server.database("log").map_err(in_words)?;
    let url: EngineUrl = url.parse().map_err(in_words)?;
    let batched = open(
        &url,
        log::Config {
            calls: settings.calls,
            ..log::Config::default()
        },
    );
    let batched = batched.await?;
    // As many calls at once as there are writers, one append in each.
    let single = log::Config {
        calls: settings.writers,
        max_batch: 1,
        ..log::Config::default()
    };
    let single = open(&url, single).await?;
    let mut rounds = Vec::new();
    for round in 0..settings.rounds {
        let one = side(server, &single, settings, &format!("one{round}")).await?;
        let many = side(server, &batched, settings, &format!("many{round}")).await?;
        if !settings.json {
            println!(
                "one per call {:>8.0}/s {:>6.1} µs   batched {:>8.0}/s {:>6.1} µs   ratio {:.2}",
                one.per_second,
                one.server_micros,
                many.per_second,
                many.server_micros,
                many.per_second / one.per_second
            );
        }
        rounds.push((one, many));
    }
    report(settings, &rounds)
}

async fn open(url: &EngineUrl, config: log::Config) -> Result<Log, String> {
    let pool = postgres::Config {
        max_connections: config.calls + 2,
        ..postgres::Config::default()
    };
    Log::open(url, &[], pool, config).await.map_err(in_words)
}

/// One side for one round.
async fn side(
    server: &Postgres,
    log: &Log,
    settings: &Settings,
    name: &str,
) -> Result<Side, String> {
    let facts = "x".repeat(BYTES - 2);
    let before = cpu(server)?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(settings.seconds);
    let writers = (0..settings.writers).map(|n| write(log, format!("{name}-{n}"), &facts, end));
    let mut written = 0;
    for count in join_all(writers).await {
        written += count?;
    }
    let taken = begun.elapsed().as_secs_f64();
    let micros = (cpu(server)? - before) * 1e6;
    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    let written = written as f64;
    Ok(Side {
        per_second: written / taken,
        server_micros: micros / written,
    })
}

/// One writer: each event expects the version that the one before was answered with.
async fn write(log: &Log, stream: String, facts: &str, end: Instant) -> Result<u64, String> {
    let stream: StreamName = stream.parse().map_err(in_words)?;
    let clock = Clock::system();
    let mut version = 0;
    while Instant::now() < end {
        let event = NewEvent::new(clock.new_id(), "order.placed", facts).map_err(in_words)?;
        let expect = Expect::Version(Version(version));
        let append = Append::to(stream.clone(), expect, vec![event]);
        log.append(append).await.map_err(in_words)?;
        version += 1;
    }
    Ok(version)
}

/// The seconds of processor that the server has used, with those of its processes that have ended.
fn cpu(server: &Postgres) -> Result<f64, String> {
    let main = server.server().id().map_err(in_words)?;
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").map_err(in_words)? {
        let path = entry.map_err(in_words)?.path().join("stat");
        // A process that ends while it is looked at is counted by its parent.
        let Ok(stat) = std::fs::read_to_string(path) else {
            continue;
        };
        let Some((head, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<u64> = rest
            .split_whitespace()
            .map(|f| f.parse().unwrap_or(0))
            .collect();
        let pid = head
            .split(' ')
            .next()
            .and_then(|pid| pid.parse::<u32>().ok());
        let ours = pid == Some(main);
        // After the state: parent; utime, stime, cutime, cstime (proc(5)).
        if ours || fields.get(1) == Some(&u64::from(main)) {
            let until = if ours { 15 } else { 13 };
            ticks += fields
                .get(11..until)
                .unwrap_or_default()
                .iter()
                .sum::<u64>();
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds")]
    let seconds = ticks as f64 / 100.0;
    Ok(seconds)
}

fn report(settings: &Settings, rounds: &[(Side, Side)]) -> Result<bool, String> {
    let of = |pick: fn(&(Side, Side)) -> f64| median(rounds.iter().map(pick).collect());
    let ratio = of(|(one, many)| many.per_second / one.per_second);
    let enough = ratio >= settings.limit;
    let pair = |(one, many): &(Side, Side)| -> Value {
        json!({ "onePerCall": one.per_second.round(), "batched": many.per_second.round(),
                "ratio": many.per_second / one.per_second })
    };
    if settings.json {
        let text = json!({
            "engine": "postgres", "writers": settings.writers, "bytes": BYTES,
            "calls": settings.calls, "rounds": rounds.iter().map(pair).collect::<Vec<_>>(),
            "onePerCall": { "perSecond": of(|(one, _)| one.per_second).round(),
                            "serverMicros": of(|(one, _)| one.server_micros) },
            "batched": { "perSecond": of(|(_, many)| many.per_second).round(),
                         "serverMicros": of(|(_, many)| many.server_micros) },
            "ratio": ratio, "limit": settings.limit, "enough": enough,
        });
        println!("{text}");
    } else {
        println!(
            "median ratio {ratio:.2}, at least {} is wanted",
            settings.limit
        );
    }
    Ok(enough)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn in_words(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
