//! A stop finishes what is running.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use ieum_testkit::{Reply, Stub};

use crate::support::{always, gateway, wait_for};

#[test]
fn a_request_in_flight_is_answered_and_no_new_one_is_taken() {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Stub::start(move |_| {
        wait.lock().expect("not poisoned").recv().expect("released");
        Reply {
            status: 200,
            headers: Vec::new(),
            body: b"late".to_vec(),
        }
    })
    .expect("a stub");
    let world = Arc::new(gateway(&format!(
        "[[gateway.routes]]\nname = 'r'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    )));
    let client = {
        let world = Arc::clone(&world);
        std::thread::spawn(move || world.get("/"))
    };
    wait_for("the request is inside", || {
        world.metric("ieum_gateway_in_flight") > 0.0
    });
    let handle = world.handle.clone();
    let stopping = world.runtime.spawn(async move { handle.stop().await });
    wait_for("nobody listens", || {
        TcpStream::connect(world.handle.addr()).is_err()
    });
    release.send(()).expect("heard");
    let reply = client.join().expect("an answer");
    assert_eq!(reply.text(), "late");
    assert_eq!(reply.get("connection"), Some("close"));
    let stopped = world.runtime.block_on(stopping).expect("it stops");
    assert_eq!(stopped.abandoned, 0);
}

#[test]
fn an_unused_connection_does_not_delay_the_stop() {
    let upstream = always(200, "ok");
    let world = gateway(&format!(
        "[[gateway.routes]]\nname = 'r'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    ));
    let mut unused = TcpStream::connect(world.handle.addr()).expect("connected");
    unused
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\nok") {
        unused.read_exact(&mut byte).expect("the whole answer");
        answer.extend(byte);
    }
    let stopped = world.runtime.block_on(world.handle.stop());
    assert_eq!(stopped.abandoned, 0);
    assert_eq!(unused.read(&mut [0; 1]).unwrap_or(0), 0, "it was closed");
}
