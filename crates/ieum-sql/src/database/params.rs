//! The parameters of a statement: a tuple or an array, `$1` is its first.

use super::value::{Kind, ToValue, Value};

/// A value with the kind that it has also when it is null.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter<'a> {
    pub(crate) kind: Kind,
    pub(crate) value: Value<'a>,
}

impl<'a> Parameter<'a> {
    /// The parameter for `value`, for statements that are put together at run time.
    pub fn of<T: ToValue + ?Sized>(value: &'a T) -> Self {
        Self {
            kind: T::KIND,
            value: value.to_value(),
        }
    }
}

/// What may be the parameters of a statement: `()`, tuples up to sixteen, arrays, and a slice of
/// [`Parameter`]s.
pub trait Params {
    /// The parameters in order.
    fn parameters(&self) -> Vec<Parameter<'_>>;
}

impl Params for () {
    fn parameters(&self) -> Vec<Parameter<'_>> {
        Vec::new()
    }
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn parameters(&self) -> Vec<Parameter<'_>> {
        self.iter().map(Parameter::of).collect()
    }
}

impl Params for &[Parameter<'_>] {
    fn parameters(&self) -> Vec<Parameter<'_>> {
        self.to_vec()
    }
}

macro_rules! tuples {
    ($first:ident $($other:ident)*) => {
        impl<$first: ToValue, $($other: ToValue),*> Params for ($first, $($other,)*) {
            fn parameters(&self) -> Vec<Parameter<'_>> {
                #[expect(non_snake_case, reason = "one name for a type and its value")]
                let ($first, $($other,)*) = self;
                vec![Parameter::of($first), $(Parameter::of($other)),*]
            }
        }

        tuples!($($other)*);
    };
    () => {};
}

tuples!(A B C D E F G H I J K L M N O P);
