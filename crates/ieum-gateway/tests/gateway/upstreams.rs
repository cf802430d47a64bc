//! Upstreams that misbehave: each answer reaches the request it belongs to, or none.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{World, gateway};

/// An upstream whose connections are each handled by `handle`.
fn upstream(handle: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let handle = handle.clone();
            std::thread::spawn(move || handle(stream));
        }
    });
    address
}

fn open(address: &str, extra: &str) -> World {
    gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{address}'\n\
         max-body = '64MiB'\nretries = 0\n{extra}\n"
    ))
}

/// Answers each request with exactly `answer`.
fn saying(answer: &'static str) -> String {
    upstream(move |mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(1..) = stream.read(&mut buffer) {
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn an_upstream_that_takes_no_more_of_a_body_is_given_up_in_time() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let address = upstream(move |mut stream| {
        let _ = held.lock().map(|held| held.recv());
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        let _ = end.send(());
    });
    let world = open(&address, "timeout = '200ms'");
    let mut client = TcpStream::connect(world.handle.addr()).expect("connected");
    let patience = Some(Duration::from_secs(5));
    client.set_read_timeout(patience).expect("a timeout");
    client.set_write_timeout(patience).expect("a timeout");
    let mut sender = client.try_clone().expect("cloned");
    let sends = std::thread::spawn(move || {
        let _ = sender.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n");
        let _ = sender.write_all(&vec![b'x'; 60_000_000]);
    });
    let mut answer = [0; 12];
    let read = client.read_exact(&mut answer);
    assert!(read.is_ok(), "no answer in time: {read:?}");
    assert_eq!(&answer, b"HTTP/1.1 504");
    drop(hold);
    ended
        .recv_timeout(Duration::from_secs(5))
        .expect("its connection was closed");
    drop(client);
    sends.join().expect("sent or refused");
}

#[test]
fn an_upstream_that_switches_unasked_is_a_bad_gateway_also_as_a_fallback() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let answer = open(&saying(switching), "").raw(GET);
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let failing = saying("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let fallback = format!("fallback = {{ url = 'http://{}' }}", saying(switching));
    let answer = open(&failing, &fallback).raw(GET);
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[test]
fn an_answer_with_two_lengths_reaches_nobody_as_another() {
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                5\r\nhello\r\n0\r\n\r\n";
    let answer = open(&saying(both), "").raw(GET).to_lowercase();
    let is_whole = answer.starts_with("http/1.1 200")
        && answer.contains("hello")
        && !answer.contains("content-length: 3");
    assert!(is_whole || answer.starts_with("http/1.1 502"), "{answer}");
    let differ = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nhello";
    let answer = open(&saying(differ), "").raw(GET);
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[test]
fn what_ends_by_close_ends_whole_and_what_breaks_off_does_not() {
    let once = |answer: &'static str| {
        upstream(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        })
    };
    let world = open(&once("HTTP/1.1 200 OK\r\n\r\nto the end"), "");
    let answer = world.raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("to the end"), "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let answer = open(&once(cut), "").raw(GET);
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[test]
fn trailers_and_hints_pass_or_are_dropped_but_shift_nothing() {
    let hinted = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\
                  Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: yes\r\n\r\n";
    let world = open(&saying(hinted), "");
    let twice = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = world.raw(twice);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert!(!answer.contains("HTTP/1.1 103"), "{answer}");
    assert!(
        answer.trim_end().ends_with('0') || answer.contains("x-end: yes"),
        "{answer}"
    );
}

#[test]
fn an_early_answer_ends_no_exchange_but_its_own() {
    // Answers at the head, and takes the body afterwards.
    let address = upstream(|mut stream| {
        let mut buffer = vec![0; 1 << 16];
        let mut seen = Vec::new();
        loop {
            let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else {
                match stream.read(&mut buffer) {
                    Ok(read @ 1..) => seen.extend_from_slice(&buffer[..read]),
                    _ => return,
                }
                continue;
            };
            let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
                path.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            seen.drain(..end + 4);
            let length: usize = length.unwrap_or(0);
            while seen.len() < length {
                match stream.read(&mut buffer) {
                    Ok(read @ 1..) => seen.extend_from_slice(&buffer[..read]),
                    _ => return,
                }
            }
            seen.drain(..length);
        }
    });
    let world = open(&address, "");
    for number in 0..20 {
        let mut client = TcpStream::connect(world.handle.addr()).expect("connected");
        let patience = Some(Duration::from_secs(5));
        client.set_read_timeout(patience).expect("a timeout");
        let body = vec![b'x'; 300_000];
        let head = format!(
            "POST /up{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n"
        );
        client.write_all(head.as_bytes()).expect("sent");
        client.write_all(&body[..100_000]).expect("sent");
        // Others pass while it is on its way.
        let other = world.get(&format!("/other{number}"));
        assert_eq!(other.text(), format!("/other{number}"));
        let _ = client.write_all(&body[100_000..]);
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        assert!(answer.ends_with(&format!("/up{number}")), "{answer}");
    }
}

#[test]
fn a_client_that_leaves_takes_its_call_to_the_upstream_along() {
    let (tell, told) = std::sync::mpsc::channel();
    let address = upstream(move |mut stream| {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let _ = tell.send("asked");
        while let Ok(1..) = stream.read(&mut buffer) {}
        let _ = tell.send("left");
    });
    let world = open(&address, "timeout = '1m'");
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo",
    ] {
        let mut client = TcpStream::connect(world.handle.addr()).expect("connected");
        client.write_all(request.as_bytes()).expect("sent");
        let next = || told.recv_timeout(Duration::from_secs(5));
        assert_eq!(next(), Ok("asked"), "{request}");
        drop(client);
        assert_eq!(next(), Ok("left"), "{request}");
    }
}
