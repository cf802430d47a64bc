//! The pool of HTTP/2 connections against peers that behave, refuse, leave and die, over real sockets.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

mod connections;
mod support;

use std::time::Duration;

use futures_util::future::join_all;
use h2::Reason;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use ieum_http::http2::Config;
use ieum_http::{ErrorKind, Sent};

use support::{Fed, Peer, failure, next, ok, pool, pool_with, request, send, tasks};

#[tokio::test]
async fn heads_bodies_and_trailers_pass_both_ways() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let authority = target.authority().to_owned();
    let (_connections, mut asked) = peer.serve(&tasks, 100);
    let serves = async {
        let (request, mut respond) = next(&mut asked).await;
        assert_eq!(
            request.uri().to_string(),
            format!("http://{authority}/a.B/C?d=e")
        );
        let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["te", "x-kept"]);
        let mut body = request.into_body();
        let piece = body.data().await.expect("a piece").expect("whole");
        assert_eq!(piece, "question");
        assert!(body.data().await.is_none());
        let trailers = body.trailers().await.expect("whole").expect("trailers");
        assert_eq!(trailers["x-sum"], "1");
        let mut stream = respond
            .send_response(Response::new(()), false)
            .expect("open");
        stream.send_data("answer".into(), false).expect("open");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().expect("valid"));
        stream.send_trailers(trailers).expect("open");
    };
    let asks = async {
        let (feed, body) = Fed::new();
        feed.send(Frame::data("question".into())).expect("taken");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().expect("valid"));
        feed.send(Frame::trailers(trailers)).expect("taken");
        let answer = pool.send(&target, request(body)).await.expect("answered");
        let collected = answer.into_body().collect().await.expect("whole");
        assert_eq!(collected.trailers().expect("some")["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "answer");
    };
    tokio::join!(serves, asks);
    assert_eq!(
        (pool.open_connections(&target), pool.running(&target)),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_share_one_connection() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (mut connections, mut asked) = peer.serve(&tasks, 100);
    let serves = async {
        for _ in 0..100 {
            ok(next(&mut asked).await);
        }
    };
    let asks = join_all((0..100).map(|_| send(&pool, &target)));
    let (answers, ()) = tokio::join!(asks, serves);
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|a| a.status() == 200))
    );
    next(&mut connections).await;
    assert!(connections.try_recv().is_err());
}

#[tokio::test]
async fn a_full_connection_gets_a_second_and_then_there_is_waiting_and_then_an_end_to_it() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        connections: 2,
        waiting: 4,
        wait: Duration::from_millis(100),
        ..Config::default()
    };
    let pool = pool_with(config, &tasks);
    let (_connections, mut asked) = peer.serve(&tasks, 2);
    let mut running = Box::pin(join_all((0..4).map(|_| send(&pool, &target))));
    let mut held = Vec::new();
    while held.len() < 4 {
        tokio::select! {
            _ = &mut running => unreachable!("nothing was answered"),
            one = next(&mut asked) => held.push(one),
        }
    }
    assert_eq!(
        (pool.open_connections(&target), pool.running(&target)),
        (2, 4)
    );
    let is_busy = |answer| {
        let busy = failure(answer);
        assert_eq!(
            (busy.error.kind(), busy.error.sent()),
            (ErrorKind::Busy, Sent::NotSent)
        );
        assert!(busy.request.is_some());
    };
    is_busy(send(&pool, &target).await);
    // The fifth finds the queue full, the others get one after the other the place that is free.
    let more = join_all((0..5).map(|_| send(&pool, &target)));
    let frees = async {
        ok(held.pop().expect("four"));
        for _ in 0..4 {
            ok(next(&mut asked).await);
        }
    };
    let (more, ()) = tokio::select! {
        _ = &mut running => unreachable!("three were not answered"),
        both = async { tokio::join!(more, frees) } => both,
    };
    let (answered, refused): (Vec<_>, Vec<_>) = more.into_iter().partition(Result::is_ok);
    assert_eq!(answered.len(), 4);
    refused.into_iter().for_each(is_busy);
}

#[tokio::test]
async fn a_refused_stream_was_not_sent_and_another_reset_was() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (_connections, mut asked) = peer.serve(&tasks, 100);
    for (reason, sent) in [
        (Reason::REFUSED_STREAM, Sent::NotSent),
        (Reason::INTERNAL_ERROR, Sent::Sent),
    ] {
        let resets = async {
            let (_, mut respond) = next(&mut asked).await;
            respond.send_reset(reason);
        };
        let (answer, ()) = tokio::join!(send(&pool, &target), resets);
        let failed = failure(answer).error;
        assert_eq!(
            (failed.kind(), failed.sent()),
            (ErrorKind::Broken, sent),
            "{reason}"
        );
    }
    assert_eq!(
        pool.open_connections(&target),
        1,
        "a stream is no connection"
    );
}
