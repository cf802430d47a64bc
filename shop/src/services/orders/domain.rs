//! What an order is: an event-sourced aggregate, decided without a database.
//!
//! `pending → confirmed → completed`, or `pending → cancelled`. A confirmed order is past the point of no
//! return (the saga's pivot), so it is never cancelled.

use ieum::eventstore::Decider;
use serde::{Deserialize, Serialize};

use crate::support::money::{self, Currency};

/// The most lines that one order may have.
pub(super) const MAX_ITEMS: usize = 50;
/// The most pieces in one line.
pub(super) const MAX_QUANTITY: u32 = 1_000;
/// What the token of a card begins with.
const TOKEN_PREFIX: &str = "card_";
/// How many hexadecimal digits follow: far more than a card number has.
const TOKEN_DIGITS: usize = 32;

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum Event {
    /// A customer placed it.
    OrderCreated(Created),
    /// It has one more line.
    ItemAdded(Item),
    /// Stock, money and shipment are settled.
    OrderConfirmed {},
    /// It is done.
    OrderCompleted {},
    /// It was given up, and everything done for it undone.
    #[serde(rename_all = "camelCase")]
    OrderCancelled {
        /// The code of the refusal, like `payment-declined`.
        reason: String,
    },
}

/// Who ordered, and how it is to be paid and sent. No card number: only its token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Created {
    /// The customer.
    pub(crate) user_id: String,
    /// The customer's name at that time.
    pub(crate) user_name: String,
    /// The currency of all prices.
    pub(crate) currency: Currency,
    /// What pays; the customer's account if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) card_token: Option<String>,
    /// Where to send it; a shop counter if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<Address>,
    /// Who drives it: an engine or events alone.
    #[serde(default)]
    pub(crate) flow: Flow,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Address {
    /// Street and number.
    pub(crate) line: String,
    /// Town.
    pub(crate) city: String,
    /// Postal code: five digits in Korea.
    pub(crate) postal_code: String,
    /// ISO 3166 code of the country; `KR` by default.
    #[serde(default = "korea")]
    pub(crate) country: String,
}

fn korea() -> String {
    "KR".to_owned()
}

/// A line of an order, with the price at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    /// The product.
    pub(crate) product_id: String,
    /// How many pieces.
    pub(crate) quantity: u32,
    /// The price of one piece, in minor units.
    pub(crate) price: i64,
}

/// Who drives an order to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flow {
    /// The saga engine calls each service in turn.
    #[default]
    Orchestrated,
    /// Each service acts on the events of the one before.
    Choreographed,
}

impl Flow {
    /// The value of the CloudEvents extension `flow`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrated => "orchestrated",
            Self::Choreographed => "choreographed",
        }
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Placed.
    #[default]
    Pending,
    /// Settled.
    Confirmed,
    /// Done.
    Completed,
    /// Given up.
    Cancelled,
}

impl Status {
    /// The word in JSON and SQL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The state of an order, folded from its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    /// Who and how; `None` before the order was placed.
    pub(crate) created: Option<Created>,
    /// The lines.
    pub(crate) items: Vec<Item>,
    /// Where it stands.
    pub(crate) status: Status,
    /// Why it was cancelled.
    pub(crate) reason: Option<String>,
}

/// What somebody wants of an order.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Place it.
    Place {
        /// Who and how.
        created: Created,
        /// The lines.
        items: Vec<Item>,
    },
    /// Check that it can be worked on. Changes nothing.
    Validate,
    /// Settle it.
    Confirm,
    /// Finish it.
    Complete,
    /// Give it up.
    Cancel {
        /// The code of the refusal.
        reason: String,
    },
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such order.
    NotFound,
    /// It was placed before.
    Exists,
    /// It has no line, too many, or a quantity out of range.
    BadItems,
    /// A price or the total does not fit.
    BadTotal,
    /// What is to pay is not the token of a card; perhaps it is a card number.
    BadCardToken,
    /// Its status does not allow it.
    WrongStatus(Status),
}

/// The rules of an order's stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules;

impl Decider for Rules {
    type Command = Command;
    type Event = Event;
    type State = Order;
    type Error = Refusal;

    fn initial(&self) -> Order {
        Order::default()
    }

