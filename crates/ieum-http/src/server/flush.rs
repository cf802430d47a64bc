//! A client over HTTP/2 that takes nothing of an answer.
//!
//! While a stream has no window, hyper does not ask the body for its next piece, so that no limit
//! inside the body runs: the answer, and whatever place it holds, would stay until the connection
//! ends. Each stream therefore watches from outside whose turn it is. If it is the client's for too
//! long, the stream is reset, and the others go on (Envoy's `stream_flush_timeout`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

tokio::task_local! {
    /// The stream that the current task serves.
    static STREAM: Arc<Turns>;
}

/// Counts how often the turn passed between the body and the client; odd: it is the client's.
#[derive(Debug, Default)]
struct Turns(AtomicU64);

impl Turns {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn to_client(&self) {
        self.0.store(self.get() | 1, Ordering::Relaxed);
    }

    fn to_body(&self) {
        let turns = self.get();
        self.0.store(turns + (turns & 1), Ordering::Relaxed);
    }
}

pin_project_lite::pin_project! {
    /// A body that notes whose turn it is, on HTTP/2.
    pub(super) struct Noting<B> {
        #[pin]
        body: B,
        turns: Option<Arc<Turns>>,
    }
}

impl<B> Noting<B> {
    /// The body of an answer that goes to the client now.
    pub(super) fn new(body: B) -> Self {
        let turns = STREAM.try_with(Arc::clone).ok();
        if let Some(turns) = &turns {
            turns.to_client();
        }
        Self { body, turns }
    }
}

impl<B: Body> Body for Noting<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(turns) = this.turns else {
            return this.body.poll_frame(cx);
        };
        turns.to_body();
        let polled = this.body.poll_frame(cx);
        if polled.is_ready() {
            turns.to_client();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project_lite::pin_project! {
    /// A stream that ends when it was the client's turn for `limit`; dropping it resets it.
    pub(super) struct Watched<F> {
        #[pin]
        stream: F,
        turns: Arc<Turns>,
        limit: Duration,
        seen: u64,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Watched<F> {
    pub(super) fn new(stream: F, limit: Duration) -> Self {
        Self {
            stream,
            turns: Arc::default(),
            limit,
            seen: 0,
            timer: None,
        }
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let stream = this.stream;
        if STREAM
            .sync_scope(Arc::clone(this.turns), || stream.poll(cx))
            .is_ready()
        {
            return Poll::Ready(());
        }
        let turns = this.turns.get();
        if turns.is_multiple_of(2) {
            return Poll::Pending;
        }
        let until = Instant::now() + *this.limit;
        let timer = match this.timer {
            Some(timer) => timer,
            None => this.timer.insert(Box::pin(tokio::time::sleep_until(until))),
        };
        if std::mem::replace(this.seen, turns) != turns {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}
