//! Writes down a body while it passes, and keeps it if it came whole.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// A body that is being written down. What becomes too large, breaks off, or is dropped half-way is
/// not kept.
pub(crate) struct Recorder {
    body: BytesMut,
    most: usize,
    /// What is done with a body that came whole.
    keep: Option<Box<dyn FnOnce(Bytes) + Send + Sync>>,
}

impl Recorder {
    /// Writes down at most `most` bytes.
    pub(crate) fn new(most: usize, keep: impl FnOnce(Bytes) + Send + Sync + 'static) -> Self {
        Self {
            body: BytesMut::new(),
            most,
            keep: Some(Box::new(keep)),
        }
    }

    /// A piece of the body has passed.
    pub(crate) fn data(&mut self, piece: &Bytes) {
        if self.keep.is_none() {
            return;
        }
        if self.body.len() + piece.len() > self.most {
            self.give_up();
        } else {
            self.body.extend_from_slice(piece);
        }
    }

    /// The body is no use: it broke off, or has trailers.
    pub(crate) fn give_up(&mut self) {
        self.keep = None;
        self.body = BytesMut::new();
    }

    /// The body came whole. Only the first call counts.
    pub(crate) fn end(&mut self) {
        if let Some(keep) = self.keep.take() {
            keep(std::mem::take(&mut self.body).freeze());
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
