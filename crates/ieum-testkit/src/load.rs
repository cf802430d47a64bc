//! Requests at a steady rate over kept connections, counted one by one: which were answered, and with
//! what, and which were lost.
//!
//! The client does what a careful one does: before it sends on a connection that was used before, it
//! looks whether the server has closed it, and it sends nothing more on one whose answer said
//! `Connection: close`. So a request that is reset, or ends without an answer, was accepted and lost.

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::http::{Reply, Request, read_reply};
use crate::wait::now;

/// A load that is to be put on a server.
#[derive(Clone, Debug)]
pub struct Load {
    /// `host:port`.
    pub address: String,
    /// What is sent, in turn.
    pub requests: Vec<Request>,
    /// Requests per second, over all connections.
    pub rate: f64,
    /// Connections, each with a request at a time.
    pub connections: u32,
    /// A 5xx whose body has this text is expected, such as the code for "no instance".
    pub excused: Option<&'static str>,
}

/// A load that is being put on a server. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers by their status.
    pub answered: BTreeMap<u16, usize>,
    /// Answers with a 5xx that was expected.
    pub excused: usize,
    /// Answers with any other 5xx.
    pub failed: usize,
    /// The first of those, as text.
    pub failures: Vec<String>,
    /// Requests that were sent and not answered: why, and when since the start.
    pub lost: Vec<String>,
    /// Connections that were not taken: nothing was sent.
    pub refused: usize,
    /// The longest wait for an answer.
    pub slowest: Duration,
}

#[derive(Debug)]
struct Shared {
    load: Load,
    address: SocketAddr,
    tally: Mutex<Tally>,
    next: AtomicUsize,
    is_over: AtomicBool,
    started: Instant,
}

impl Load {
    /// Starts the clients.
    pub fn start(self) -> Result<Running> {
        let address = self.address.parse();
        let shared = Arc::new(Shared {
            address: address.with_context(|| format!("the address {}", self.address))?,
            load: self,
            tally: Mutex::default(),
            next: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            started: now(),
        });
        let client = |index: u32| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || Client::new(&shared).run(index))
        };
        let clients = (0..shared.load.connections).map(client).collect();
        Ok(Running { shared, clients })
    }
}

impl Running {
    /// What became of the requests so far.
    pub fn so_far(&self) -> Tally {
        self.shared.tally().clone()
    }

