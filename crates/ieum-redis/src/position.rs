//! A stream's ids as positions.
//!
//! An id is the server's milliseconds and a number within them, and never goes back, also if the clock
//! does. Both in one number: 42 bits of milliseconds last until 2109, 22 bits count four million
//! messages in one of them.

use std::fmt;

/// The place of an entry in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    /// Reads an id; `None` if it is none, or does not fit.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (millis, number) = id.split_once('-')?;
        let (millis, number) = (millis.parse::<u64>().ok()?, number.parse::<u64>().ok()?);
        let fits = millis < 1 << (64 - NUMBER_BITS) && number < 1 << NUMBER_BITS;
        fits.then_some(Self(millis << NUMBER_BITS | number))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0 & ((1 << NUMBER_BITS) - 1);
        write!(f, "{}-{number}", self.0 >> NUMBER_BITS)
    }
}

const NUMBER_BITS: u32 = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_position_and_back_in_the_same_order() {
        let ids = [
            "0-0",
            "0-1",
            "1-0",
            "1763731629123-0",
            "1763731629123-4194303",
            "4398046511103-7",
        ];
        let positions: Vec<_> = ids.map(|id| Position::parse(id).expect("it fits")).into();
        assert!(positions.is_sorted_by(|a, b| a < b));
        assert_eq!(
            positions
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ids
        );
        for wrong in ["", "1", "1-", "-1", "1-4194304", "4398046511104-0", "a-b"] {
            assert_eq!(Position::parse(wrong), None, "{wrong}");
        }
    }
}
