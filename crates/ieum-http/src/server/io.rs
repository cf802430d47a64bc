//! What lies between the socket and hyper: the choice of the protocol, the framing floor, the words of
//! a refusal, and the patience with a client that stopped in the middle.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::framing::Scanner;
use super::refusal;

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
        stream_idle: Duration,
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
        }
        let watched = Self {
            stream,
            peeked,
            scanner,
            last_words: None,
            reading: Patience::new(stream_idle),
            writing: Patience::new(stream_idle),
        };
        Ok(Some((protocol, watched)))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
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
        if polled.is_pending() && scanner.is_in_body() {
            return this.reading.wait(cx);
        }
        this.reading.end();
        let passed = scanner.follow(&mut buf.filled_mut()[before..]);
        buf.set_filled(before + passed);
        if passed == 0 && scanner.has_refused() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> Watched<T> {
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
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
        Pin::new(&mut this.stream).poll_shutdown(cx)
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

/// A usual request fits; a new connection costs this much until its first request was parsed.
const PEEK: usize = 2048;
