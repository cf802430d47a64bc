//! Values on their way into a statement and out of a row.
//!
//! Five kinds are common to both engines. A parameter has the kind of its Rust type, also when it is
//! null, so that PostgreSQL never has to guess one.

use std::borrow::Cow;

use ieum_base::Timestamp;

/// What is written to or read from a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// `BOOLEAN`; in SQLite the integers 0 and 1.
    Bool(bool),
    /// `BIGINT`, and whatever else holds whole numbers.
    Integer(i64),
    /// `DOUBLE PRECISION`.
    Real(f64),
    /// `TEXT`.
    Text(Cow<'a, str>),
    /// `BYTEA`; in SQLite `BLOB`.
    Blob(Cow<'a, [u8]>),
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// See [`Value::Bool`].
    Bool,
    /// See [`Value::Integer`].
    Integer,
    /// See [`Value::Real`].
    Real,
    /// See [`Value::Text`].
    Text,
    /// See [`Value::Blob`].
    Blob,
}

/// What may be a parameter of a statement.
pub trait ToValue {
    /// Its kind, known also when there is no value.
    const KIND: Kind;

    /// The value.
    fn to_value(&self) -> Value<'_>;
}

/// What may be read from a column.
pub trait FromValue: Sized {
    /// The value as this type; `None` if it is none.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

/// A list as one parameter: a statement takes it apart with `ieum_list($1)`, whose rows have a
/// `key` (0, 1, 2, …) and a `value` (a text). One statement, however long the list is:
/// `… WHERE id IN (SELECT value FROM ieum_list($1))`. Beside other tables name it
/// (`ieum_list($1) AS wanted`, `wanted.value`): in SQLite its rows have more columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List(String);

impl List {
    /// The list of these texts.
    pub fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let texts = texts.into_iter().map(|text| text.as_ref().to_owned());
        Self(serde_json::Value::from_iter(texts).to_string())
    }
}

impl ToValue for List {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value<'_> {
        self.0.to_value()
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl ToValue for $integer {
            const KIND: Kind = Kind::Integer;

            fn to_value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }

        impl FromValue for $integer {
            fn from_value(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::Integer(integer) => integer.try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32);

/// The microseconds since the epoch.
impl ToValue for Timestamp {
    const KIND: Kind = Kind::Integer;

    fn to_value(&self) -> Value<'_> {
        Value::Integer(self.as_micros())
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value).map(Self::from_micros)
    }
}

impl ToValue for bool {
    const KIND: Kind = Kind::Bool;

    fn to_value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(bool) => Some(bool),
            Value::Integer(integer @ (0 | 1)) => Some(integer == 1),
            _ => None,
        }
    }
}

impl ToValue for f64 {
    const KIND: Kind = Kind::Real;

    fn to_value(&self) -> Value<'_> {
        Value::Real(*self)
    }
}

impl FromValue for f64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Real(real) => Some(real),
            Value::Integer(integer) => Some(integer as Self),
            _ => None,
        }
    }
}

impl ToValue for str {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for String {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value<'_> {
        self.as_str().to_value()
    }
}

impl ToValue for Cow<'_, str> {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

impl ToValue for [u8] {
    const KIND: Kind = Kind::Blob;

    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl ToValue for Vec<u8> {
    const KIND: Kind = Kind::Blob;

    fn to_value(&self) -> Value<'_> {
        self.as_slice().to_value()
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes.into_owned()),
            _ => None,
        }
    }
}

impl<T: ToValue> ToValue for Option<T> {
    const KIND: Kind = T::KIND;

    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    const KIND: Kind = T::KIND;

    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}
