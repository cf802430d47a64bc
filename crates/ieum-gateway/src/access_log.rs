//! The access log: one JSON line per request, written in blocks.
//!
//! Sent line by line through a channel, an access log costs more than everything else that the
//! gateway does to a request. So each thread formats into a buffer of its own and hands over whole
//! blocks to one writer. If the writer cannot keep up, blocks are dropped and counted: a log must
//! not stop the traffic that it describes.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::mem;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use http::StatusCode;
use ieum_base::Timestamp;
use ieum_base::trace::TraceId;
use prometheus_client::metrics::counter::Counter;

use crate::config::AccessLog;

/// The writer, and the way to it.
pub(crate) struct Writer {
    sender: SyncSender<Vec<u8>>,
    thread: JoinHandle<()>,
}

/// One thread's buffer.
#[derive(Debug)]
pub(crate) struct Buffer {
    block: Mutex<Vec<u8>>,
    sender: SyncSender<Vec<u8>>,
    lost: Counter,
}

/// What a line tells.
pub(crate) struct Line<'a> {
    pub(crate) at: Timestamp,
    pub(crate) client: IpAddr,
    pub(crate) method: &'static str,
    /// Without the query, which may hold secrets, and without what is seen to be one.
    pub(crate) path: &'a str,
    pub(crate) status: StatusCode,
    /// How a call of gRPC ended.
    pub(crate) grpc: Option<&'static str>,
    pub(crate) took: Duration,
    pub(crate) bytes: u64,
    pub(crate) route: &'a str,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) tries: u32,
    pub(crate) code: Option<&'static str>,
    pub(crate) request_id: &'a str,
    pub(crate) trace_id: TraceId,
}

