//! The signals that end a process: the first asks for a graceful stop, the second insists.

use std::io;

use ieum_base::{Stop, TaskKind, Tasks};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Counts the signals of this process.
pub(crate) struct Signals {
    count: watch::Receiver<u32>,
}

/// Listens for SIGINT and SIGTERM on the current runtime; the first requests `stop`.
pub(crate) fn listen(stop: Stop) -> io::Result<Signals> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (counter, count) = watch::channel(0);
    let tasks = Tasks::new(Stop::new());
    tasks.spawn(TaskKind::Background, "signals", async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            counter.send_modify(|count| *count += 1);
            if !stop.is_requested() {
                crate::console::remark(&"stopping; a second signal stops at once");
                stop.request();
            }
        }
    });
    Ok(Signals { count })
}

impl Signals {
    /// Resolves at the second signal.
    pub(crate) async fn second(mut self) {
        if self.count.wait_for(|count| *count >= 2).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