    /// Repeating a command that already took effect is no refusal.
    fn decide(&self, order: &Order, command: &Command) -> Result<Vec<Event>, Refusal> {
        let wrong = Err(Refusal::WrongStatus(order.status));
        match (command, order.status) {
            (Command::Place { created, items }, _) => place(order, created, items),
            _ if order.created.is_none() => Err(Refusal::NotFound),
            (Command::Validate, Status::Cancelled) => wrong,
            (Command::Validate, _) => Ok(vec![]),
            (Command::Confirm, Status::Pending) => Ok(vec![Event::OrderConfirmed {}]),
            (Command::Confirm, Status::Confirmed | Status::Completed) => Ok(vec![]),
            (Command::Confirm, Status::Cancelled) => wrong,
            (Command::Complete, Status::Confirmed) => Ok(vec![Event::OrderCompleted {}]),
            (Command::Complete, Status::Completed) => Ok(vec![]),
            (Command::Complete, Status::Pending | Status::Cancelled) => wrong,
            (Command::Cancel { reason }, Status::Pending) => Ok(vec![Event::OrderCancelled {
                reason: reason.clone(),
            }]),
            (Command::Cancel { .. }, Status::Cancelled) => Ok(vec![]),
            (Command::Cancel { .. }, Status::Confirmed | Status::Completed) => wrong,
        }
    }

    fn evolve(&self, mut order: Order, event: &Event) -> Order {
        match event {
            Event::OrderCreated(created) => order.created = Some(created.clone()),
            Event::ItemAdded(item) => order.items.push(item.clone()),
            Event::OrderConfirmed {} => order.status = Status::Confirmed,
            Event::OrderCompleted {} => order.status = Status::Completed,
            Event::OrderCancelled { reason } => {
                order.status = Status::Cancelled;
                order.reason = Some(reason.clone());
            }
        }
        order
    }
}

fn place(order: &Order, created: &Created, items: &[Item]) -> Result<Vec<Event>, Refusal> {
    if order.created.is_some() {
        return Err(Refusal::Exists);
    }
    let in_range = |item: &Item| (1..=MAX_QUANTITY).contains(&item.quantity);
    if items.is_empty() || items.len() > MAX_ITEMS || !items.iter().all(in_range) {
        return Err(Refusal::BadItems);
    }
    if created.card_token.as_deref().is_some_and(|t| !is_token(t)) {
        return Err(Refusal::BadCardToken);
    }
    if items.iter().any(|item| item.price < 0) || total_of(items).is_none() {
        return Err(Refusal::BadTotal);
    }
    let added = items.iter().cloned().map(Event::ItemAdded);
    Ok(std::iter::once(Event::OrderCreated(created.clone()))
        .chain(added)
        .collect())
}

/// True if `text` has the form of a token that payments gives out. No card number has: one is at
/// most 19 digits, and begins with a digit. It is checked here because what an order carries is
/// kept for ever, in its events and in the platform's log.
fn is_token(text: &str) -> bool {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(TOKEN_PREFIX)
        .is_some_and(|digits| digits.len() == TOKEN_DIGITS && digits.bytes().all(lower_hex))
}

impl Order {
    /// The sum of its lines. A placed order's total fits: [`Rules`] refused the others.
    pub(crate) fn total(&self) -> i64 {
        total_of(&self.items).unwrap_or(i64::MAX)
    }
}

fn total_of(items: &[Item]) -> Option<i64> {
    items.iter().try_fold(0_i64, |sum, item| {
        sum.checked_add(money::times(item.price, item.quantity)?)
    })
}

#[cfg(test)]
mod tests {
    use ieum::eventstore::testing::{Given, given};

    use super::*;

    fn created() -> Created {
        Created {
            user_id: "u-1".into(),
            user_name: "김이음".into(),
            currency: Currency::KRW,
            card_token: Some("card_e3f3f75502d64431b614ed6382bef17a".into()),
            address: None,
            flow: Flow::Orchestrated,
        }
    }

    fn item(price: i64, quantity: u32) -> Item {
        Item {
            product_id: "p-1".into(),
            quantity,
            price,
        }
    }

    fn place_two() -> Command {
        Command::Place {
            created: created(),
            items: vec![item(100, 2)],
        }
    }

    fn placed() -> Vec<Event> {
        vec![
            Event::OrderCreated(created()),
            Event::ItemAdded(item(100, 2)),
        ]
    }

