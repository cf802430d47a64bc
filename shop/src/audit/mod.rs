//! The auditor: reads the books of all services and of the platform, and believes nobody.
//!
//! It shares no code with the services, not even the names of their types: it opens the databases for
//! reading, with a client library of its own, and asks plain SQL. So a defect in a service, or in what
//! services share, cannot hide itself here. It works beside a running demo and after it.

mod book;
mod books;
mod events;
mod money;
mod open;
mod orders;
mod payments;
mod polyglot;
#[cfg(feature = "postgres")]
mod postgres;
mod reservations;
mod row;
mod sagas;
mod shipments;
mod source;
mod stock;
mod streams;
#[cfg(test)]
mod tests;

use anyhow::{Result, ensure};

pub(crate) use self::books::Books;
pub(crate) use self::open::{Open, open};
pub(crate) use self::source::Source;

use self::book::Tally;

/// The services, whose databases have their names.
const SERVICES: [&str; 8] = [
    "users",
    "products",
    "orders",
    "inventory",
    "payments",
    "shipping",
    "notifications",
    "analytics",
];
/// Audits the books of `source`.
pub(crate) fn audit(source: &Source) -> Result<Books> {
    ensure!(
        source.find("orders")?.is_some(),
        "{} holds no books of a shop: name what `shop demo` was given with --data or --database",
        source.describe()
    );
    let tally = Tally::default();
    let mut books = Books::default();
    let open = |name: &str| source.open(name);
    let mut order_book = open("orders")?;
    let order_book = order_book.read(&tally)?;
    let orders = orders::replay(&order_book)?;
    orders::check(&orders, &order_book, &mut books)?;
    let told = events::told(SERVICES.into_iter().map(open), &tally, &mut books)?;
    events::check_orders(&told, &orders, &mut books);
    money::check(&orders, &open("payments")?.read(&tally)?, &mut books)?;
    stock::check(
        &told,
        &orders,
        &open("inventory")?.read(&tally)?,
        &mut books,
    )?;
    shipments::check(&orders, &open("shipping")?.read(&tally)?, &mut books)?;
    for service in SERVICES {
        streams::check(service, &open(service)?.read(&tally)?, &mut books)?;
    }
    let mut log = open("platform")?;
    let log = log.read(&tally)?;
    streams::check("the platform", &log, &mut books)?;
    events::check_log(&told, &log, &mut books)?;
    events::check_facts(&told, &open("analytics")?.read(&tally)?, &mut books)?;
    events::check_mails(
        &told,
        &orders,
        &open("notifications")?.read(&tally)?,
        &mut books,
    )?;
    if let Some(data) = source.folder() {
        polyglot::check(data, &orders, &log, &tally, &mut books)?;
    }
    let mut stuck = orders::open(&orders);
    sagas::check(&told, &log, &mut stuck, &mut books)?;
    if let Some(mut plan) = source.find("plan")? {
        orders::check_plan(&orders, &plan.read(&tally)?, &mut stuck, &mut books)?;
    }
    books.stuck = stuck.len() as u64;
    books.rows_audited = tally.rows();
    Ok(books)
}
