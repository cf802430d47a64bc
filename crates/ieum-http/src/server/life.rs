//! How an HTTP/1 connection leaves: told to the client, and never under a request that was sent.
//!
//! hyper's graceful shutdown closes an unused connection at once, also if the next request is already
//! on its way: the client finds it reset. HTTP/1 has no word for "send nothing more" but an answer's
//! `Connection: close`. So after the stop each answer says it, and a connection on which nothing comes
//! is closed only when it has been quiet for a grace period.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

/// What a connection's socket, its service and its driver tell each other. Written with each read and
/// write, so it is three plain stores; all three are polled by one task.
#[derive(Debug, Default)]
pub(super) struct Life {
    is_leaving: AtomicBool,
    /// Something was read or written since the driver looked.
    is_active: AtomicBool,
    /// The last that happened was a read: a request waits for its answer.
    is_asked: AtomicBool,
    /// A request's head has begun and not ended.
    is_in_head: AtomicBool,
}

/// A connection that can be told to end after the running requests.
pub(super) trait Graceful: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl Life {
    /// Bytes came.
    pub(super) fn read(&self, is_in_head: bool) {
        self.is_active.store(true, Relaxed);
        self.is_asked.store(true, Relaxed);
        self.is_in_head.store(is_in_head, Relaxed);
    }

    /// Bytes went.
    pub(super) fn wrote(&self) {
        self.is_active.store(true, Relaxed);
        self.is_asked.store(false, Relaxed);
    }

    /// True once answers must say that the connection ends with them.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    /// Goes on until the connection has ended, a request is being answered whose answer can still say
    /// that it is the last, or nothing came for `grace`. `Some` if it has ended.
    async fn quiet(
        &self,
        mut connection: Pin<&mut impl Graceful>,
        grace: Duration,
    ) -> Option<hyper::Result<()>> {
        let mut pause = std::pin::pin!(tokio::time::sleep(grace));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            // A head that never ends is the header timeout's business.
            if self.is_in_head.load(Relaxed) {
                return Poll::Pending;
            }
            if self.is_asked.load(Relaxed) {
                return Poll::Ready(None);
            }
            if self.is_active.swap(false, Relaxed) {
                pause.as_mut().reset(Instant::now() + grace);
            }
            pause.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

/// Lets `connection` leave; resolves when it has.
pub(super) async fn leave(
    mut connection: Pin<&mut impl Graceful>,
    life: &Life,
    grace: Duration,
) -> hyper::Result<()> {
    life.is_leaving.store(true, Relaxed);
    if let Some(ended) = life.quiet(connection.as_mut(), grace).await {
        return ended;
    }
    connection.as_mut().finish();
    connection.await
}