    fn cancelled(reason: &str) -> Event {
        Event::OrderCancelled {
            reason: reason.into(),
        }
    }

    /// A placed order with which this happened.
    fn placed_and(then: impl IntoIterator<Item = Event>) -> Given<Rules> {
        given(Rules, placed().into_iter().chain(then))
    }

    #[test]
    fn placing_creates_the_order_and_its_lines() {
        given(Rules, []).when(&place_two()).then(placed());
        let order = placed_and([]);
        assert_eq!(
            (order.state().total(), order.state().status),
            (200, Status::Pending)
        );
        order.when(&place_two()).refused(&Refusal::Exists);
    }

    #[test]
    fn an_order_without_lines_or_with_a_senseless_one_is_refused() {
        let refused = |items, why| {
            let created = created();
            given(Rules, [])
                .when(&Command::Place { created, items })
                .refused(&why);
        };
        refused(vec![], Refusal::BadItems);
        refused(vec![item(100, 0)], Refusal::BadItems);
        refused(vec![item(100, MAX_QUANTITY + 1)], Refusal::BadItems);
        refused(vec![item(1, 1); MAX_ITEMS + 1], Refusal::BadItems);
        refused(vec![item(-1, 1)], Refusal::BadTotal);
        refused(vec![item(i64::MAX, 2)], Refusal::BadTotal);
    }

    #[test]
    fn only_what_payments_gave_out_can_be_the_token_of_a_card() {
        for no_token in [
            "",
            "card_",
            "card_1",
            "4242424242424242",
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "378282246310005",
            "card_4242424242424242",
            "card_4242 4242 4242 4242 aaaaaaaaaaaaa",
            "card_E3F3F75502D64431B614ED6382BEF17A",
            "card_e3f3f75502d64431b614ed6382bef17a0",
            "e3f3f75502d64431b614ed6382bef17a",
        ] {
            let created = Created {
                card_token: Some(no_token.into()),
                ..created()
            };
            let items = vec![item(100, 2)];
            given(Rules, [])
                .when(&Command::Place { created, items })
                .refused(&Refusal::BadCardToken);
        }
    }

    #[test]
    fn an_order_is_confirmed_then_completed() {
        let confirmed = || Event::OrderConfirmed {};
        placed_and([]).when(&Command::Confirm).then([confirmed()]);
        let pending = Refusal::WrongStatus(Status::Pending);
        placed_and([]).when(&Command::Complete).refused(&pending);
        placed_and([confirmed()])
            .when(&Command::Complete)
            .then([Event::OrderCompleted {}]);
        placed_and([confirmed()]).when(&Command::Confirm).then([]);
    }

    #[test]
    fn a_confirmed_order_is_never_cancelled() {
        let cancel = Command::Cancel {
            reason: "payment-declined".into(),
        };
        placed_and([])
            .when(&cancel)
            .then([cancelled("payment-declined")]);
        placed_and([cancelled("other")]).when(&cancel).then([]);
        let confirmed = Refusal::WrongStatus(Status::Confirmed);
        placed_and([Event::OrderConfirmed {}])
            .when(&cancel)
            .refused(&confirmed);
    }

    #[test]
    fn a_cancelled_order_goes_nowhere() {
        let wrong = Refusal::WrongStatus(Status::Cancelled);
        for command in [Command::Validate, Command::Confirm, Command::Complete] {
            placed_and([cancelled("insufficient-inventory")])
                .when(&command)
                .refused(&wrong);
        }
    }

    #[test]
    fn what_was_never_placed_is_not_found() {
        given(Rules, [])
            .when(&Command::Validate)
            .refused(&Refusal::NotFound);
        given(Rules, [])
            .when(&Command::Confirm)
            .refused(&Refusal::NotFound);
    }

    #[test]
    fn an_event_written_by_an_older_version_can_be_read() {
        let json =
            r#"{"type":"OrderCreated","data":{"userId":"u-1","userName":"Kim","currency":"KRW"}}"#;
        let event: Event = serde_json::from_str(json).expect("readable");
        let Event::OrderCreated(created) = event else {
            panic!("an OrderCreated")
        };
        assert_eq!(created.flow, Flow::Orchestrated);
    }
}
