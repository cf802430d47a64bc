//! A request's body that can be sent once more, as long as little of it has gone by.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use ieum_http::BoxError;

/// The body, shared by the attempts. What went by is kept up to a bound.
pub(super) struct Replay<B>(Arc<Mutex<State<B>>>);

/// The body of one attempt; a later one takes over from it.
pub(super) struct Attempt<B> {
    state: Arc<Mutex<State<B>>>,
    turn: u32,
    next: usize,
}

struct State<B> {
    body: Pin<Box<B>>,
    kept: Vec<Bytes>,
    /// Bytes that may still be kept; `None` once something is lost.
    room: Option<usize>,
    turn: u32,
}

impl<B: Body<Data = Bytes>> Replay<B> {
    pub(super) fn new(body: B, room: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            body: Box::pin(body),
            kept: Vec::new(),
            room: Some(room),
            turn: 0,
        })))
    }

    /// True if another attempt can have all of it.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.0).room.is_some()
    }

    /// The body of the next attempt.
    pub(super) fn next(&self) -> Attempt<B> {
        let mut state = lock(&self.0);
        state.turn += 1;
        Attempt {
            state: Arc::clone(&self.0),
            turn: state.turn,
            next: 0,
        }
    }
}

impl<B> State<B> {
    fn keep(&mut self, piece: &Bytes) {
        // Each piece costs more than its bytes: a body of crumbs is not kept.
        let room = self.room.filter(|_| self.kept.len() < MOST_PIECES);
        self.room = room.and_then(|room| room.checked_sub(piece.len()));
        match self.room {
            Some(_) => self.kept.push(piece.clone()),
            None => drop(mem::take(&mut self.kept)),
        }
    }
}

impl<B> Body for Attempt<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut state = lock(&this.state);
        if state.turn != this.turn {
            return Poll::Ready(Some(Err("another attempt has taken over".into())));
        }
        if let Some(piece) = state.kept.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let frame = match ready!(state.body.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        match frame.data_ref() {
            Some(piece) => state.keep(piece),
            None => state.room = None,
        }
        this.next = state.kept.len();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        self.next >= state.kept.len() && state.body.is_end_stream()
    }
}

fn lock<B>(state: &Mutex<State<B>>) -> MutexGuard<'_, State<B>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most pieces of a body that are kept for another attempt.
const MOST_PIECES: usize = 1_024;
