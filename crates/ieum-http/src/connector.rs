//! Opens connections: names, the egress policy, TCP, TLS.
//!
//! The TLS configuration, with the platform's trust store, is made at the first `https` target, so
//! that a process that speaks plain HTTP only never pays for it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Error, ErrorKind, Result, Target, egress};

/// How connections are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The longest wait for the name and the TCP connection together. Default: 1 s (linkerd2-proxy).
    pub connect_timeout: Duration,
    /// The longest TLS handshake. Default: 5 s.
    pub tls_timeout: Duration,
    /// The head start of one address before the next is tried too. Default: 250 ms (RFC 8305).
    pub head_start: Duration,
    /// What may be called. Default: everything but link-local and metadata addresses.
    pub egress: egress::Policy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            tls_timeout: Duration::from_secs(5),
            head_start: Duration::from_millis(250),
            egress: egress::Policy::default(),
        }
    }
}

/// Opens connections. Clones share the TLS configuration.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    config: Config,
    tls: Arc<OnceLock<Arc<ClientConfig>>>,
    /// True if TLS offers HTTP/2 and nothing else.
    is_http2: bool,
}

impl Connector {
    /// A connector whose TLS trusts what the platform trusts.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            tls: Arc::default(),
            is_http2: false,
        }
    }

    /// As [`Self::new`], for connections that speak HTTP/2 from their first byte: gRPC.
    pub fn http2(config: Config) -> Self {
        Self {
            is_http2: true,
            ..Self::new(config)
        }
    }

    /// A connector with a TLS configuration of its own: another trust store, a client certificate.
    pub fn with_tls(config: Config, tls: Arc<ClientConfig>) -> Self {
        Self {
            config,
            tls: Arc::new(OnceLock::from(tls)),
            is_http2: false,
        }
    }

    /// Opens a connection. All errors say [`crate::Sent::NotSent`]. Cancel safe.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], [`ErrorKind::Connect`], [`ErrorKind::Tls`].
    pub async fn connect(&self, target: &Target) -> Result<Io> {
        let limit = self.config.connect_timeout;
        let stream = tokio::time::timeout(limit, self.tcp(target))
            .await
            .map_err(|_| refused(target).caused_by(format!("not connected within {limit:?}")))??;
        if !target.is_secure() {
            return Ok(Io::Plain(stream));
        }
        let limit = self.config.tls_timeout;
        let failed = || Error::new(ErrorKind::Tls, target.to_string());
        let secured = tokio::time::timeout(limit, self.secure(target, stream))
            .await
            .map_err(|_| failed().caused_by(format!("no handshake within {limit:?}")))?
            .map_err(|error| failed().caused_by(error))?;
        Ok(Io::Tls(Box::new(secured)))
    }

    async fn tcp(&self, target: &Target) -> Result<TcpStream> {
        let addresses = self.resolve(target).await?;
        let stream = race(addresses, self.config.head_start)
            .await
            .map_err(|error| refused(target).caused_by(error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| refused(target).caused_by(error))?;
        Ok(stream)
    }

    /// The addresses that may be called, IPv6 and IPv4 in turn.
    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>> {
        if let Ok(address) = target.host().parse::<IpAddr>() {
            self.config.egress.check(address)?;
            return Ok(vec![SocketAddr::new(address, target.port())]);
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((target.host(), target.port()))
            .await
            .map_err(|error| refused(target).caused_by(error))?
            .collect();
        let mut forbidden = None;
        let allowed = found.into_iter().filter(|address| {
            let verdict = self.config.egress.check(address.ip());
            forbidden = verdict.err().or(forbidden.take());
            forbidden.is_none()
        });
        let (v6, v4): (Vec<_>, Vec<_>) = allowed.partition(SocketAddr::is_ipv6);
        // One forbidden address condemns the name: the next resolution could yield it alone.
        match forbidden {
            Some(error) => Err(error),
            None => Ok(in_turn(v6, v4)),
        }
    }

    async fn secure(&self, target: &Target, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = match self.tls.get() {
            Some(config) => Arc::clone(config),
            None => {
                let made = Arc::new(platform_tls(self.is_http2).map_err(io::Error::other)?);
                Arc::clone(self.tls.get_or_init(|| made))
            }
        };
        let name = ServerName::try_from(target.host().to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    }
}

fn platform_tls(is_http2: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_platform_verifier()?
        .with_no_client_auth();
    let protocol: &[u8] = if is_http2 { b"h2" } else { b"http/1.1" };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

fn refused(target: &Target) -> Error {
    Error::new(ErrorKind::Connect, target.to_string())
}

fn in_turn(first: Vec<SocketAddr>, second: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        all.extend(pair.0.into_iter().chain(pair.1));
        if pair == (None, None) {
            return all;
        }
    }
}

/// Tries the addresses in order, each with a head start on the next; the first connection wins
/// ("happy eyeballs").
async fn race(addresses: Vec<SocketAddr>, head_start: Duration) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => trying.push(TcpStream::connect(address)),
            None if trying.is_empty() => return Err(failure),
            None => {}
        }
        let others_wait = waiting.len() > 0;
        tokio::select! {
            Some(outcome) = trying.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            },
            () = tokio::time::sleep(head_start), if others_wait => {}
        }
    }
}

/// A connection: plain or TLS.
#[derive(Debug)]
pub enum Io {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
