//! HTTPS, with a certificate of our own for `localhost` (`tests/tls/`, valid for a century).

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_http::{Connector, ErrorKind, HttpClient, Sent, Target, client, connector, http2};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const SECOND: Duration = Duration::from_secs(1);

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("tls/cert.pem")).expect("a certificate")
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server_config() -> ServerConfig {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).expect("a key");
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .expect("a certificate and its key")
}

/// A server that answers every connection's first request; its port.
async fn start(tasks: &Tasks) -> u16 {
    let config = server_config();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tasks.spawn(TaskKind::Background, "peer", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 1024]).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    });
    port
}

fn trusting_us() -> Connector {
    trusting_us_for(&[])
}

/// A connector that offers these protocols.
fn trusting_us_for(protocols: &[&[u8]]) -> Connector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("a root");
    let mut tls = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Connector::with_tls(connector::Config::default(), Arc::new(tls))
}

#[tokio::test]
async fn a_peer_whose_certificate_is_trusted_is_called() {
    let tasks = Tasks::new(Stop::new());
    let port = start(&tasks).await;
    let client = HttpClient::with_connector(trusting_us(), client::Config::default(), tasks);
    let answer = client
        .get(&format!("https://localhost:{port}/"), 5 * SECOND)
        .await;
    assert_eq!(answer.expect("answered").body(), "ok");
}

#[tokio::test]
async fn a_peer_that_the_platform_does_not_trust_is_not_called() {
    let tasks = Tasks::new(Stop::new());
    let port = start(&tasks).await;
    let client = HttpClient::new(tasks);
    let error = client
        .get(&format!("https://localhost:{port}/"), 5 * SECOND)
        .await;
    let error = error.expect_err("not trusted");
    assert_eq!(
        (error.kind(), error.sent()),
        (ErrorKind::Tls, Sent::NotSent)
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let tasks = Tasks::new(Stop::new());
    let port = start(&tasks).await;
    let client = HttpClient::with_connector(trusting_us(), client::Config::default(), tasks);
    let error = client
        .get(&format!("https://127.0.0.1:{port}/"), 5 * SECOND)
        .await;
    assert_eq!(error.expect_err("another name").kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn http2_is_agreed_upon_and_a_peer_that_has_it_not_is_not_called() {
    let tasks = Tasks::new(Stop::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let target = Target::https(&format!("localhost:{port}")).expect("valid");
    let connector = trusting_us_for(&[b"h2"]);
    let pool = http2::Pool::new(connector, http2::Config::default(), tasks.clone());
    let accept = async |protocol: &[u8]| {
        let mut config = server_config();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = listener.accept().await.expect("a connection").0;
        TlsAcceptor::from(Arc::new(config)).accept(stream).await
    };
    let ask = async || {
        let request = Request::get("/x").body(Full::<Bytes>::default());
        let sent = pool.send(&target, Box::new(request.expect("valid"))).await;
        sent.map(|answer| answer.status())
            .map_err(|failed| failed.error)
    };
    let (refused, accepted) = tokio::join!(ask(), accept(b"http/1.1"));
    let refused = refused.expect_err("it speaks no HTTP/2");
    assert_eq!(
        (refused.kind(), refused.sent()),
        (ErrorKind::Tls, Sent::NotSent)
    );
    assert!(accepted.is_err());
    let serves = async {
        let stream = accept(b"h2").await.expect("a handshake");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        let (request, mut respond) = connection.accept().await.expect("one").expect("whole");
        assert_eq!(request.uri().scheme_str(), Some("https"));
        respond
            .send_response(Response::new(()), true)
            .expect("open");
        let _ = connection.accept().await;
    };
    let answered = tokio::select! {
        answered = ask() => answered,
        () = serves => unreachable!("it serves for as long as somebody is connected"),
    };
    assert_eq!(answered.expect("answered"), 200);
}
