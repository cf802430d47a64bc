//! The signals of a process: SIGTERM and Ctrl-C ask for a graceful stop, a second one insists, SIGHUP
//! asks to read the configuration again.
//!
//! SIGTERM comes from an orchestrator, behind a load balancer that still sends requests: the process
//! says first that it is stopping, and stops after `platform.linger`. Ctrl-C comes from a person at a
//! terminal, who waits.

use std::io;
use std::time::Duration;

use ieum_base::{HumanDuration, Stop, TaskKind, Tasks};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What was asked of this process.
pub(crate) struct Signals {
    count: watch::Receiver<u32>,
    hangup: Signal,
}

/// What the first signal sets off.
#[derive(Clone)]
pub(crate) struct Stops {
    /// Requested at once: nothing new is to be sent here.
    pub(crate) retire: Stop,
    /// Requested after the linger, if there is one.
    pub(crate) stop: Stop,
    /// The time between both after SIGTERM.
    pub(crate) linger: Duration,
}

/// Listens on the current runtime.
pub(crate) fn listen(stops: Stops) -> io::Result<Signals> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let hangup = signal(SignalKind::hangup())?;
    let (counter, count) = watch::channel(0);
    let tasks = Tasks::new(Stop::new());
    let tree = tasks.clone();
    tasks.spawn(TaskKind::Background, "signals", async move {
        loop {
            let linger = tokio::select! {
                _ = interrupt.recv() => Duration::ZERO,
                _ = terminate.recv() => stops.linger,
            };
            counter.send_modify(|count| *count += 1);
            if !stops.retire.is_requested() {
                stops.retire.request();
                say(linger);
                let stop = stops.stop.clone();
                tree.spawn(TaskKind::Background, "linger", async move {
                    tokio::time::sleep(linger).await;
                    stop.request();
                });
            }
        }
    });
    Ok(Signals { count, hangup })
}

fn say(linger: Duration) {
    if linger.is_zero() {
        crate::console::remark(&"stopping; a second signal stops at once");
        return;
    }
    let linger = HumanDuration(linger);
    crate::console::remark(&format_args!(
        "stopping: /health says so, requests are still taken for {linger}; a second signal stops at once"
    ));
}

impl Signals {
    /// Resolves at the second signal.
    pub(crate) fn second(&self) -> impl Future<Output = ()> + use<> {
        let mut count = self.count.clone();
        async move {
            if count.wait_for(|count| *count >= 2).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves at the next SIGHUP. Cancel safe.
    pub(crate) async fn hangup(&mut self) {
        if self.hangup.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
