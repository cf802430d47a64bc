//! The outbox relay: publishes what a service committed.
//!
//! A service writes its messages to its outbox in the transaction of its effect; the relay reads the
//! unsent rows in id order, publishes them, and marks them. Its promises:
//!
//! - *Nothing is lost.* A row is marked after the broker took it durably. A crash in between
//!   publishes it again, and the broker knows its id.
//! - *Order per topic.* Rows of one topic go out in id order. Topics do not wait for each other
//!   within a round; a round ends with the slowest.
//! - *No blind alley.* A row that the broker refuses for ever is marked with the reason, shown, and
//!   the rows behind it go on, **also those of its key**: a refused row breaks a documented limit,
//!   which is a defect of the service that wrote it, and no later order can repair it.
//! - *Two relays* on one outbox are harmless: they publish the same rows under the same ids in the
//!   same order.

mod config;
mod service;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use service::{Handle, Service};