    /// Lets each client finish its request, and answers what became of all of them.
    pub fn stop(mut self) -> Tally {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        for client in self.clients.drain(..) {
            // One that panicked has said so on standard error, and what it counted is there.
            let _ = client.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Tally {
    /// How many were answered.
    pub fn total(&self) -> usize {
        self.answered.values().sum()
    }

    /// An error that names what was lost or answered 5xx; a tally without an answer is one too.
    pub fn check(&self) -> Result<()> {
        anyhow::ensure!(self.total() > 0, "nothing was answered: {self:?}");
        anyhow::ensure!(
            self.failed == 0 && self.lost.is_empty(),
            "{} answered 5xx, {} lost of {}: {self:?}",
            self.failed,
            self.lost.len(),
            self.total()
        );
        Ok(())
    }
}

impl Shared {
    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// One client, with at most one connection.
struct Client<'a> {
    shared: &'a Shared,
    connection: Option<BufReader<TcpStream>>,
}

impl<'a> Client<'a> {
    const fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            connection: None,
        }
    }

    /// Sends at its times; one that is late sends at once, so that the rate does not depend on the
    /// server.
    fn run(mut self, index: u32) {
        let load = &self.shared.load;
        let pause = Duration::from_secs_f64(f64::from(load.connections) / load.rate);
        let mut due = self.shared.started + pause * index / load.connections;
        while !self.shared.is_over() {
            let left = due.saturating_duration_since(now());
            if !left.is_zero() {
                std::thread::park_timeout(left);
                continue;
            }
            due += pause;
            self.exchange();
        }
    }

    fn exchange(&mut self) {
        let Some(mut connection) = self.connection() else {
            self.shared.tally().refused += 1;
            std::thread::park_timeout(REFUSED_PAUSE);
            return;
        };
        let load = &self.shared.load;
        let turn = self.shared.next.fetch_add(1, Ordering::Relaxed) % load.requests.len().max(1);
        let sent = now();
        let answer = write(connection.get_ref(), &load.requests[turn], &load.address)
            .and_then(|()| read_reply(&mut connection));
        let took = sent.elapsed();
        let mut tally = self.shared.tally();
        match answer {
            Ok(reply) => {
                tally.slowest = tally.slowest.max(took);
                if tally.note(&reply, load.excused) {
                    self.connection = Some(connection);
                }
            }
            Err(error) => {
                let at = sent.duration_since(self.shared.started);
                tally
                    .lost
                    .push(format!("at {at:?}, after {took:?}: {error:#}"));
            }
        }
    }

    /// The connection that is kept, if the server has not closed it; otherwise a new one.
    fn connection(&mut self) -> Option<BufReader<TcpStream>> {
        if let Some(kept) = self.connection.take().filter(is_open) {
            return Some(kept);
        }
        let stream = TcpStream::connect_timeout(&self.shared.address, CONNECT_LIMIT).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
        Some(BufReader::new(stream))
    }
}

impl Tally {
    /// Counts an answer; true if its connection may be used again.
    fn note(&mut self, reply: &Reply, excused: Option<&str>) -> bool {
        *self.answered.entry(reply.status).or_default() += 1;
        if reply.status >= 500 {
            let text = reply.text();
            if excused.is_some_and(|excuse| text.contains(excuse)) {
                self.excused += 1;
            } else {
                self.failed += 1;
                if self.failures.len() < MOST_FAILURES {
                    self.failures.push(format!("{}: {text}", reply.status));
                }
            }
        }
        !reply
            .get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// True if the server has said nothing since its last answer, not even that it closes.
fn is_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let looked = stream
        .set_nonblocking(true)
        .and_then(|()| stream.peek(&mut [0]));
    let is_quiet = looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).is_ok() && is_quiet
}

fn write(mut stream: &TcpStream, request: &Request, address: &str) -> Result<()> {
    let mut bytes = format!(
        "{} {} HTTP/1.1\r\nhost: {address}\r\n",
        request.method, request.target
    );
    for (name, value) in &request.headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() {
        bytes.push_str(&format!("content-length: {}\r\n", request.body.len()));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(&request.body);
    stream.write_all(&bytes).context("the request")
}

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long a client that was not let in waits before it tries again.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);
/// The most answers with a 5xx that are kept as text.
const MOST_FAILURES: usize = 5;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crate::stub::Stub;
    use crate::wait::eventually;

    use super::*;

    fn load(address: String) -> Running {
        let load = Load {
            address,
            requests: vec![Request::new("GET", "/")],
            rate: 200.0,
            connections: 4,
            excused: None,
        };
        load.start().expect("an address")
    }

    fn wait(running: &Running, holds: impl Fn(&Tally) -> bool) {
        let looked = eventually("the tally", Duration::from_secs(10), || {
            holds(&running.so_far()).then_some(())
        });
        looked.expect("in time");
    }

    #[test]
    fn what_is_answered_is_counted_by_its_status() {
        let failing = AtomicBool::new(false);
        let stub = Stub::start(move |_| Reply {
            status: if failing.fetch_not(Ordering::Relaxed) {
                503
            } else {
                200
            },
            ..Reply::default()
        });
        let stub = stub.expect("a stub");
        let running = load(stub.address());
        wait(&running, |tally| tally.total() >= 20);
        let tally = running.stop();
        assert!(tally.lost.is_empty(), "{tally:?}");
        assert!(
            tally.answered[&200] > 0 && tally.answered[&503] > 0,
            "{tally:?}"
        );
        assert!(tally.check().is_err(), "{tally:?}");
        let connections = stub.requests().len();
        assert!(connections >= 20, "{connections}");
    }

    #[test]
    fn a_connection_that_is_closed_under_a_request_is_a_loss() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            // Closed with the request unread: the kernel resets it.
            listener.incoming().for_each(drop);
        });
        let running = load(address);
        wait(&running, |tally| tally.lost.len() >= 3);
        assert!(running.stop().check().is_err());
    }

    #[test]
    fn a_connection_that_is_not_taken_is_no_loss() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let running = load(address);
        wait(&running, |tally| tally.refused >= 3);
        assert!(running.stop().lost.is_empty());
    }
}
