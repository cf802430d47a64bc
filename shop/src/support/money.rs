//! Money: an integer of minor units and a currency, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code: three capital letters. KRW, which has no minor unit, by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Currency([u8; 3]);

impl Currency {
    /// The won.
    pub(crate) const KRW: Self = Self(*b"KRW");
}

impl Default for Currency {
    fn default() -> Self {
        Self::KRW
    }
}

impl std::str::FromStr for Currency {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(format!(
                "`{code}` is not a currency: three capital letters, like KRW"
            )),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The price of `quantity` pieces, or `None` if it does not fit.
pub(crate) fn times(price: i64, quantity: u32) -> Option<i64> {
    price.checked_mul(i64::from(quantity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("KRW".parse(), Ok(Currency::KRW));
        for wrong in ["", "krw", "KRWX", "₩"] {
            assert!(wrong.parse::<Currency>().is_err(), "{wrong}");
        }
        let json = serde_json::to_string(&Currency::KRW).expect("json");
        assert_eq!(json, "\"KRW\"");
    }

    #[test]
    fn a_product_that_does_not_fit_is_refused() {
        assert_eq!(times(100, 2), Some(200));
        assert_eq!(times(i64::MAX, 2), None);
    }
}
