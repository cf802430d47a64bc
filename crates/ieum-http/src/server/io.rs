//! What lies between the socket and hyper: the choice of the protocol, the framing floor, the words of
//! a refusal, the patience with a client that stopped in the middle, and a close that destroys nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::framing::Scanner;
use super::life::Life;
use super::{Config, refusal};

/// The first bytes of an HTTP/2 connection (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose first bytes were looked at.
#[derive(Debug)]
pub(super) struct Watched<T> {
    stream: T,
    /// What was read to find the protocol out, and still has to be given to hyper.
    peeked: BytesMut,
    scanner: Option<Scanner>,
    /// What is still to be written of a refusal, the last on its connection.
    last_words: Option<Bytes>,
    reading: Patience,
    writing: Patience,
    /// From the first byte of a request's head to its last.
    heading: Patience,
    goodbye: Goodbye,
    life: Arc<Life>,
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl<T: AsyncRead + Unpin> Watched<T> {
    /// Reads as much as it takes to know the protocol; `None` if the client left before.
    pub(super) async fn new(
        mut stream: T,
        scanner: Scanner,
        life: Arc<Life>,
        config: &Config,
    ) -> io::Result<Option<(Protocol, Self)>> {
        let mut peeked = BytesMut::with_capacity(PEEK);
        while PREFACE.starts_with(&peeked) && peeked.len() < PREFACE.len() {
            if stream.read_buf(&mut peeked).await? == 0 {
                return Ok(None);
            }
        }
        let protocol = if peeked.starts_with(PREFACE) {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        let mut scanner = (protocol == Protocol::Http1).then_some(scanner);
        if let Some(scanner) = &mut scanner {
            let passed = scanner.follow(&mut peeked);
            peeked.truncate(passed);
            life.read(scanner.has_begun_head());
        }
        let watched = Self {
            stream,
            peeked,
            scanner,
            last_words: None,
            reading: Patience::new(config.stream_idle),
            writing: Patience::new(config.stream_idle),
            heading: Patience::new(config.header_timeout),
            goodbye: Goodbye::default(),
            life,
        };
        Ok(Some((protocol, watched)))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.peeked.is_empty() {
            let length = this.peeked.len().min(buf.remaining());
            buf.put_slice(&this.peeked[..length]);
            this.peeked.advance(length);
            if this.peeked.is_empty() {
                this.peeked = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        let Some(scanner) = &mut this.scanner else {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        };
        if scanner.has_refused() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_pending() {
            if scanner.is_in_body() {
                return this.reading.wait(cx);
            }
            if scanner.has_begun_head() {
                return this.wait_for_head(cx);
            }
            return Poll::Pending;
        }
        this.reading.end();
        let passed = scanner.follow(&mut buf.filled_mut()[before..]);
        let is_in_head = scanner.has_begun_head();
        if !is_in_head {
            this.heading.end();
        }
        if passed > 0 {
            this.life.read(is_in_head);
        }
        buf.set_filled(before + passed);
        if passed == 0 && scanner.has_refused() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Watched<T> {
    /// Waits for the rest of a head, and says so when it does not come in time.
    fn wait_for_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waited = ready!(self.heading.wait(cx));
        // A few hundred bytes fit into the socket's buffer, unless the client reads nothing at all.
        let _ = Pin::new(&mut self.stream).poll_write(cx, &refusal::too_slow());
        Poll::Ready(waited)
    }

    /// Takes `bytes` for written if they are a refusal of hyper's own, to say it in our words.
    fn refuses(&mut self, bytes: &[u8]) -> bool {
        let http1 = self.scanner.as_ref().is_some_and(Scanner::is_http);
        if !http1 || self.last_words.is_some() {
            return false;
        }
        self.last_words = refusal::of(bytes);
        self.last_words.is_some()
    }

    fn poll_write_last_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(words) = &mut self.last_words else {
            return Poll::Ready(Ok(()));
        };
        while !words.is_empty() {
            let polled = Pin::new(&mut self.stream).poll_write(cx, words);
            match ready!(self.writing.watch(cx, polled))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => words.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refuses(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        if this.last_words.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.life.wrote();
        this.writing.watch(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [bytes] = slices {
            return self.poll_write(cx, bytes);
        }
        let this = self.get_mut();
        if this.last_words.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.life.wrote();
        this.writing.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_last_words(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_last_words(cx))?;
        if !this.goodbye.is_said {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.goodbye.is_said = true;
        }
        // A tunnel's other direction goes on; it is not ours to read.
        if this.scanner.as_ref().is_none_or(Scanner::is_http) {
            ready!(this.goodbye.poll_answered(cx, &mut this.stream));
        }
        Poll::Ready(Ok(()))
    }
}

/// The end of a connection: we have said that nothing more comes, and wait a moment for the client to
/// say the same. A socket that is closed over bytes that nobody read is reset, and the reset can
/// destroy the answer that was sent before it (RFC 9112, 9.6).
#[derive(Debug, Default)]
struct Goodbye {
    is_said: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Goodbye {
    fn poll_answered(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST_GOODBYE)));
        let mut bytes = [0; 1024];
        while timer.as_mut().poll(cx).is_pending() {
            let mut unread = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut unread)) {
                Ok(()) if !unread.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

/// How long the other side may do nothing. Its timer exists only while it does nothing.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    const fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// An operation that cannot go on.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// An operation that went on.
    fn end(&mut self) {
        self.timer = None;
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() {
            return self.wait(cx);
        }
        self.end();
        polled
    }
}

/// How long the client's end of a connection is waited for.
const LONGEST_GOODBYE: Duration = Duration::from_millis(500);
/// A usual request fits; a new connection costs this much until its first request was parsed.
const PEEK: usize = 2048;