impl Writer {
    /// Opens the log; `None` if it is off.
    pub(crate) fn open(log: &AccessLog) -> io::Result<Option<Self>> {
        let mut out: Box<dyn Write + Send> = match log {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => Box::new(io::stdout()),
            AccessLog::Stderr => Box::new(io::stderr()),
            AccessLog::File(path) => {
                Box::new(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        let (sender, receiver) = sync_channel(WAITING_BLOCKS);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(&mut *out, &receiver))?;
        Ok(Some(Self { sender, thread }))
    }

    /// A buffer for one thread.
    pub(crate) fn buffer(&self, lost: Counter) -> Buffer {
        Buffer {
            block: Mutex::new(Vec::with_capacity(BLOCK)),
            sender: self.sender.clone(),
            lost,
        }
    }

    /// Writes what was handed over, once all buffers are gone.
    pub(crate) fn close(self) {
        drop(self.sender);
        // It cannot panic, and if it did there is nothing left to save.
        let _ = self.thread.join();
    }
}

fn write(out: &mut dyn Write, blocks: &Receiver<Vec<u8>>) {
    let mut failing = false;
    for block in blocks {
        let written = out.write_all(&block).and_then(|()| out.flush());
        if let Err(error) = &written
            && !failing
        {
            tracing::error!(%error, "the access log cannot be written; lines are lost");
        }
        failing = written.is_err();
    }
}

impl Buffer {
    pub(crate) fn line(&self, line: &Line<'_>) {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        line.format(&mut block);
        if block.len() >= BLOCK {
            self.hand_over(&mut block);
        }
    }

    /// Hands over what there is; called now and then, so that a quiet log is written too.
    pub(crate) fn flush(&self) {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if !block.is_empty() {
            self.hand_over(&mut block);
        }
    }

    fn hand_over(&self, block: &mut Vec<u8>) {
        let full = mem::replace(block, Vec::with_capacity(BLOCK + BLOCK / 8));
        if let Err(TrySendError::Full(block) | TrySendError::Disconnected(block)) =
            self.sender.try_send(full)
        {
            let lines = block.iter().filter(|byte| **byte == b'\n').count();
            self.lost.inc_by(lines as u64);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Line<'_> {
    fn format(&self, block: &mut Vec<u8>) {
        let Self {
            at,
            client,
            took,
            bytes,
            tries,
            trace_id,
            ..
        } = self;
        let status = self.status.as_u16();
        // Writing to a vector cannot fail.
        let _ = write!(
            block,
            "{{\"time\":\"{at}\",\"client\":\"{client}\",\"method\":\"{}\",\"path\":",
            self.method
        );
        string(block, self.path);
        let millis = took.as_secs_f64() * 1e3;
        let _ = write!(
            block,
            ",\"status\":{status},\"durationMs\":{millis:.3},\"bytes\":{bytes},\"route\":"
        );
        string(block, self.route);
        if let Some(endpoint) = self.endpoint {
            block.extend_from_slice(b",\"endpoint\":");
            string(block, endpoint);
        }
        if let Some(code) = self.grpc {
            let _ = write!(block, ",\"grpcStatus\":\"{code}\"");
        }
        let _ = write!(block, ",\"tries\":{tries}");
        if let Some(code) = self.code {
            let _ = write!(block, ",\"code\":\"{code}\"");
        }
        block.extend_from_slice(b",\"requestId\":");
        string(block, self.request_id);
        let _ = writeln!(block, ",\"traceId\":\"{trace_id}\"}}");
    }
}

/// A JSON string. Most need no escape.
fn string(block: &mut Vec<u8>, text: &str) {
    block.push(b'"');
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        block.extend_from_slice(text.as_bytes());
    } else {
        let mut escaped = String::new();
        for character in text.chars() {
            match character {
                '"' | '\\' => escaped.extend(['\\', character]),
                c if u32::from(c) < 32 => {
                    let _ = write!(escaped, "\\u{:04x}", u32::from(c));
                }
                c => escaped.push(c),
            }
        }
        block.extend_from_slice(escaped.as_bytes());
    }
    block.push(b'"');
}

/// How long a line may wait in a buffer.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(200);
const BLOCK: usize = 32 << 10;
const WAITING_BLOCKS: usize = 64;

#[cfg(test)]
mod tests {
    use ieum_base::Rng;
    use ieum_base::trace::TraceContext;

    use super::*;

    #[test]
    fn a_line_is_json_whatever_the_path_holds() {
        let line = Line {
            at: Timestamp::from_micros(1_704_067_200_000_000),
            client: "::1".parse().expect("an address"),
            method: "GET",
            path: "/a\"b\\c\u{1}",
            status: StatusCode::OK,
            grpc: Some("OK"),
            took: Duration::from_micros(1_234),
            bytes: 17,
            route: "users",
            endpoint: Some("127.0.0.1:3001"),
            tries: 2,
            code: None,
            request_id: "r-1",
            trace_id: TraceContext::root(&Rng::seeded(1), true).trace_id,
        };
        let mut block = Vec::new();
        line.format(&mut block);
        let json: serde_json::Value = serde_json::from_slice(&block).expect("JSON");
        assert_eq!(json["path"], "/a\"b\\c\u{1}");
        assert_eq!(json["durationMs"], 1.234);
        assert_eq!(json["grpcStatus"], "OK");
        assert_eq!(json["time"], "2024-01-01T00:00:00.000000Z");
        assert_eq!(json["endpoint"], "127.0.0.1:3001");
    }

    #[test]
    fn blocks_reach_the_file_when_the_log_is_closed() {
        let folder = std::env::temp_dir().join(format!("ieum-log-{}", std::process::id()));
        let log = AccessLog::File(folder.clone());
        let writer = Writer::open(&log).expect("a file").expect("it is on");
        let buffer = writer.buffer(Counter::default());
        buffer
            .block
            .lock()
            .expect("not poisoned")
            .extend_from_slice(b"{}\n");
        drop(buffer);
        writer.close();
        assert_eq!(std::fs::read(&folder).expect("written"), b"{}\n");
        std::fs::remove_file(&folder).expect("removed");
    }
}
