//! Where a parcel can be sent.
//!
//! The rule: in Korea, postal codes run from 01000 to 63999 (five digits, Korea Post, since 2015). An
//! address in another country, or with another code, is undeliverable. An order without an address
//! is collected at the counter and can always be "sent".

use serde::{Deserialize, Serialize};

/// A postal address, as an order carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address {
    /// Street and number.
    pub(super) line: String,
    /// Town.
    pub(super) city: String,
    /// Postal code.
    pub(super) postal_code: String,
    /// ISO 3166 code of the country; `KR` by default.
    #[serde(default = "korea")]
    pub(super) country: String,
}

fn korea() -> String {
    "KR".to_owned()
}

/// Why an address cannot be delivered to, for people; `Ok` if it can.
pub(super) fn deliverable(address: Option<&Address>) -> Result<(), &'static str> {
    let Some(address) = address else {
        return Ok(());
    };
    if address.country != "KR" {
        return Err("we ship within Korea (KR) only");
    }
    let code = &address.postal_code;
    let digits = code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit());
    match code.parse::<u32>() {
        Ok(1_000..=63_999) if digits => Ok(()),
        _ => Err("a Korean postal code has five digits from 01000 to 63999"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(country: &str, postal_code: &str, deliverable_there: bool) {
        let address = Address {
            line: "세종대로 110".into(),
            city: "서울".into(),
            postal_code: postal_code.into(),
            country: country.into(),
        };
        let result = deliverable(Some(&address));
        assert_eq!(result.is_ok(), deliverable_there, "{country} {postal_code}");
    }

    #[test]
    fn korean_postal_codes_are_deliverable() {
        check("KR", "04524", true);
        check("KR", "01000", true);
        check("KR", "63999", true);
        check("KR", "64000", false);
        check("KR", "00999", false);
        check("KR", "99999", false);
        check("KR", "4524", false);
        check("KR", "+4524", false);
        check("US", "04524", false);
    }

    #[test]
    fn an_order_without_an_address_is_collected() {
        assert_eq!(deliverable(None), Ok(()));
    }
}
