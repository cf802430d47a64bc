//! `grpc-timeout`: how long the caller will wait, as each hop is told anew.
//!
//! It is a duration and not a point in time, because clocks differ; so whoever passes a request on
//! sends what is left.

use std::time::Duration;

use http::HeaderValue;

/// The name of the field.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// A `grpc-timeout` that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout is not at most eight digits and one of H, M, S, m, u, n")]
pub struct TimeoutError;

/// Reads the field: one to eight digits and a unit.
///
/// # Errors
/// [`TimeoutError`] for anything else.
pub fn parse(value: &HeaderValue) -> Result<Duration, TimeoutError> {
    let (unit, digits) = value.as_bytes().split_last().ok_or(TimeoutError)?;
    let is_number =
        (1..=MOST_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if !is_number {
        return Err(TimeoutError);
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(number * 3600)),
        b'M' => Ok(Duration::from_secs(number * 60)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(TimeoutError),
    }
}

/// Writes the field in the finest unit that fits, rounded down: the next hop never believes that it
/// has longer than there is. Nothing left is one nanosecond, since a timeout is positive.
pub fn format(left: Duration) -> HeaderValue {
    let (number, unit) = finest(left);
    let text = format!("{}{unit}", number.max(1));
    // Digits and a letter are always a field's value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("1n"))
}

fn finest(left: Duration) -> (u128, char) {
    let seconds = u128::from(left.as_secs());
    let units = [
        (left.as_nanos(), 'n'),
        (left.as_micros(), 'u'),
        (left.as_millis(), 'm'),
        (seconds, 'S'),
        (seconds / 60, 'M'),
    ];
    let fits = |(number, _): &(u128, char)| *number <= MOST;
    let hours = (seconds / 3600).min(MOST);
    units.into_iter().find(fits).unwrap_or((hours, 'H'))
}

const MOST_DIGITS: usize = 8;
const MOST: u128 = 99_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Duration> {
        parse(&HeaderValue::from_str(text).expect("a field's value")).ok()
    }

    #[test]
    fn each_unit_is_read() {
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("2m"), Some(Duration::from_millis(2)));
        assert_eq!(read("2u"), Some(Duration::from_micros(2)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert!(read("99999999H").is_some());
    }

    #[test]
    fn what_is_no_timeout_is_refused() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "1.5S",
            "123456789n",
            " 1S",
            "1S ",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_next_hop_gets_what_is_left_and_never_more() {
        let check = |left: Duration, text: &str| {
            let written = format(left);
            assert_eq!(written, text);
            assert!(left.is_zero() || parse(&written).is_ok_and(|read| read <= left));
        };
        check(Duration::ZERO, "1n");
        check(Duration::from_nanos(99_999_999), "99999999n");
        check(Duration::from_nanos(100_000_999), "100000u");
        check(Duration::from_secs(15), "15000000u");
        check(Duration::from_secs(100), "100000m");
        check(Duration::from_secs(100_000_000), "1666666M");
        check(Duration::MAX, "99999999H");
    }
}
