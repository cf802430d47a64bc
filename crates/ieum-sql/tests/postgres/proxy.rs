//! A proxy in front of the server that loses one request, or one answer, and the connection with it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use ieum_base::EngineUrl;

use super::server::shared;

/// What is to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lose {
    /// The request: it never reaches the server.
    Request,
    /// The answer: the server did what it was asked for.
    Answer,
}

/// A proxy on a port of loopback; it lives as long as the process.
pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    next: Mutex<Option<(Lose, Vec<u8>)>>,
    lost: AtomicBool,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::<Plan>::default();
        let shared_plan = Arc::clone(&plan);
        let to = shared().port();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", to)).expect("the server");
                serve(&client, &server, &shared_plan);
            }
        });
        Self { port, plan }
    }

    /// The same database through the proxy, without TLS: it must see what it is to lose.
    pub(crate) fn url(&self, database: &str) -> EngineUrl {
        let direct = shared().url(database);
        let through = direct.replace(
            &format!(":{}/", shared().port()),
            &format!(":{}/", self.port),
        );
        format!("{through}?sslmode=disable").parse().expect("a URL")
    }

    /// Loses, once, the next request that holds `mark`, or its answer.
    pub(crate) fn lose(&self, what: Lose, mark: &str) {
        self.plan.lost.store(false, Ordering::Release);
        *self.plan.next.lock().expect("unpoisoned") = Some((what, mark.as_bytes().to_vec()));
    }

    /// True if it was lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.plan.lost.load(Ordering::Acquire)
    }
}

impl Plan {
    /// What is to be lost with these bytes.
    fn take(&self, bytes: &[u8]) -> Option<Lose> {
        let mut next = self.next.lock().expect("unpoisoned");
        let (what, _) = next
            .as_ref()
            .filter(|(_, mark)| bytes.windows(mark.len()).any(|window| window == &**mark))?;
        let what = *what;
        *next = None;
        self.lost.store(true, Ordering::Release);
        Some(what)
    }
}

fn serve(client: &TcpStream, server: &TcpStream, plan: &Arc<Plan>) {
    let deaf = Arc::new(AtomicBool::new(false));
    let (mut from_client, mut to_server) = twins(client, server);
    let (mut from_server, mut to_client) = twins(server, client);
    let (plan, hears) = (Arc::clone(plan), Arc::clone(&deaf));
    thread::spawn(move || {
        copy(&mut from_client, &mut to_server, |bytes| {
            match plan.take(bytes) {
                Some(Lose::Request) => false,
                Some(Lose::Answer) => {
                    deaf.store(true, Ordering::Release);
                    true
                }
                None => true,
            }
        });
    });
    thread::spawn(move || {
        copy(&mut from_server, &mut to_client, |_| {
            !hears.load(Ordering::Acquire)
        });
    });
}

fn twins(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    let twin = |stream: &TcpStream| stream.try_clone().expect("a handle");
    (twin(from), twin(to))
}

/// Copies until either end closes or `pass` says no; then both ends are closed.
fn copy(from: &mut TcpStream, to: &mut TcpStream, pass: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !pass(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // They may be closed already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
