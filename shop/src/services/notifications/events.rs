//! What notifications does when it hears of something: welcome a user; in the choreographed flow, say
//! that an order is done.

use ieum::messaging::Message;
use serde::Deserialize;

use super::store::{self, Mail};
use crate::support::failure::Reply;
use crate::support::work::Work;

/// The kind and the text of a welcome.
const WELCOME: (&str, &str) = ("welcome", "Welcome!");
/// The kind and the text that say an order is done.
pub(super) const ORDER_COMPLETED: (&str, &str) = ("order-completed", "Your order is complete.");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserCreated {
    user_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderCompleted {
    order_id: String,
    user_id: String,
}

/// `user.created`: welcome.
pub(super) fn on_user(work: &Work<'_>, message: &Message) -> Reply<()> {
    let user: UserCreated = message.decode()?;
    let mail = Mail {
        user_id: &user.user_id,
        kind: WELCOME.0,
        message: WELCOME.1,
        order_id: None,
        event: Some((&message.source, &message.id)),
    };
    store::send(work, &mail).map(drop)
}

/// `order.completed`: say so. With an engine, the saga's last step does.
pub(super) fn on_order(work: &Work<'_>, message: &Message) -> Reply<()> {
    let order: OrderCompleted = message.decode()?;
    let mail = Mail {
        user_id: &order.user_id,
        kind: ORDER_COMPLETED.0,
        message: ORDER_COMPLETED.1,
        order_id: Some(&order.order_id),
        event: Some((&message.source, &message.id)),
    };
    store::send(work, &mail).map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::services::notifications::SPEC;
    use crate::support::testing::{Bench, event};

    #[tokio::test]
    async fn a_new_customer_is_told_welcome() {
        let bench = Bench::of(SPEC);
        let data = json!({ "userId": "u-1", "email": "kim@example.com", "name": "Kim" });
        let created = event("/users", "user.created", &data);
        let told = bench.work(move |work| on_user(work, &created));
        told.await.expect("told");
        let welcomes = "SELECT count(*) FROM notifications WHERE kind = 'welcome'
                        AND user_id = 'u-1' AND message = 'Welcome!'";
        assert_eq!(bench.number(welcomes).await, 1);
    }
}
