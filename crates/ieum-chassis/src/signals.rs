//! The operating system's wish that the process ends.

use std::io;

use ieum_base::{Stop, TaskKind, Tasks};

/// Requests `stop` at Ctrl-C or SIGTERM. A second one ends the process at once, with status 130: an
/// operator who asks twice does not want to wait for the drain.
///
/// # Errors
/// If the signals cannot be listened to.
pub fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let stop = stop.clone();
    // A tree of its own that nobody waits for: it hears the second signal until the process ends.
    let tasks = Tasks::new(Stop::new());
    tasks.spawn(TaskKind::Background, "signals", async move {
        signals.next().await;
        tracing::info!("stopping; a second signal ends at once");
        stop.request();
        signals.next().await;
        std::process::exit(130);
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
