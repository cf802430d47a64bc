//! The server's monitoring over HTTP: the only place that tells how JetStream syncs.
//!
//! One small request without a client of its own: HTTP/1.0, so that the answer ends with the
//! connection.

use std::time::Duration;

use ieum_messaging::{Error, ErrorKind, Result};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What JetStream is configured to, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Syncing {
    /// How often it syncs its files, in nanoseconds; absent before 2.10, where it is 2 minutes.
    pub(super) sync_interval: Option<u64>,
    /// Whether it syncs before each answer.
    pub(super) sync_always: bool,
}

#[derive(Deserialize)]
struct Answer {
    config: Option<Syncing>,
}

/// Asks the monitoring at `address`; everything within `within`.
pub(super) async fn syncing(address: &str, within: Duration) -> Result<Syncing> {
    let asked = tokio::time::timeout(within, get(address));
    let late = || failed(address, "no answer came in time");
    let body = asked.await.map_err(|_| late())??;
    read(&body).ok_or_else(|| failed(address, "this is no answer of a NATS server's monitoring"))
}

async fn get(address: &str) -> Result<Vec<u8>> {
    let io = |error: std::io::Error| failed(address, &error.to_string()).caused_by(error);
    let mut stream = TcpStream::connect(address).await.map_err(io)?;
    let request = format!("GET /jsz?config=1 HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(io)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(LONGEST);
    limited.read_to_end(&mut answer).await.map_err(io)?;
    Ok(answer)
}

fn read(answer: &[u8]) -> Option<Syncing> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?;
    let answer: Answer = serde_json::from_str(body)
        .ok()
        .filter(|_| status == "200")?;
    answer.config
}

fn failed(address: &str, why: &str) -> Error {
    let doing = format!("asking the monitoring at {address} ({why})");
    Error::new(ErrorKind::Unavailable, doing)
}

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_the_server_syncs() {
        let read = |config: &str| {
            let text = format!("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{{\"config\":{config}}}");
            read(text.as_bytes()).expect("understood")
        };
        assert_eq!(read("{\"store_dir\":\"/s\"}"), Syncing::default());
        let always = read("{\"sync_interval\":120000000000,\"sync_always\":true}");
        assert!(always.sync_always);
        assert_eq!(always.sync_interval, Some(120_000_000_000));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for wrong in [
            "",
            "HTTP/1.0 200 OK\r\n\r\nhello",
            "HTTP/1.0 404 No\r\n\r\n{\"config\":{}}",
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
