//! Where the JSON encoding of OTLP differs from what serde would write (OTLP 1.x, "JSON Protobuf
//! Encoding"): ids are hex, 64-bit numbers are text, and both are read more widely than written.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};

/// Trace and span ids: hex, in either case when read.
pub(super) mod hex {
    use super::{Deserializer, Error, Serializer};
    use serde::Deserialize;

    pub(crate) fn serialize<S: Serializer>(id: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let digits = |byte: &u8| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        };
        let text: String = id.iter().flat_map(digits).map(char::from).collect();
        serializer.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        let wrong = || D::Error::custom("expected an even number of hex digits");
        let pairs = text.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        bytes.collect::<Option<_>>().ok_or_else(wrong)
    }

    fn digit(digit: u8) -> Option<u8> {
        let value = char::from(digit).to_digit(16)?;
        u8::try_from(value).ok()
    }
}

/// Bytes that are no id: base64.
pub(super) mod base64 {
    use super::{Deserializer, Error, Serializer};
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::Deserialize;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// 64-bit numbers: text; read as text or as numbers.
pub(super) mod number {
    use super::{Deserializer, Number, Serializer};

    pub(crate) fn serialize<T: ToString, S: Serializer>(
        number: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&number.to_string())
    }

    pub(crate) fn deserialize<'de, T: TryFrom<i128>, D: Deserializer<'de>>(
        input: D,
    ) -> Result<T, D::Error> {
        input.deserialize_any(Number(std::marker::PhantomData))
    }
}

/// Lists of 64-bit numbers.
pub(super) mod numbers {
    use super::{Deserializer, Number, Serializer};
    use serde::Deserialize;

    struct One(u64);

    impl<'de> Deserialize<'de> for One {
        fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
            input
                .deserialize_any(Number(std::marker::PhantomData))
                .map(One)
        }
    }

    pub(crate) fn serialize<S: Serializer>(list: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(u64::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u64>, D::Error> {
        let list = Vec::<One>::deserialize(input)?;
        Ok(list.into_iter().map(|One(number)| number).collect())
    }
}

struct Number<T>(std::marker::PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that fits, as text or as a number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let wrong = E::invalid_value(Unexpected::Signed(number), &self);
        T::try_from(number.into()).map_err(|_| wrong)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let wrong = E::invalid_value(Unexpected::Unsigned(number), &self);
        T::try_from(number.into()).map_err(|_| wrong)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let wrong = E::invalid_value(Unexpected::Str(text), &self);
        let number = text.parse::<i128>().ok().and_then(|n| T::try_from(n).ok());
        number.ok_or(wrong)
    }
}

/// An enumeration: its number; names are read too, as some exporters write them.
macro_rules! enumeration {
    ($module:ident, $($name:literal = $number:literal),+) => {
        pub(super) mod $module {
            use super::{Deserializer, Error, Serializer, Visitor, fmt};

            pub(crate) fn serialize<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_i32(*number)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
                from.deserialize_any(Either)
            }

            struct Either;

            impl Visitor<'_> for Either {
                type Value = i32;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("the number of an enumeration")
                }

                fn visit_u64<E: Error>(self, number: u64) -> Result<i32, E> {
                    // A number that is not known yet is no error.
                    Ok(i32::try_from(number).unwrap_or(0))
                }

                fn visit_i64<E: Error>(self, number: i64) -> Result<i32, E> {
                    Ok(i32::try_from(number).unwrap_or(0))
                }

                fn visit_str<E: Error>(self, name: &str) -> Result<i32, E> {
                    Ok(match name {
                        $($name => $number,)+
                        _ => name.parse().unwrap_or(0),
                    })
                }
            }
        }
    };
}

enumeration!(
    span_kind,
    "SPAN_KIND_INTERNAL" = 1,
    "SPAN_KIND_SERVER" = 2,
    "SPAN_KIND_CLIENT" = 3,
    "SPAN_KIND_PRODUCER" = 4,
    "SPAN_KIND_CONSUMER" = 5
);
enumeration!(status_code, "STATUS_CODE_OK" = 1, "STATUS_CODE_ERROR" = 2);
