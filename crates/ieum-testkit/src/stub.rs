//! A server that answers what a test tells it to, and remembers what it was asked.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use crate::http::{Reply, Request, read_request};

/// A running stub; dropping it closes its listener.
pub struct Stub {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Stub {
    /// Starts a server on a free loopback port that answers each request with `answer`.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::at("127.0.0.1:0", answer)
    }

    /// The same at an address, such as that of somebody who died.
    pub fn at(
        address: &str,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (seen, stopped) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let stub = Self {
            address,
            seen: Arc::clone(&seen),
            stopped: Arc::clone(&stopped),
        };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                // A client that breaks the connection ends only this thread.
                std::thread::spawn(move || drop(serve(&stream, &*answer, &seen)));
            }
        });
        Ok(stub)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests that it has received, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl std::fmt::Debug for Stub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stub({})", self.address)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the accepting thread so that it sees the flag; if that fails it is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers the requests of one connection until the peer closes it.
fn serve(
    stream: &TcpStream,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
    seen: &Mutex<Vec<Request>>,
) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader)? {
        let reply = answer(&request);
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        let mut head = format!("HTTP/1.1 {} Stub\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len()));
        writer.write_all(head.as_bytes())?;
        writer.write_all(&reply.body)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_and_remembers() {
        let stub = Stub::start(|request| Reply::json_of(200, &json!({ "saw": request.target })))
            .expect("a stub");
        let reply = Request::new("POST", "/a?b=c")
            .json(&json!([1]))
            .send(&stub.address());
        assert_eq!(
            reply.expect("an answer").expect(200).expect("json"),
            json!({ "saw": "/a?b=c" })
        );
        let requests = stub.requests();
        assert_eq!(
            (requests[0].method.as_str(), requests[0].body.as_slice()),
            ("POST", &b"[1]"[..])
        );
    }
}
