//! The server's version, which it says in its greeting and the client library keeps to itself.

use std::fmt;
use std::time::Duration;

use ieum_base::EngineUrl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A version: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u16, pub(crate) u16, pub(crate) u16);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Asks the server for its greeting and goes away. Nothing if it speaks TLS, or does not answer.
pub(crate) async fn version(url: &EngineUrl, limit: Duration) -> Option<Version> {
    if url.scheme() != "amqp" {
        return None;
    }
    let greeting = timeout(limit, greeting(url.authority())).await.ok()?;
    parse(&greeting.ok()?)
}

async fn greeting(authority: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = match authority.rsplit_once(':') {
        Some(_) => TcpStream::connect(authority).await?,
        None => TcpStream::connect((authority, 5_672)).await?,
    };
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    // A frame: one byte of kind, two of channel, four of length.
    let mut head = [0; 7];
    stream.read_exact(&mut head).await?;
    let [.., a, b, c, d] = head;
    let length = u32::from_be_bytes([a, b, c, d]).min(MOST);
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// Finds the property `version`: its name, `S`, four bytes of length, the text.
fn parse(greeting: &[u8]) -> Option<Version> {
    const NAME: &[u8] = b"\x07versionS";
    let at = greeting.windows(NAME.len()).position(|w| w == NAME)?;
    let rest = &greeting[at + NAME.len()..];
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let text = rest.get(..u32::from_be_bytes(*length) as usize)?;
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text.split(['.', '-', '+']).map(str::parse);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Version(major, minor, numbers.next()?.ok()?))
}

/// More than any greeting has.
const MOST: u32 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_a_greeting() {
        let greeting =
            b"..\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8..";
        assert_eq!(parse(greeting), Some(Version(3, 10, 8)));
        assert_eq!(parse(b"\x07versionS\x00\x00\x00\x64x"), None);
        assert_eq!(parse(b"hello"), None);
        assert!(Version(3, 9, 30) < Version(3, 10, 0));
    }
}
