//! Card numbers: checked, swapped for a token, and forgotten.
//!
//! A number lives only in [`CardNumber`], which no rendering shows and nothing stores. What remains of
//! it is a token, the last four digits, the brand, and what the card network would answer. The test
//! numbers are the ones that payment providers publish.

use ieum::base::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

/// A card number that passed its check digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CardNumber(Secret);

/// Why a card is refused when it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CardError {
    /// Not 12 to 19 digits, or the check digit is wrong.
    Number,
    /// The month is not 1 to 12, or the card has expired.
    Expired,
    /// The security code is not three or four digits.
    Cvc,
}

impl CardError {
    /// The code for a machine.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Number => "invalid-card-number",
            Self::Expired => "expired-card",
            Self::Cvc => "invalid-cvc",
        }
    }
}

/// Who issued a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Brand {
    /// Starts with 4.
    Visa,
    /// Starts with 51 to 55 or 2221 to 2720.
    Mastercard,
    /// Starts with 34 or 37.
    Amex,
    /// Anything else.
    Other,
}

impl Brand {
    /// The word in JSON and SQL.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Visa => "visa",
            Self::Mastercard => "mastercard",
            Self::Amex => "amex",
            Self::Other => "other",
        }
    }
}

impl CardNumber {
    /// Reads a number, with or without spaces and dashes, and checks its last digit (Luhn).
    pub(super) fn parse(text: &Secret) -> Result<Self, CardError> {
        let digits: String = text
            .expose()
            .chars()
            .filter(|c| !" -".contains(*c))
            .collect();
        let plausible = (12..=19).contains(&digits.len());
        if plausible && luhn(&digits) {
            Ok(Self(Secret::new(digits)))
        } else {
            Err(CardError::Number)
        }
    }

    /// The last four digits, which may be shown.
    pub(super) fn last4(&self) -> String {
        let digits = self.0.expose();
        digits[digits.len() - 4..].to_owned()
    }

    /// Who issued it.
    pub(super) fn brand(&self) -> Brand {
        let digits = self.0.expose();
        let prefix = |length: usize| digits[..length].parse::<u32>().unwrap_or(0);
        match (prefix(2), prefix(4)) {
            (40..=49, _) => Brand::Visa,
            (51..=55, _) | (_, 2221..=2720) => Brand::Mastercard,
            (34 | 37, _) => Brand::Amex,
            _ => Brand::Other,
        }
    }

    /// What the card network answers to a charge; `None` is yes. It is kept with the token, since
    /// the number is not.
    pub(super) fn decline(&self) -> Option<&'static str> {
        match self.0.expose().as_str() {
            "4000000000000002" => Some("card_declined"),
            "4000000000009995" => Some("insufficient_funds"),
            "4000000000009987" => Some("lost_card"),
            "4000000000009979" => Some("stolen_card"),
            "4000000000000069" => Some("expired_card"),
            "4000000000000119" => Some("processing_error"),
            _ => None,
        }
    }
}

/// Refuses a card whose last month is over. A two-digit year is of this century.
pub(super) fn check_expiry(month: u8, year: u16, now: Timestamp) -> Result<(), CardError> {
    let year = if year < 100 { 2000 + year } else { year };
    let (this_year, this_month) = year_and_month(now);
    let over = (i64::from(year), i64::from(month)) < (this_year, this_month);
    let plausible = (1..=12).contains(&month) && i64::from(year) <= this_year + 50;
    if plausible && !over {
        Ok(())
    } else {
        Err(CardError::Expired)
    }
}

/// Refuses a security code that cannot be one. It is looked at and forgotten.
pub(super) fn check_cvc(cvc: &Secret) -> Result<(), CardError> {
    let cvc = cvc.expose();
    let digits = cvc.bytes().all(|b| b.is_ascii_digit());
    if digits && (3..=4).contains(&cvc.len()) {
        Ok(())
    } else {
        Err(CardError::Cvc)
    }
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn luhn(digits: &str) -> bool {
    let mut sum = 0;
    for (place, digit) in digits.bytes().rev().enumerate() {
        if !digit.is_ascii_digit() {
            return false;
        }
        let value = u32::from(digit - b'0');
        let doubled = if place % 2 == 1 { value * 2 } else { value };
        sum += if doubled > 9 { doubled - 9 } else { doubled };
    }
    sum % 10 == 0
}

/// Year and month in UTC, from the text form of the time (`2024-01-…`).
fn year_and_month(now: Timestamp) -> (i64, i64) {
    let text = now.to_string();
    let mut parts = text.splitn(3, '-').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<CardNumber, CardError> {
        CardNumber::parse(&Secret::new(text.to_owned()))
    }

    #[test]
    fn the_check_digit_decides() {
        for good in [
            "4242424242424242",
            "4242 4242 4242 4242",
            "5555-5555-5555-4444",
            "378282246310005",
        ] {
            assert!(number(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "4242424242424241",
            "4242",
            "4242x24242424242",
            "42424242424242424242",
        ] {
            assert_eq!(number(bad).err(), Some(CardError::Number), "{bad}");
        }
    }

    #[test]
    fn what_may_be_shown_is_the_end_and_the_brand() {
        let visa = number("4242424242424242").expect("valid");
        assert_eq!((visa.last4().as_str(), visa.brand()), ("4242", Brand::Visa));
        assert_eq!(
            number("5555555555554444").map(|c| c.brand()),
            Ok(Brand::Mastercard)
        );
        assert_eq!(
            number("378282246310005").map(|c| c.brand()),
            Ok(Brand::Amex)
        );
    }

    #[test]
    fn test_cards_are_declined_as_providers_do() {
        let answer = |text| number(text).map(|card| card.decline());
        assert_eq!(answer("4242424242424242"), Ok(None));
        assert_eq!(answer("4000000000000002"), Ok(Some("card_declined")));
        assert_eq!(answer("4000000000009995"), Ok(Some("insufficient_funds")));
    }

    #[test]
    fn a_card_is_good_until_its_last_month_is_over() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        assert_eq!(check_expiry(11, 2026, now), Ok(()));
        assert_eq!(check_expiry(1, 27, now), Ok(()));
        assert_eq!(check_expiry(10, 2026, now), Err(CardError::Expired));
        assert_eq!(check_expiry(13, 2030, now), Err(CardError::Expired));
        assert_eq!(check_expiry(12, 3030, now), Err(CardError::Expired));
    }

    #[test]
    fn a_security_code_has_three_or_four_digits() {
        let check = |text: &str| check_cvc(&Secret::new(text.to_owned()));
        assert_eq!((check("123"), check("1234")), (Ok(()), Ok(())));
        assert_eq!(
            (check("12"), check("12a")),
            (Err(CardError::Cvc), Err(CardError::Cvc))
        );
    }
}
