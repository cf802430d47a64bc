//! Starting a platform, and the thread that hosts it.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Stop;
use tokio::sync::oneshot;

use super::parts::{Parts, Started};
use super::reload::Live;
use super::{Ended, Handle, Running, StartError};
use crate::config::Config;

/// The platform: registry, gateway, log, sagas and API in one process.
#[derive(Debug)]
pub struct Platform;

impl Platform {
    /// Starts everything that `config` asks for, and answers once it serves. `stop` ends it.
    ///
    /// # Errors
    /// With one clear sentence and what to do; nothing is left running or damaged.
    pub async fn start(config: Config, stop: Stop) -> Result<Running, StartError> {
        let (ready, started) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let (thread_stop, present) = (stop.clone(), config.clone());
        let thread = std::thread::Builder::new().name("ieum-platform".into());
        thread
            .spawn(move || host(&config, &thread_stop, ready, done))
            .map_err(|error| StartError::new("no thread can be started").caused_by(error))?;
        let started = started
            .await
            .unwrap_or_else(|_| Err(StartError::new("the platform panicked at its start")))?;
        Ok(Running {
            gateway_addr: started.gateway.as_ref().map(ieum_gateway::Handle::addr),
            api_addr: started.api_addr,
            log: started.log,
            topics: started.topics,
            caveats: started.caveats,
            moved: started.moved,
            handle: Handle {
                retired: started.retired,
                live: Arc::new(Live::new(started.gateway, present)),
            },
            stop,
            ended,
        })
    }
}

/// The platform's own thread: it owns the runtime, so that a platform can be started and dropped
/// inside any other runtime.
fn host(
    config: &Config,
    stop: &Stop,
    ready: oneshot::Sender<Result<Started, StartError>>,
    done: oneshot::Sender<Ended>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.platform.worker_threads)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("ieum-worker")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = StartError::new("no runtime can be started").caused_by(error);
            // Nobody waits any more: then nobody needs the answer.
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        match Parts::open(config, stop).await {
            Err(error) => drop(ready.send(Err(error))),
            Ok((parts, started)) => {
                let asked = ready.send(Ok(started)).is_ok();
                let failure = if asked { parts.until(stop).await } else { None };
                let abandoned = parts.shut_down().await;
                let _ = done.send(Ended { abandoned, failure });
            }
        }
    });
    runtime.shutdown_timeout(RUNTIME_STOP);
}

/// Threads for work that blocks, such as reads of the log.
const BLOCKING_THREADS: usize = 16;
/// How long the runtime waits for threads that block, at the very end.
const RUNTIME_STOP: Duration = Duration::from_secs(1);
