//! HTTP/2 in front, HTTP/1.1 behind: many requests on one connection, some of them abandoned.

use bytes::Bytes;
use futures_util::future::{Either, join_all, select};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{World, echo, gateway};

fn open(address: &str) -> World {
    gateway(&format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{address}'\n"
    ))
}

/// Runs `work` with a connection to the gateway.
fn connected<F: Future>(
    world: &World,
    work: impl FnOnce(SendRequest<Full<Bytes>>) -> F,
) -> F::Output {
    world.runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(world.handle.addr()).await;
        let io = TokioIo::new(stream.expect("connected"));
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .expect("a handshake");
        let (work, driver) = (std::pin::pin!(work(sender)), std::pin::pin!(connection));
        match select(work, driver).await {
            Either::Left((done, _)) => done,
            // What was asked on it gets an error now.
            Either::Right((_, work)) => work.await,
        }
    })
}

#[test]
fn each_of_many_requests_at_once_gets_its_own_answer() {
    let upstream = echo();
    let world = open(&upstream.address());
    connected(&world, async |sender| {
        let requests = (0..300_usize).map(|number| {
            let mut sender = sender.clone();
            async move {
                let body = format!("body-{number}").repeat(number % 3 * 500);
                let request = http::Request::post(format!("http://shop.example/t{number}"))
                    .body(Full::from(body.clone()))
                    .expect("valid");
                let answer = sender.send_request(request);
                if number % 5 == 0 {
                    // Abandoned, at once or a little later.
                    let pause = async {
                        for _ in 0..number {
                            tokio::task::yield_now().await;
                        }
                    };
                    let _ = select(std::pin::pin!(answer), std::pin::pin!(pause)).await;
                    return;
                }
                let answer = answer.await.expect("an answer");
                assert_eq!(answer.status(), 200);
                let seen = answer
                    .into_body()
                    .collect()
                    .await
                    .expect("whole")
                    .to_bytes();
                let seen: serde_json::Value = serde_json::from_slice(&seen).expect("JSON");
                assert_eq!(seen["target"], format!("/t{number}"));
                assert_eq!(seen["body"], body);
            }
        });
        join_all(requests).await;
    });
}

#[test]
fn a_host_in_doubt_is_refused() {
    let upstream = echo();
    let world = open(&upstream.address());
    let status = |url: &str, hosts: &[&str]| {
        let mut request = http::Request::get(url).version(http::Version::HTTP_2);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(Full::default()).expect("valid");
        connected(&world, async |mut sender| {
            let answer = sender.send_request(request).await;
            answer.map(|answer| answer.status().as_u16())
        })
    };
    assert_eq!(status("http://a.example/", &[]).expect("an answer"), 200);
    assert_eq!(
        status("http://a.example/", &["b@c"]).expect("an answer"),
        200
    );
    assert_eq!(status("http://b@a.example/", &[]).ok(), Some(400));
}
