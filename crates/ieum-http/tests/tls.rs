//! HTTPS, with a certificate of our own for `localhost` (`tests/tls/`, valid for a century).

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Stop, TaskKind, Tasks};
use ieum_http::{Connector, ErrorKind, HttpClient, Sent, client, connector};
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

/// A server that answers every connection's first request; its port.
async fn start(tasks: &Tasks) -> u16 {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).expect("a key");
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .expect("a certificate and its key");
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
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("a root");
    let tls = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
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
