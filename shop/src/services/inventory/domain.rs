//! Whether an order's pieces can be set aside: all of them, or none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line of an order, as far as the stock is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    /// The product.
    pub(super) product_id: String,
    /// How many pieces.
    pub(super) quantity: u32,
}

/// Why an order's pieces cannot be set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A product that nothing is known of yet: its `product.created` may be on its way.
    Unknown(String),
    /// Too few pieces.
    Insufficient {
        /// The product.
        product_id: String,
        /// How many were asked for.
        wanted: i64,
        /// How many there are.
        stock: i64,
    },
}

/// What to take from which product, the lines of one product added up. `stock_of` answers the pieces
/// that are free, or `None` for an unknown product.
pub(super) fn reserve<E>(
    lines: &[Line],
    mut stock_of: impl FnMut(&str) -> Result<Option<i64>, E>,
) -> Result<Result<BTreeMap<String, i64>, Refusal>, E> {
    let mut wanted = BTreeMap::<String, i64>::new();
    for line in lines {
        *wanted.entry(line.product_id.clone()).or_default() += i64::from(line.quantity);
    }
    for (product_id, &wanted) in &wanted {
        match stock_of(product_id)? {
            None => return Ok(Err(Refusal::Unknown(product_id.clone()))),
            Some(stock) if stock < wanted => {
                return Ok(Err(Refusal::Insufficient {
                    product_id: product_id.clone(),
                    wanted,
                    stock,
                }));
            }
            Some(_) => {}
        }
    }
    Ok(Ok(wanted))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn line(product_id: &str, quantity: u32) -> Line {
        Line {
            product_id: product_id.into(),
            quantity,
        }
    }

    /// Given ten shoes and one bag, when these lines are wanted, then this is taken.
    fn check(lines: &[Line], then: Result<&[(&str, i64)], Refusal>) {
        let stock_of = |id: &str| match id {
            "shoe" => Ok::<_, Infallible>(Some(10)),
            "bag" => Ok(Some(1)),
            _ => Ok(None),
        };
        let Ok(result) = reserve(lines, stock_of);
        let then = then.map(|taken| taken.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect());
        assert_eq!(result, then);
    }

    #[test]
    fn everything_is_taken_or_nothing() {
        check(
            &[line("shoe", 2), line("bag", 1)],
            Ok(&[("bag", 1), ("shoe", 2)]),
        );
        let too_few = Refusal::Insufficient {
            product_id: "bag".into(),
            wanted: 2,
            stock: 1,
        };
        check(&[line("shoe", 2), line("bag", 2)], Err(too_few));
    }

    #[test]
    fn lines_of_one_product_add_up() {
        check(&[line("shoe", 6), line("shoe", 4)], Ok(&[("shoe", 10)]));
        let too_few = Refusal::Insufficient {
            product_id: "shoe".into(),
            wanted: 11,
            stock: 10,
        };
        check(&[line("shoe", 6), line("shoe", 5)], Err(too_few));
    }

    #[test]
    fn an_unknown_product_is_not_called_sold_out() {
        check(&[line("hat", 1)], Err(Refusal::Unknown("hat".into())));
    }
}
