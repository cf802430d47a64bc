//! The errors of one execution, written as they are met.
//!
//! An error is text at once, because it is never looked at again, but for its path: a null that was
//! explained by an error already needs no second one.

use super::keys::Keys;
use super::places::Turn;
use crate::plan::shown;

/// The errors so far.
#[derive(Debug)]
pub(crate) struct Errors {
    written: Vec<u8>,
    paths: Vec<Box<[Turn]>>,
    pathless: bool,
    limit: usize,
    bytes: usize,
    more: usize,
}

/// One error for the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) message: Text<'a>,
    pub(crate) code: Text<'a>,
    /// The subgraph, if it is not the answer as a whole that failed.
    pub(crate) service: Option<&'a str>,
    pub(crate) path: &'a [Turn],
}

/// A string of an error.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Text<'a> {
    /// As JSON, with its quotes: from a subgraph.
    Raw(&'a [u8]),
    Ours(&'a str),
}

impl Errors {
    /// No errors; at most `limit` of them in at most `bytes`.
    pub(crate) fn new(limit: usize, bytes: usize) -> Self {
        Self {
            written: Vec::new(),
            paths: Vec::new(),
            pathless: false,
            limit,
            bytes,
            more: 0,
        }
    }

    /// Adds an error, or counts it if there are enough.
    pub(crate) fn report(&mut self, keys: &Keys, report: Report<'_>) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        let out = &mut self.written;
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"message\":");
        report.message.write(out);
        if !report.path.is_empty() {
            out.extend_from_slice(b",\"path\":[");
            write_path(keys, report.path, out);
            out.push(b']');
        }
        out.extend_from_slice(b",\"extensions\":{\"code\":");
        report.code.write(out);
        if let Some(service) = report.service {
            out.extend_from_slice(b",\"service\":");
            Text::Ours(service).write(out);
        }
        out.extend_from_slice(b"}}");
        self.pathless |= report.path.is_empty();
        self.paths.push(report.path.into());
    }

    /// Counts errors that nobody looked at.
    pub(crate) fn count_only(&mut self, errors: usize) {
        self.more += errors;
    }

    /// Makes room for an error that outweighs the others: they are only counted.
    pub(crate) fn step_back(&mut self) {
        self.more += self.paths.len();
        self.paths.clear();
        self.written.clear();
    }

    /// Whether errors are only counted from now on.
    pub(crate) fn is_full(&self) -> bool {
        self.paths.len() >= self.limit || self.written.len() >= self.bytes
    }

    /// Whether an error says already why there is null at this place: one at the place, above it (the
    /// entity was not there) or below it (null went up).
    pub(crate) fn explain(&self, place: &[Turn]) -> bool {
        self.pathless
            || self.more > 0
            || self
                .paths
                .iter()
                .any(|path| path.starts_with(place) || place.starts_with(path))
    }

    /// How many errors there were, those that were only counted included.
    pub(crate) fn count(&self) -> usize {
        self.paths.len() + self.more
    }

    /// Writes the elements of the list of errors.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.written);
        if self.more > 0 {
            if !self.written.is_empty() {
                out.push(b',');
            }
            let more = format!(
                "{{\"message\":\"{} more errors are not listed\",\"extensions\":{{\"code\":\"TOO_MANY_ERRORS\"}}}}",
                self.more
            );
            out.extend_from_slice(more.as_bytes());
        }
    }
}

impl Text<'_> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(text) => out.extend_from_slice(text),
            Self::Ours(text) => {
                out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
            }
        }
    }
}

fn write_path(keys: &Keys, path: &[Turn], out: &mut Vec<u8>) {
    for (at, turn) in path.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match turn {
            Turn::Key(key) => Text::Ours(shown(keys.name(*key))).write(out),
            Turn::Index(index) => out.extend_from_slice(index.to_string().as_bytes()),
        }
    }
}
