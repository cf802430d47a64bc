//! Durations as `"250ms"`, sizes as `"64KiB"`: how configuration writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a text is not a duration or a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}; write it like {example}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// A duration that is written `"250ms"`, `"1.5s"`, `"1m30s"`, `"2h"` or `"0s"`. A bare number is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

/// A number of bytes that is written `"64KiB"`, `"1MiB"`, `"10MB"`, `"512B"` or, as a number, `512`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const DURATION_UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

impl HumanDuration {
    /// From milliseconds, for defaults.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// From seconds, for defaults.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || UnitError {
            text: text.to_owned(),
            what: "duration",
            example: "\"250ms\", \"1.5s\", \"1m30s\" or \"2h\"",
        };
        let nanos = sum_of_parts(text, &DURATION_UNITS).ok_or_else(refuse)?;
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || UnitError {
            text: text.to_owned(),
            what: "size",
            example: "\"64KiB\", \"1MiB\" or \"512B\"",
        };
        sum_of_parts(text, &SIZE_UNITS).map(Self).ok_or_else(refuse)
    }
}

/// Sums `"1m30s"` as 1 × m + 30 × s; `None` if a part has no number or no known unit.
fn sum_of_parts(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = units.iter().find(|(name, _)| *name == unit.trim())?.1;
        sum = sum.checked_add(scaled(number, scale)?)?;
        rest = tail;
    }
    (!text.trim().is_empty()).then_some(sum)
}

/// `number` (digits with at most one point) times `scale`, without going through floating point.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    if number.contains('.') && fraction.is_empty() {
        return None;
    }
    let places = u32::try_from(fraction.len())
        .ok()
        .filter(|&places| places <= 18)?;
    let digits: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let part = u64::try_from(digits * u128::from(scale) / 10_u128.pow(places)).ok()?;
    whole.checked_add(part)
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        let exact = |&&(name, scale): &&(&str, u64)| name != "µs" && nanos.is_multiple_of(scale);
        match DURATION_UNITS.iter().rev().find(exact) {
            Some((name, scale)) if nanos > 0 => write!(f, "{}{name}", nanos / scale),
            _ => f.write_str("0s"),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |&&(_, scale): &&(&str, u64)| self.0.is_multiple_of(scale);
        match SIZE_UNITS[..4].iter().rev().find(exact) {
            Some((name, scale)) if self.0 > 0 => write!(f, "{}{name}", self.0 / scale),
            _ => f.write_str("0B"),
        }
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = HumanDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, like \"250ms\" or \"1m30s\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size with its unit, like \"64KiB\", or a number of bytes")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::custom("a size is not negative"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for HumanDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$",
            "examples": ["250ms", "15s", "1m30s"]
        })
    }
}

impl schemars::JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB|KB|MB|GB)$",
            "minimum": 0,
            "examples": ["64KiB", "1MiB", 512]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration(text: &str) -> Option<Duration> {
        text.parse::<HumanDuration>().ok().map(Duration::from)
    }

    #[test]
    fn reads_durations_with_units_only() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7_200)));
        for wrong in [
            "",
            "5",
            "s",
            "-1s",
            "1.s",
            "1 day",
            "1e3s",
            "99999999999999h",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn reads_sizes() {
        let size = |text: &str| text.parse::<ByteSize>().ok().map(|s| s.0);
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("1.5MiB"), Some(1_572_864));
        assert_eq!(size("10MB"), Some(10_000_000));
        assert_eq!(size("12 parsecs"), None);
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["250ms", "90s", "15s", "2h", "0s", "1500us"] {
            let parsed: HumanDuration = text.parse().expect("valid");
            assert_eq!(
                parsed.to_string().parse::<HumanDuration>(),
                Ok(parsed),
                "{text}"
            );
        }
        assert_eq!(HumanDuration::from_secs(90).to_string(), "90s");
        assert_eq!(ByteSize(65_536).to_string(), "64KiB");
        assert_eq!(ByteSize(0).to_string(), "0B");
    }
}
