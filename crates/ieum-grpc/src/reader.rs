//! Messages out of a body that comes in pieces.

use bytes::{Buf, Bytes, BytesMut};

use crate::{FrameError, Prefix};

/// Collects the pieces of a body and gives its messages, one at a time. It holds at most one message
/// and the piece that came last.
#[derive(Debug)]
pub struct Reader {
    most: u64,
    pieces: BytesMut,
}

impl Reader {
    /// A reader of messages of at most `most` bytes each.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            pieces: BytesMut::new(),
        }
    }

    /// Takes the next piece. All messages that are complete are to be taken out first.
    pub fn push(&mut self, piece: &[u8]) {
        self.pieces.extend_from_slice(piece);
    }

    /// The next message, if all of it is here.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] as soon as the length is known, [`FrameError::Damaged`].
    pub fn next_message(&mut self) -> Result<Option<(Prefix, Bytes)>, FrameError> {
        let Some(prefix) = self.pieces.first_chunk::<{ Prefix::LENGTH }>() else {
            return Ok(None);
        };
        let prefix = Prefix::read(*prefix)?;
        let Prefix { length, .. } = prefix;
        if u64::from(length) > self.most {
            let most = self.most;
            return Err(FrameError::TooLarge { length, most });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.pieces.len() - Prefix::LENGTH < length {
            return Ok(None);
        }
        self.pieces.advance(Prefix::LENGTH);
        Ok(Some((prefix, self.pieces.split_to(length).freeze())))
    }

    /// Takes note of the body's end.
    ///
    /// # Errors
    /// [`FrameError::Torn`] if a message is not complete.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.pieces.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Torn)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(messages: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            let length = u32::try_from(message.len()).expect("small");
            let is_compressed = false;
            body.extend(
                Prefix {
                    is_compressed,
                    length,
                }
                .write(),
            );
            body.extend(*message);
        }
        body
    }

    #[test]
    fn messages_come_out_wherever_the_body_is_cut() {
        let messages: [&[u8]; 4] = [b"", b"one", b"", b"three messages and four"];
        let body = body(&messages);
        for size in 1..=body.len() {
            let mut reader = Reader::new(100);
            let mut read = Vec::new();
            for piece in body.chunks(size) {
                reader.push(piece);
                while let Some((_, message)) = reader.next_message().expect("well formed") {
                    read.push(message);
                }
            }
            assert_eq!(read, messages, "pieces of {size}");
            assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn a_message_that_is_too_large_or_torn_is_refused() {
        let mut reader = Reader::new(2);
        reader.push(&body(&[b"abc"])[..5]);
        let (length, most) = (3, 2);
        assert_eq!(
            reader.next_message(),
            Err(FrameError::TooLarge { length, most })
        );
        let mut reader = Reader::new(3);
        reader.push(&body(&[b"abc"])[..6]);
        assert_eq!(reader.next_message(), Ok(None));
        assert_eq!(reader.end(), Err(FrameError::Torn));
    }
}
