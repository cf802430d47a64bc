//! How messages lie in a body: a flag, a length, and the message.
//!
//! A body is cut into pieces at any place, so that its messages are followed over the pieces. Who
//! passes a body on keeps no byte of it: [`Meter`] only counts, and knows of a message that is too
//! large when its length has been read, before the message itself comes.

use std::fmt;

/// The prefix of a message.
///
/// Source: the gRPC project's "gRPC over HTTP2", `Length-Prefixed-Message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Whether the message is compressed, as `grpc-encoding` says.
    pub is_compressed: bool,
    /// The message's length in bytes.
    pub length: u32,
}

/// Why messages cannot be read or passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The prefix begins with something other than the flag 0 or 1.
    #[error("a message's prefix is damaged")]
    Damaged,
    /// A message is larger than allowed.
    #[error("a message of {length} bytes is larger than the {most} that are allowed")]
    TooLarge {
        /// Its length in bytes.
        length: u32,
        /// The most that is allowed.
        most: u64,
    },
    /// The body ended inside a message.
    #[error("the body ended inside a message")]
    Torn,
}

impl Prefix {
    /// Its length on the wire, in bytes.
    pub const LENGTH: usize = 5;

    /// Reads a prefix.
    ///
    /// # Errors
    /// [`FrameError::Damaged`] if the flag is neither 0 nor 1.
    pub const fn read([flag, a, b, c, d]: [u8; Self::LENGTH]) -> Result<Self, FrameError> {
        let is_compressed = match flag {
            0 => false,
            1 => true,
            _ => return Err(FrameError::Damaged),
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        Ok(Self {
            is_compressed,
            length,
        })
    }

    /// Writes it.
    pub const fn write(self) -> [u8; Self::LENGTH] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [self.is_compressed as u8, a, b, c, d]
    }
}

/// Follows the messages of a body that passes by. Keeps at most a prefix.
#[derive(Clone)]
pub struct Meter {
    most: u64,
    messages: u64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Inside a prefix, of which so many bytes are here.
    Prefix([u8; Prefix::LENGTH], usize),
    /// Inside a message, of which so many bytes are to come.
    Message(u32),
}

impl Meter {
    /// A meter for a body whose messages have at most `most` bytes each.
    pub const fn new(most: u64) -> Self {
        Self {
            most,
            messages: 0,
            state: State::BETWEEN,
        }
    }

    /// Takes note of the next piece of the body. After an error it is of no more use.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] as soon as the length of a message is known, [`FrameError::Damaged`].
    pub fn pass(&mut self, mut piece: &[u8]) -> Result<(), FrameError> {
        while !piece.is_empty() {
            piece = match self.state {
                State::Prefix(prefix, have) => self.prefix(prefix, have, piece)?,
                State::Message(left) => {
                    let taken = piece.len().min(left as usize);
                    // It was taken out of `left`, so it fits.
                    let left = left - u32::try_from(taken).unwrap_or(left);
                    self.state = if left == 0 {
                        State::BETWEEN
                    } else {
                        State::Message(left)
                    };
                    piece.get(taken..).unwrap_or_default()
                }
            };
        }
        Ok(())
    }

    fn prefix<'a>(
        &mut self,
        mut prefix: [u8; Prefix::LENGTH],
        have: usize,
        piece: &'a [u8],
    ) -> Result<&'a [u8], FrameError> {
        let missing = prefix.iter_mut().skip(have);
        let taken = missing.zip(piece).map(|(to, from)| *to = *from).count();
        let have = have + taken;
        self.state = State::Prefix(prefix, have);
        if have == Prefix::LENGTH {
            let Prefix { length, .. } = Prefix::read(prefix)?;
            if u64::from(length) > self.most {
                let most = self.most;
                return Err(FrameError::TooLarge { length, most });
            }
            self.messages += 1;
            self.state = if length == 0 {
                State::BETWEEN
            } else {
                State::Message(length)
            };
        }
        Ok(piece.get(taken..).unwrap_or_default())
    }

    /// Takes note of the body's end.
    ///
    /// # Errors
    /// [`FrameError::Torn`] if a message is not complete.
    pub const fn end(&self) -> Result<(), FrameError> {
        match self.state {
            State::Prefix(_, 0) => Ok(()),
            _ => Err(FrameError::Torn),
        }
    }

    /// How many messages have begun.
    pub const fn messages(&self) -> u64 {
        self.messages
    }
}

impl State {
    const BETWEEN: Self = Self::Prefix([0; Prefix::LENGTH], 0);
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meter({} messages)", self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(messages: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            let prefix = Prefix {
                is_compressed: false,
                length: u32::try_from(message.len()).expect("small"),
            };
            body.extend(prefix.write());
            body.extend(*message);
        }
        body
    }

    #[test]
    fn a_prefix_is_read_as_it_was_written() {
        let prefix = Prefix {
            is_compressed: true,
            length: 0x0102_0304,
        };
        assert_eq!(prefix.write(), [1, 1, 2, 3, 4]);
        assert_eq!(Prefix::read(prefix.write()), Ok(prefix));
        assert_eq!(Prefix::read([2, 0, 0, 0, 0]), Err(FrameError::Damaged));
    }

    #[test]
    fn messages_are_followed_wherever_the_body_is_cut() {
        let body = body(&[b"", b"one", b"", b"three messages and four"]);
        for size in 1..=body.len() {
            let mut meter = Meter::new(100);
            for piece in body.chunks(size) {
                meter.pass(piece).expect("well formed");
            }
            assert_eq!(meter.messages(), 4, "pieces of {size}");
            assert_eq!(meter.end(), Ok(()), "pieces of {size}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_known_by_its_prefix() {
        let mut meter = Meter::new(4 << 20);
        let length = 100 << 20;
        let prefix = Prefix {
            is_compressed: false,
            length,
        };
        let prefix = prefix.write();
        assert_eq!(meter.pass(&prefix[..4]), Ok(()));
        let most = 4 << 20;
        assert_eq!(
            meter.pass(&prefix[4..]),
            Err(FrameError::TooLarge { length, most })
        );
    }

    #[test]
    fn a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(Meter::new(3).pass(&body(&[b"abc"])), Ok(()));
        assert!(Meter::new(2).pass(&body(&[b"abc"])).is_err());
    }

    #[test]
    fn an_end_inside_a_message_is_noticed() {
        let whole = body(&[b"abc"]);
        for end in 1..whole.len() {
            let mut meter = Meter::new(100);
            meter.pass(&whole[..end]).expect("well formed so far");
            assert_eq!(meter.end(), Err(FrameError::Torn), "after {end} bytes");
        }
    }
}
