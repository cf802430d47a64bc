//! What lies between the socket and hyper: the choice of the protocol, and the framing floor.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::framing::Scanner;

/// The first bytes of an HTTP/2 connection (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose first bytes were looked at.
#[derive(Debug)]
pub(super) struct Watched<T> {
    stream: T,
    /// What was read to find the protocol out, and still has to be given to hyper.
    peeked: BytesMut,
    scanner: Option<Scanner>,
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
            scanner.follow(&mut peeked);
        }
        let watched = Self {
            stream,
            peeked,
            scanner,
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
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Some(scanner) = &mut this.scanner
            && polled.is_ready()
        {
            scanner.follow(&mut buf.filled_mut()[before..]);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A usual request fits; a new connection costs this much until its first request was parsed.
const PEEK: usize = 2048;
