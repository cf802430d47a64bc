//! The limits of a server.

use std::time::Duration;

/// The limits of a server. The defaults are Envoy's advice for the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The longest time for a request's head, counted from its first byte or, on a connection that
    /// is kept alive, from the end of the request before. Default: 10 s for a head; an unused
    /// connection is closed after it too.
    pub header_timeout: Duration,
    /// The longest time without a byte of a request's body, or without the client taking a byte of
    /// the answer. Default: 5 min (Envoy). On HTTP/2 only the latter; a ping finds dead clients.
    pub stream_idle: Duration,
    /// The largest head, in bytes. Default: 16 KiB.
    pub most_header_bytes: usize,
    /// The most header fields. Default: 100.
    pub most_headers: usize,
    /// The most connections at once; more wait in the kernel's queue. Default: 10,000.
    pub most_connections: usize,
    /// The most requests at once on one HTTP/2 connection. Default: 100.
    pub most_streams: u32,
    /// The flow-control window of an HTTP/2 stream, in bytes. Default: 64 KiB.
    pub stream_window: u32,
    /// The flow-control window of an HTTP/2 connection, in bytes. Default: 1 MiB.
    pub connection_window: u32,
    /// The most streams that a client may reset before they were taken up, at once on one HTTP/2
    /// connection; one more ends the connection (rapid reset, CVE-2023-44487). Default: 20 (h2).
    pub most_early_resets: usize,
    /// The most frames on streams that are over, in the life of one HTTP/2 connection; one more ends
    /// the connection. Default: 1,024 (h2).
    pub most_late_frames: usize,
    /// How long requests may take to finish after the stop. Default: 30 s.
    pub drain: Duration,
    /// How long after the stop an unused HTTP/1 connection is kept for a request that may be on its way
    /// already. Default: 1 s, in which a connection under load gets its next request.
    pub idle_grace: Duration,
    /// Whether a request may turn its connection into a tunnel (`101 Switching Protocols`).
    /// Default: false.
    pub upgrades: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            stream_idle: Duration::from_secs(300),
            most_header_bytes: 16 << 10,
            most_headers: 100,
            most_connections: 10_000,
            most_streams: 100,
            stream_window: 64 << 10,
            connection_window: 1 << 20,
            most_early_resets: 20,
            most_late_frames: 1_024,
            drain: Duration::from_secs(30),
            idle_grace: Duration::from_secs(1),
            upgrades: false,
        }
    }
}

impl Config {
    /// For a service that a gateway calls. One connection carries the calls of many clients then, so
    /// that none of them may end it for the others (by resets) or stop it (by uploads that nobody
    /// reads: there is room for those of all streams at once).
    pub fn behind_gateway() -> Self {
        let edge = Self::default();
        Self {
            connection_window: edge.stream_window.saturating_mul(edge.most_streams),
            most_early_resets: 2_000,
            most_late_frames: 100_000,
            ..edge
        }
    }
}
