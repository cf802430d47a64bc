//! Connections that end, and streams that are left.

use std::time::Duration;

use futures_util::future::join_all;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use ieum_http::http2::Config;
use ieum_http::{ErrorKind, Sent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::unbounded_channel;

use crate::support::{
    DATA, END_HEADERS, Fed, GOAWAY, HEADERS, PING, Peer, RESET, Raw, STATUS_200, failure, next, ok,
    pool, pool_with, request, send, tasks, until, until_polled,
};

#[tokio::test]
async fn what_a_leaving_peer_did_not_process_was_not_sent_and_what_it_did_is_answered() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let serves = async {
        let mut first = Raw::accept(&peer).await;
        assert_eq!(first.next(HEADERS).await.expect("asked").0, 1);
        assert_eq!(first.next(HEADERS).await.expect("asked").0, 3);
        first.write(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await;
        // Who asks from now on is answered on another connection.
        let mut second = Raw::accept(&peer).await;
        let (stream, _) = second.next(HEADERS).await.expect("asked");
        second.ok(stream).await;
        first.ok(1).await;
        (first, second)
    };
    let asks = async {
        let mut first = Box::pin(send(&pool, &target));
        until_polled(&mut first, || pool.running(&target) == 1).await;
        let both = tokio::join!(first, async {
            let second = failure(send(&pool, &target).await).error;
            assert_eq!(second.kind(), ErrorKind::Broken);
            assert_eq!(second.sent(), Sent::NotSent, "{second:?}");
            send(&pool, &target).await
        });
        assert_eq!(both.0.expect("answered").status(), 200);
        assert_eq!(both.1.expect("answered").status(), 200);
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn a_connection_that_breaks_fails_what_runs_on_it_and_is_replaced() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let serves = async {
        let mut first = Raw::accept(&peer).await;
        first.next(HEADERS).await.expect("asked");
        drop(first);
        let mut second = Raw::accept(&peer).await;
        let (stream, _) = second.next(HEADERS).await.expect("asked");
        second.ok(stream).await;
        second
    };
    let asks = async {
        let failed = failure(send(&pool, &target).await).error;
        assert_eq!(
            (failed.kind(), failed.sent()),
            (ErrorKind::Broken, Sent::Sent)
        );
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn a_connection_whose_peer_is_gone_in_silence_swallows_one_request_and_no_more() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        ping_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let pool = pool_with(config, &tasks);
    let serves = async {
        let mut first = Raw::accept(&peer).await;
        first.next(HEADERS).await.expect("asked");
        assert!(first.next(PING).await.is_some(), "whether it is there");
        let mut second = Raw::accept(&peer).await;
        let (stream, _) = second.next(HEADERS).await.expect("asked");
        second.ok(stream).await;
        (first, second)
    };
    let asks = async {
        let patience = Duration::from_millis(50);
        let swallowed = tokio::time::timeout(patience, send(&pool, &target)).await;
        assert!(swallowed.is_err());
        until(|| pool.open_connections(&target) == 0).await;
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn a_peer_that_speaks_no_http2_is_sent_no_request() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        settings_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let pool = pool_with(config, &tasks);
    for answer in ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", ""] {
        let serves = async {
            let mut stream = peer.listener.accept().await.expect("a connection").0;
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("connected");
            let mut seen = Vec::new();
            let _ = stream.read_to_end(&mut seen).await;
            assert!(seen.windows(2).all(|two| two != b"/a"), "{seen:?}");
        };
        let (answer, ()) = tokio::join!(send(&pool, &target), serves);
        let failed = failure(answer);
        assert_eq!(
            failed.error.kind(),
            ErrorKind::Connect,
            "{:?}",
            failed.error
        );
        assert!(failed.request.is_some());
    }
}

#[tokio::test]
async fn who_leaves_has_the_stream_reset_wherever_it_is() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (left, mut leaves) = unbounded_channel::<()>();
    let serves = async {
        let mut raw = Raw::accept(&peer).await;
        // Before the head; with an upload that says nothing; with one for which there is no room.
        for stream in [1, 3, 5] {
            assert_eq!(raw.next(HEADERS).await.expect("asked").0, stream);
            if stream > 1 {
                raw.write(HEADERS, END_HEADERS, stream, STATUS_200).await;
            }
            left.send(()).expect("listens");
            let (reset, why) = raw.next(RESET).await.expect("a reset");
            assert_eq!((reset, why), (stream, vec![0, 0, 0, 8]), "CANCEL");
        }
        raw
    };
    let asks = async {
        tokio::select! {
            _ = send(&pool, &target) => unreachable!("not answered"),
            () = next(&mut leaves) => {}
        }
        for megabytes in [0, 1] {
            let (feed, body) = Fed::new();
            for _ in 0..megabytes {
                feed.send(Frame::data(vec![0; 1 << 20].into()))
                    .expect("taken");
            }
            let answer = pool.send(&target, request(body)).await.expect("answered");
            next(&mut leaves).await;
            drop(answer);
            feed.closed().await;
        }
        until(|| pool.running(&target) == 0).await;
    };
    tokio::join!(serves, asks);
    assert_eq!(
        pool.open_connections(&target),
        1,
        "a stream is no connection"
    );
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_its_own_stream_and_no_other() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (_connections, mut asked) = peer.serve(&tasks, 100);
    let endless = async {
        let mut streams = Vec::new();
        for _ in 0..20 {
            let (_, mut respond) = next(&mut asked).await;
            let mut stream = respond
                .send_response(Response::new(()), false)
                .expect("open");
            stream
                .send_data(vec![0; 1 << 20].into(), false)
                .expect("open");
            streams.push(stream);
        }
        let (_, mut respond) = next(&mut asked).await;
        let mut last = respond
            .send_response(Response::new(()), false)
            .expect("open");
        last.send_data(vec![0; 60 << 10].into(), true)
            .expect("open");
        streams
    };
    let reads = async {
        let mut unread = Vec::new();
        for _ in 0..20 {
            unread.push(send(&pool, &target).await.expect("answered"));
        }
        let last = send(&pool, &target).await.expect("answered");
        assert_eq!(
            last.into_body()
                .collect()
                .await
                .expect("whole")
                .to_bytes()
                .len(),
            60 << 10
        );
        unread
    };
    let (_streams, unread) = tokio::join!(endless, reads);
    // What was not read is there, and the rest comes as it is.
    let mut body = unread.into_iter().next().expect("some").into_body();
    let mut read = 0;
    while read < 1 << 20 {
        let frame = body.frame().await.expect("more").expect("whole");
        read += frame.into_data().expect("data").len();
    }
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_time_and_at_the_stop() {
    let (pools, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        idle_timeout: Duration::from_millis(60),
        ..Config::default()
    };
    let pool = pool_with(config, &pools);
    let serves = async {
        for _ in 0..2 {
            let mut connection = peer.accept().await;
            ok(connection
                .accept()
                .await
                .expect("asked")
                .expect("well formed"));
            assert!(connection.accept().await.is_none(), "closed");
        }
    };
    let asks = async {
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
        until(|| pool.open_connections(&target) == 0).await;
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
        assert_eq!(pools.shut_down(Duration::from_secs(5)).await, []);
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn callers_who_leave_do_not_end_the_connection_of_others() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let first = join_all((0..100).map(|_| send(&pool, &target)));
    let (mut raw, mut asked) = tokio::select! {
        _ = first => unreachable!("nobody answers"),
        asked = async {
            let mut raw = Raw::accept(&peer).await;
            let asked = heads(&mut raw).await;
            (raw, asked)
        } => asked,
    };
    for _ in 0..25 {
        // They have left, and are answered nevertheless.
        for stream in asked {
            raw.write(HEADERS, END_HEADERS, stream, STATUS_200).await;
            raw.write(DATA, 0, stream, b"late").await;
        }
        raw.passed.clear();
        let more = join_all((0..100).map(|_| send(&pool, &target)));
        asked = tokio::select! {
            _ = more => unreachable!("nobody answers"),
            asked = heads(&mut raw) => asked,
        };
    }
    assert_eq!(pool.open_connections(&target), 1);
    let (answer, ()) = tokio::join!(send(&pool, &target), async {
        let (stream, _) = raw.next(HEADERS).await.expect("asked");
        raw.ok(stream).await;
    });
    assert_eq!(answer.expect("answered").status(), 200);
}

/// The streams of the next hundred requests.
async fn heads(raw: &mut Raw) -> Vec<u32> {
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(raw.next(HEADERS).await.expect("asked").0);
    }
    streams
}
