//! Silence inside a body: measured only while there is some.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Ends a body that says nothing for too long. The timer is made at the first silence, so that a
/// body that is there at once pays nothing.
#[derive(Debug)]
pub(super) struct Idle {
    longest: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_silent: bool,
}

impl Idle {
    pub(super) const fn new(longest: Duration) -> Self {
        Self {
            longest,
            timer: None,
            is_silent: false,
        }
    }

    /// A frame came.
    pub(super) const fn heard(&mut self) {
        self.is_silent = false;
    }

    /// No frame came; ready once the silence has lasted too long.
    pub(super) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(self.longest)));
        if !self.is_silent {
            self.is_silent = true;
            timer.as_mut().reset(Instant::now() + self.longest);
        }
        timer.as_mut().poll(cx)
    }
}
