//! What an order is: an event-sourced aggregate, decided without a database.
//!
//! `pending → confirmed → completed`, or `pending → cancelled`. A confirmed order is past the point of no
//! return (the saga's pivot), so it is never cancelled.

use serde::{Deserialize, Serialize};

use crate::support::money::{self, Currency};

/// The most lines that one order may have.
pub(super) const MAX_ITEMS: usize = 50;
/// The most pieces in one line.
pub(super) const MAX_QUANTITY: u32 = 1_000;

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
    /// Its status does not allow it.
    WrongStatus(Status),
}

/// Decides what happens. Repeating a command that already took effect is no refusal.
pub(crate) fn decide(order: &Order, command: Command) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Place { created, items } => place(order, created, items),
        _ if order.created.is_none() => Err(Refusal::NotFound),
        Command::Validate => match order.status {
            Status::Cancelled => Err(Refusal::WrongStatus(order.status)),
            _ => Ok(vec![]),
        },
        Command::Confirm => match order.status {
            Status::Pending => Ok(vec![Event::OrderConfirmed {}]),
            Status::Confirmed | Status::Completed => Ok(vec![]),
            Status::Cancelled => Err(Refusal::WrongStatus(order.status)),
        },
        Command::Complete => match order.status {
            Status::Confirmed => Ok(vec![Event::OrderCompleted {}]),
            Status::Completed => Ok(vec![]),
            Status::Pending | Status::Cancelled => Err(Refusal::WrongStatus(order.status)),
        },
        Command::Cancel { reason } => match order.status {
            Status::Pending => Ok(vec![Event::OrderCancelled { reason }]),
            Status::Cancelled => Ok(vec![]),
            Status::Confirmed | Status::Completed => Err(Refusal::WrongStatus(order.status)),
        },
    }
}

fn place(order: &Order, created: Created, items: Vec<Item>) -> Result<Vec<Event>, Refusal> {
    if order.created.is_some() {
        return Err(Refusal::Exists);
    }
    let in_range = |item: &Item| (1..=MAX_QUANTITY).contains(&item.quantity);
    if items.is_empty() || items.len() > MAX_ITEMS || !items.iter().all(in_range) {
        return Err(Refusal::BadItems);
    }
    if items.iter().any(|item| item.price < 0) || total_of(&items).is_none() {
        return Err(Refusal::BadTotal);
    }
    let added = items.into_iter().map(Event::ItemAdded);
    Ok(std::iter::once(Event::OrderCreated(created)).chain(added).collect())
}

/// Folds one event into the state.
pub(crate) fn evolve(mut order: Order, event: &Event) -> Order {
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

impl Order {
    /// The sum of its lines. A placed order's total fits: [`decide`] refused the others.
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
    use super::*;

    fn created() -> Created {
        Created {
            user_id: "u-1".into(),
            user_name: "김이음".into(),
            currency: Currency::KRW,
            card_token: Some("card_1".into()),
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
        vec![Event::OrderCreated(created()), Event::ItemAdded(item(100, 2))]
    }

    fn cancelled(reason: &str) -> Event {
        Event::OrderCancelled {
            reason: reason.into(),
        }
    }

    /// Given a placed order and these events, when this command comes, then this happens.
    fn check(given: &[Event], when: Command, then: Result<Vec<Event>, Refusal>) {
        let order = placed().iter().chain(given).fold(Order::default(), evolve);
        assert_eq!(decide(&order, when), then);
    }

    #[test]
    fn placing_creates_the_order_and_its_lines() {
        assert_eq!(decide(&Order::default(), place_two()), Ok(placed()));
        let order = placed().iter().fold(Order::default(), evolve);
        assert_eq!((order.total(), order.status), (200, Status::Pending));
        check(&[], place_two(), Err(Refusal::Exists));
    }

    #[test]
    fn an_order_without_lines_or_with_a_senseless_one_is_refused() {
        let place = |items| {
            let created = created();
            decide(&Order::default(), Command::Place { created, items })
        };
        assert_eq!(place(vec![]), Err(Refusal::BadItems));
        assert_eq!(place(vec![item(100, 0)]), Err(Refusal::BadItems));
        assert_eq!(place(vec![item(100, MAX_QUANTITY + 1)]), Err(Refusal::BadItems));
        assert_eq!(place(vec![item(1, 1); MAX_ITEMS + 1]), Err(Refusal::BadItems));
        assert_eq!(place(vec![item(-1, 1)]), Err(Refusal::BadTotal));
        assert_eq!(place(vec![item(i64::MAX, 2)]), Err(Refusal::BadTotal));
    }

    #[test]
    fn an_order_is_confirmed_then_completed() {
        let confirmed = Event::OrderConfirmed {};
        check(&[], Command::Confirm, Ok(vec![confirmed.clone()]));
        check(&[], Command::Complete, Err(Refusal::WrongStatus(Status::Pending)));
        let given = [confirmed];
        check(&given, Command::Complete, Ok(vec![Event::OrderCompleted {}]));
        check(&given, Command::Confirm, Ok(vec![]));
    }

    #[test]
    fn a_confirmed_order_is_never_cancelled() {
        let cancel = || Command::Cancel {
            reason: "payment-declined".into(),
        };
        check(&[], cancel(), Ok(vec![cancelled("payment-declined")]));
        check(&[cancelled("other")], cancel(), Ok(vec![]));
        let given = [Event::OrderConfirmed {}];
        check(&given, cancel(), Err(Refusal::WrongStatus(Status::Confirmed)));
    }

    #[test]
    fn a_cancelled_order_goes_nowhere() {
        let given = [cancelled("insufficient-inventory")];
        let wrong = Err(Refusal::WrongStatus(Status::Cancelled));
        check(&given, Command::Validate, wrong.clone());
        check(&given, Command::Confirm, wrong.clone());
        check(&given, Command::Complete, wrong);
    }

    #[test]
    fn what_was_never_placed_is_not_found() {
        assert_eq!(decide(&Order::default(), Command::Validate), Err(Refusal::NotFound));
        assert_eq!(decide(&Order::default(), Command::Confirm), Err(Refusal::NotFound));
    }

    #[test]
    fn an_event_written_by_an_older_version_can_be_read() {
        let json = r#"{"type":"OrderCreated","data":{"userId":"u-1","userName":"Kim","currency":"KRW"}}"#;
        let event: Event = serde_json::from_str(json).expect("readable");
        let Event::OrderCreated(created) = event else {
            panic!("an OrderCreated")
        };
        assert_eq!(created.flow, Flow::Orchestrated);
    }
}
