//! The auditor: reads the books of all services and of the platform, and believes nobody.
//!
//! It shares no code with the services, not even the names of their types: it opens the SQLite files
//! for reading and asks plain SQL. So a defect in a service, or in what services share, cannot hide
//! itself here. It works beside a running demo and after it.

mod book;
mod books;
mod events;
mod money;
mod open;
mod orders;
mod payments;
mod polyglot;
mod reservations;
mod sagas;
mod shipments;
mod stock;
mod streams;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Result, ensure};

pub(crate) use self::books::Books;
pub(crate) use self::open::{Open, open};

use self::book::{Book, Tally};

/// The services, whose databases are `{name}.db`.
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
/// The platform's log.
const PLATFORM_LOG: &str = "platform/log.db";
/// What the demo planned, if there was one.
const PLAN: &str = "plan.db";

/// Audits the books in `data`.
pub(crate) fn audit(data: &Path) -> Result<Books> {
    ensure!(
        data.join("orders.db").is_file(),
        "{} holds no books of a shop: name the directory that `shop demo --data` was given",
        data.display()
    );
    let tally = Tally::default();
    let mut books = Books::default();
    let open = |name: &str| Book::open(&data.join(format!("{name}.db")));
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
    let mut log = Book::open(&data.join(PLATFORM_LOG))?;
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
    polyglot::check(data, &orders, &log, &tally, &mut books)?;
    let mut stuck = orders::open(&orders);
    sagas::check(&told, &log, &mut stuck, &mut books)?;
    if data.join(PLAN).is_file() {
        orders::check_plan(
            &orders,
            &open("plan")?.read(&tally)?,
            &mut stuck,
            &mut books,
        )?;
    }
    books.stuck = stuck.len() as u64;
    books.rows_audited = tally.rows();
    Ok(books)
}
