//! Tunnels: only where a route allows them, only after 101.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::support::{World, gateway};

/// Switches protocols and then sends back what it gets, in upper case.
fn shouting() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).unwrap_or(0);
                let head = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
                if !head.contains("upgrade: websocket") {
                    let _ = stream
                        .write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
                    return;
                }
                let _ = stream.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Accept: yes\r\n\r\n",
                );
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..read].to_ascii_uppercase());
                }
            });
        }
    });
    address
}

fn open(extra: &str) -> World {
    gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n{extra}\n",
        shouting()
    ))
}

const ASK: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains(end) {
        let read = stream.read(&mut buffer).expect("more");
        assert!(read > 0, "ended after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    seen
}

#[test]
fn bytes_go_both_ways_after_101() {
    let world = open("upgrade = true");
    let mut stream = TcpStream::connect(world.handle.addr()).expect("connected");
    stream.write_all(ASK).expect("sent");
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_lowercase().contains("x-accept: yes"), "{head}");
    stream.write_all(b"hello").expect("sent");
    assert_eq!(read_until(&mut stream, "HELLO"), "HELLO");
    assert_eq!(world.metric("ieum_gateway_tunnels"), 1.0);
}

#[test]
fn a_route_that_does_not_allow_it_passes_no_upgrade_on() {
    let answer = open("").raw(ASK);
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
}
