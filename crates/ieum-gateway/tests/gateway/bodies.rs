//! Bodies pass whole, in both directions, by HTTP/1.1 and HTTP/2.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ieum_testkit::{Reply, Request, Stub};

use crate::support::{World, always, echo, gateway};

fn open(address: &str) -> World {
    gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{address}'\n\
         max-body = '8MiB'\n"
    ))
}

fn mirror() -> Stub {
    Stub::start(|request| Reply {
        status: 200,
        headers: Vec::new(),
        body: request.body.clone(),
    })
    .expect("a stub")
}

#[test]
fn large_bodies_pass_unchanged() {
    let upstream = mirror();
    let world = open(&upstream.address());
    let mut request = Request::new("PUT", "/");
    request.body = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(
        world.send(&request).body == request.body,
        "the body changed"
    );
}

#[test]
fn a_body_without_a_length_is_chunked_inside() {
    let upstream = echo();
    let world = open(&upstream.address());
    let answer = world.raw(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
          5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    );
    assert!(answer.contains(r#""body":"hello world""#), "{answer}");
    assert!(
        answer.contains(r#""transfer-encoding":"chunked""#),
        "{answer}"
    );
}

#[test]
fn an_answer_is_streamed_as_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 1024]);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .expect("sent");
        wait.recv().expect("told to go on");
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").expect("sent");
    });
    let world = open(&address);
    let mut client = TcpStream::connect(world.handle.addr()).expect("connected");
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains("first") {
        let read = client.read(&mut buffer).expect("more");
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(!seen.contains("second"));
    go.send(()).expect("heard");
    client.read_to_string(&mut seen).expect("the rest");
    assert!(seen.contains("second"), "{seen}");
}

#[test]
fn connections_to_upstreams_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = std::sync::Arc::clone(&connections);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::thread::spawn(move || {
                while stream.read(&mut [0; 2048]).is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    let world = open(&address);
    for _ in 0..20 {
        assert_eq!(world.get("/").text(), "ok");
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn http_2_is_answered_too() {
    let upstream = echo();
    let world = open(&upstream.address());
    let seen = world.runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(world.handle.addr())
            .await
            .expect("connected");
        let io = TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .expect("a handshake");
        let driver = async move { drop(connection.await) };
        let exchange = async {
            let request = http::Request::post("http://shop.example/a?b=c")
                .header("x-user-id", "forged")
                .body(Full::new(Bytes::from_static(b"hello")))
                .expect("valid");
            let response = sender.send_request(request).await.expect("an answer");
            assert_eq!(response.status(), 200);
            assert!(response.headers().get("connection").is_none());
            response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes()
        };
        tokio::select! {
            () = driver => panic!("the connection ended"),
            body = exchange => body,
        }
    });
    let seen: serde_json::Value = serde_json::from_slice(&seen).expect("JSON");
    assert_eq!(seen["target"], "/a?b=c");
    assert_eq!(seen["body"], "hello");
    assert_eq!(seen["headers"]["x-forwarded-host"], "shop.example");
    assert_eq!(seen["headers"].get("x-user-id"), None);
}

#[test]
fn a_head_has_no_body() {
    let upstream = Stub::start(|_| Reply {
        status: 200,
        headers: vec![("x-length".into(), "9".into())],
        body: Vec::new(),
    })
    .expect("a stub");
    let reply = open(&upstream.address()).send(&Request::new("HEAD", "/"));
    assert_eq!((reply.status, reply.get("x-length")), (200, Some("9")));
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9>: what trickles is late, not silent.
#[test]
fn a_body_that_trickles_is_cut_off_at_its_time() {
    let upstream = always(200, "ok");
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'r'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n\
         upload-timeout = '200ms'\n",
        upstream.address()
    ));
    let mut client = TcpStream::connect(world.handle.addr()).expect("connected");
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    client.write_all(head).expect("sent");
    let mut trickle = client.try_clone().expect("a second handle");
    let trickling = std::thread::spawn(move || {
        // Ends when the gateway has closed the connection.
        while trickle.write_all(b"x").is_ok() {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    });
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    trickling.join().expect("the client ends");
}
