//! PostgreSQL's types as values of the common kinds, and back.

use std::borrow::Cow;
use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use super::params::Parameter;
use super::value::Value;

type Failed = Box<dyn Error + Sync + Send>;

/// A value that is bound to a parameter of its kind's type.
#[derive(Debug)]
pub(super) struct Bound<'a>(&'a Value<'a>);

impl<'a> Bound<'a> {
    pub(super) const fn of(parameter: &'a Parameter<'a>) -> Self {
        Self(&parameter.value)
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Bool(bool) => bool.to_sql(ty, out),
            Value::Integer(integer) => integer.to_sql(ty, out),
            Value::Real(real) => real.to_sql(ty, out),
            Value::Text(text) => text.to_sql(ty, out),
            Value::Blob(bytes) => bytes.as_ref().to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        self.to_sql(ty, out)
    }
}

/// A column's value in its common kind.
pub(super) struct Column<'a>(pub(super) Value<'a>);

impl<'a> FromSql<'a> for Column<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        let value = match *ty {
            Type::BOOL => Value::Bool(bool::from_sql(ty, raw)?),
            Type::INT2 => Value::Integer(i16::from_sql(ty, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(ty, raw)?),
            Type::FLOAT4 => Value::Real(f32::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Value::Real(f64::from_sql(ty, raw)?),
            Type::NUMERIC => numeric(raw)?,
            Type::BYTEA => Value::Blob(Cow::Borrowed(raw)),
            _ if <&str as FromSql<'_>>::accepts(ty) || *ty == Type::JSON => {
                Value::Text(Cow::Borrowed(std::str::from_utf8(raw)?))
            }
            _ => return Err(format!("a column of type {ty} has no common kind: cast it").into()),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failed> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A `NUMERIC`, which a sum of integers is: an integer if it is a whole number that fits.
///
/// On the wire: how many digits, the weight of the first, a sign, the scale, and the digits, all of
/// two bytes and the digits to the base 10,000.
fn numeric(raw: &[u8]) -> Result<Value<'static>, Failed> {
    let words: Vec<i16> = raw
        .chunks_exact(2)
        .map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    let [_, weight, sign, _, digits @ ..] = &*words else {
        return Err("a number that is cut off".into());
    };
    let is_negative = match sign.cast_unsigned() {
        0 => false,
        0x4000 => true,
        _ => return Err("a number that is none".into()),
    };
    let whole = usize::try_from(i32::from(*weight) + 1).unwrap_or(0);
    if digits.len() <= whole
        && let Some(integer) = integer(digits, whole, is_negative)
    {
        return Ok(Value::Integer(integer));
    }
    let mut place = 10_000_f64.powi(i32::from(*weight));
    let mut real = 0.0;
    for digit in digits {
        real += f64::from(*digit) * place;
        place /= 10_000.0;
    }
    Ok(Value::Real(if is_negative { -real } else { real }))
}

fn integer(digits: &[i16], whole: usize, is_negative: bool) -> Option<i64> {
    let mut integer = 0_i64;
    for place in 0..whole {
        let digit = i64::from(digits.get(place).copied().unwrap_or(0));
        let digit = if is_negative { -digit } else { digit };
        integer = integer.checked_mul(10_000)?.checked_add(digit)?;
    }
    Some(integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(words: &[i16]) -> Value<'static> {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        numeric(&raw).expect("a number")
    }

    #[test]
    fn a_sum_of_integers_is_an_integer_again() {
        assert_eq!(decoded(&[0, 0, 0, 0]), Value::Integer(0));
        assert_eq!(decoded(&[1, 0, 0, 0, 42]), Value::Integer(42));
        assert_eq!(decoded(&[1, 1, 0, 0, 3]), Value::Integer(30_000));
        assert_eq!(
            decoded(&[2, 1, 0x4000, 0, 12, 3_456]),
            Value::Integer(-123_456)
        );
        let least = [5, 4, 0x4000, 0, 922, 3_372, 368, 5_477, 5_808];
        assert_eq!(decoded(&least), Value::Integer(i64::MIN));
        let beyond = [5, 4, 0, 0, 922, 3_372, 368, 5_477, 5_808];
        assert_eq!(decoded(&beyond), Value::Real(9_223_372_036_854_775_808.0));
        assert_eq!(decoded(&[2, 0, 0, 1, 1, 5_000]), Value::Real(1.5));
        assert!(numeric(&[0, 0]).is_err());
    }
}
