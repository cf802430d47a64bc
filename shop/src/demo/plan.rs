//! What the demo intends: how many orders, which of them must fail, and why.
//!
//! The counts are exact, not drawn: `floor(orders × percent / 100)` of each kind, dealt in an order that
//! depends on nothing but the run's number, so that a run can be repeated.

use anyhow::{Result, ensure};
use ieum::base::Rng;

/// How a planned order must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Completed.
    Completed,
    /// Cancelled: the card is declined.
    Declined,
    /// Cancelled: there is not enough stock.
    OutOfStock,
    /// Cancelled after it was paid: nobody delivers there. The money goes back.
    Undeliverable,
}

impl Outcome {
    /// The word in the plan's table.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Declined => "declined",
            Self::OutOfStock => "out-of-stock",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// The outcome with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [
            Self::Completed,
            Self::Declined,
            Self::OutOfStock,
            Self::Undeliverable,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == word)
    }
}

/// Shares of the orders that must fail, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// With a card that is declined.
    pub(crate) decline: u8,
    /// Of more than there is.
    pub(crate) out_of_stock: u8,
    /// To where nobody delivers.
    pub(crate) undeliverable: u8,
}

impl Shares {
    /// Refuses shares that add up to more than everything.
    pub(crate) fn validated(self) -> Result<Self> {
        let sum =
            u32::from(self.decline) + u32::from(self.out_of_stock) + u32::from(self.undeliverable);
        ensure!(
            sum <= 100,
            "--decline, --out-of-stock and --undeliverable add up to {sum} %; at most 100 % of the orders can fail"
        );
        Ok(self)
    }
}

/// The outcomes of `orders` orders, dealt for run number `run`.
pub(crate) fn outcomes(orders: u32, shares: Shares, run: u64) -> Vec<Outcome> {
    let of = |percent: u8| (u64::from(orders) * u64::from(percent) / 100) as usize;
    let mut dealt = Vec::with_capacity(orders as usize);
    dealt.extend(std::iter::repeat_n(Outcome::Declined, of(shares.decline)));
    dealt.extend(std::iter::repeat_n(
        Outcome::OutOfStock,
        of(shares.out_of_stock),
    ));
    dealt.extend(std::iter::repeat_n(
        Outcome::Undeliverable,
        of(shares.undeliverable),
    ));
    dealt.resize(orders as usize, Outcome::Completed);
    shuffle(&mut dealt, &Rng::seeded(run));
    dealt
}

/// Fisher and Yates's shuffle.
fn shuffle<T>(items: &mut [T], rng: &Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(outcomes: &[Outcome], outcome: Outcome) -> usize {
        outcomes.iter().filter(|o| **o == outcome).count()
    }

    #[test]
    fn the_counts_are_exact() {
        let shares = Shares {
            decline: 20,
            out_of_stock: 5,
            undeliverable: 10,
        };
        let dealt = outcomes(1_000, shares, 1);
        assert_eq!(count(&dealt, Outcome::Declined), 200);
        assert_eq!(count(&dealt, Outcome::OutOfStock), 50);
        assert_eq!(count(&dealt, Outcome::Undeliverable), 100);
        assert_eq!(count(&dealt, Outcome::Completed), 650);
        let few = outcomes(19, shares, 1);
        assert_eq!(count(&few, Outcome::Declined), 3);
        assert_eq!(count(&few, Outcome::OutOfStock), 0);
        assert_eq!(few.len(), 19);
    }

    #[test]
    fn a_run_can_be_repeated_and_is_mixed() {
        let shares = Shares {
            decline: 50,
            ..Shares::default()
        };
        assert_eq!(outcomes(100, shares, 7), outcomes(100, shares, 7));
        let dealt = outcomes(100, shares, 7);
        assert!(count(&dealt[..50], Outcome::Declined) < 50);
    }

    #[test]
    fn more_than_everything_cannot_fail() {
        let shares = Shares {
            decline: 60,
            out_of_stock: 30,
            undeliverable: 11,
        };
        assert!(shares.validated().is_err());
        assert!(Shares::default().validated().is_ok());
    }

    #[test]
    fn every_outcome_is_found_by_its_word() {
        for outcome in outcomes(1, Shares::default(), 0) {
            assert_eq!(Outcome::from_word(outcome.as_str()), Some(outcome));
        }
        assert_eq!(Outcome::from_word("perhaps"), None);
    }
}
