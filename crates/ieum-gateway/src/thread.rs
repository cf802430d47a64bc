//! One thread of the data path: a current-thread runtime with its own listener and connections.
//!
//! Nothing on the way of a request crosses threads (thread per core): no work stealing, no lock that
//! another core holds, no connection that wakes the wrong core. The kernel spreads connections over
//! the listeners.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_http::{Connector, Pool, connector, http2, pool, server};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

use crate::access_log::{Buffer, FLUSH_INTERVAL};
use crate::config::Config;
use crate::gateway::Deps;
use crate::keepers;
use crate::phases::accept;
use crate::table::Table;
use crate::telemetry::Telemetry;
use crate::worker::{Parts, Worker};

/// What a thread is started with.
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) listener: StdListener,
    pub(crate) config: Config,
    pub(crate) deps: Arc<Deps>,
    pub(crate) connector: connector::Config,
    pub(crate) tables: Arc<ArcSwap<Table>>,
    /// Told after each change of the table.
    pub(crate) reloaded: Arc<Notify>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) log: Option<Buffer>,
    pub(crate) stop: Stop,
}

/// A running thread.
pub(crate) struct Thread(oneshot::Receiver<usize>);

impl Thread {
    /// Waits until the thread has drained; how many connections it cut off.
    pub(crate) async fn drained(self) -> usize {
        // A thread that died has said so itself, and cut off whatever it had.
        self.0.await.unwrap_or_default()
    }
}

/// Starts a thread. If it dies, the stop is requested: a gateway with a deaf listener would drop its
/// share of the connections.
pub(crate) fn start(setup: Setup) -> io::Result<Thread> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (sender, receiver) = oneshot::channel();
    let name = format!("gateway-{}", setup.index);
    std::thread::Builder::new().name(name).spawn(move || {
        let died = StopOnDrop(setup.stop.clone());
        let abandoned = runtime.block_on(serve(setup));
        // Whoever waits for the thread may also want to read what it logged.
        drop(runtime);
        drop(died);
        let _ = sender.send(abandoned);
    })?;
    Ok(Thread(receiver))
}

async fn serve(setup: Setup) -> usize {
    let Setup {
        index,
        config,
        deps,
        stop,
        reloaded,
        tables,
        telemetry,
        log,
        ..
    } = setup;
    let listener = match TcpListener::from_std(setup.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a thread of the gateway cannot listen");
            return 0;
        }
    };
    // Ends after the server has drained, not with it: upstream connections are still in use.
    let tasks = Tasks::new(Stop::new());
    let pool = Pool::new(
        Connector::new(setup.connector),
        pool::Config {
            idle_timeout: config.connections.idle.0,
            most_idle: config.connections.kept,
            write_timeout: config.timeouts.idle.0,
        },
        tasks.clone(),
    );
    let http2 = http2::Pool::new(
        Connector::http2(setup.connector),
        http2_config(&config),
        tasks.clone(),
    );
    let worker = Arc::new(Worker::new(Parts {
        tables,
        telemetry,
        tracer: deps.tracer.clone(),
        clock: deps.clock.clone(),
        rng: deps.rng.clone(),
        backoff: config.retry.backoff(),
        pool,
        http2,
        tasks: tasks.clone(),
        log,
    }));
    flush_now_and_then(&worker);
    // One for all: what it composes is everybody's.
    if index == 0 {
        keepers::start(&worker, reloaded);
    }
    let drained = accept::serve(&worker, listener, server_config(&config), stop).await;
    tasks.shut_down(CLOSE).await;
    drained.abandoned
}

fn flush_now_and_then(worker: &Arc<Worker>) {
    if worker.log.is_none() {
        return;
    }
    let flusher = Arc::downgrade(worker);
    let stop = worker.tasks.stop().clone();
    worker
        .tasks
        .spawn(TaskKind::Background, "access-log-flush", async move {
            while stop
                .unless_requested(tokio::time::sleep(FLUSH_INTERVAL))
                .await
                .is_some()
            {
                let Some(worker) = flusher.upgrade() else {
                    return;
                };
                if let Some(log) = &worker.log {
                    log.flush();
                }
            }
        });
}

fn http2_config(config: &Config) -> http2::Config {
    let most_header_bytes = u32::try_from(config.limits.header_size.0);
    http2::Config {
        connections: config.connections.http2,
        idle_timeout: config.connections.http2_idle.0,
        write_timeout: config.timeouts.idle.0,
        most_header_bytes: most_header_bytes.unwrap_or(u32::MAX),
        ..http2::Config::default()
    }
}

fn server_config(config: &Config) -> server::Config {
    server::Config {
        header_timeout: config.timeouts.header.0,
        most_header_bytes: usize::try_from(config.limits.header_size.0).unwrap_or(usize::MAX),
        most_headers: config.limits.headers,
        most_connections: config.limits.connections,
        most_streams: config.limits.streams,
        drain: config.timeouts.drain.0,
        upgrades: true,
        ..server::Config::default()
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// How long connections to upstreams may take to close after the drain.
const CLOSE: std::time::Duration = std::time::Duration::from_millis(500);
