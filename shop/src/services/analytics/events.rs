//! What analytics does when it hears of something: it notes it, once.

use ieum::messaging::Message;
use serde::Deserialize;

use super::store::{self, Fact};
use crate::support::failure::Reply;
use crate::support::service::Hears;
use crate::support::work::Work;

/// Every topic of the shop, and everything in it.
pub(super) const HEARS: [Hears; 6] = [
    all_of("user.events"),
    all_of("product.events"),
    all_of("order.events"),
    all_of("inventory.events"),
    all_of("payment.events"),
    all_of("shipping.events"),
];

const fn all_of(topic: &'static str) -> Hears {
    Hears {
        topic,
        kinds: &[],
        flow: None,
        act: on_any,
    }
}

/// What most events have in common.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Common {
    user_id: Option<String>,
    order_id: Option<String>,
    amount: Option<i64>,
    total_amount: Option<i64>,
}

/// Any event: note it.
pub(super) fn on_any(work: &Work<'_>, message: &Message) -> Reply<()> {
    let common: Common = message.decode()?;
    let fact = Fact {
        event_source: &message.source,
        event_id: &message.id,
        name: &name_of(&message.kind),
        user_id: common.user_id.as_deref(),
        order_id: common.order_id.as_deref(),
        amount: common.amount.or(common.total_amount),
    };
    store::keep(work, &fact)
}

/// `order.placed` is `order_placed`; a new user has "registered" (S1).
fn name_of(kind: &str) -> String {
    match kind {
        "user.created" => "user_registered".to_owned(),
        other => other.replace('.', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_named_as_the_guides_do() {
        assert_eq!(name_of("user.created"), "user_registered");
        assert_eq!(name_of("order.placed"), "order_placed");
    }
}
