//! The consumer: routes the messages of topics to handlers by their type.
//!
//! What it promises:
//!
//! - *At least once.* A message is acknowledged after its handler said `Ok`; a crash in between
//!   delivers it again, so a handler claims it in its inbox in the transaction of its effect.
//! - *Order per key.* Messages of one key are handled one after the other; different keys at the
//!   same time, up to [`Config::concurrency`].
//! - *Nothing in silence.* A technical failure ([`HandlerError::Retry`], or a panic) is repeated with
//!   backoff, by default for about ten minutes; a business no ([`HandlerError::Reject`]) and what
//!   used up its attempts becomes a dead letter, and its key waits behind it while others flow.
//! - *One trace.* Each attempt is a span under the message's own trace, and the handler runs in it.
//!
//! ```
//! # use std::sync::Arc;
//! # use ieum_base::Stop;
//! # use ieum_messaging::{Delivery, memory, consumer::{Consumer, HandlerError}};
//! # async fn demo(stop: Stop) -> Result<(), ieum_messaging::Error> {
//! let broker = Arc::new(memory::Broker::default());
//! Consumer::new(broker, "inventory", "inventory-1")
//!     .topic("order.events")
//!     .on("order.created", async |delivery: Delivery| {
//!         let order: serde_json::Value = delivery.message.decode()?;
//!         println!("reserve for {order}");
//!         Ok(())
//!     })
//!     .run(stop)
//!     .await
//! # }
//! ```

mod attempt;
mod batch;
mod config;
mod handler;
mod service;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use handler::{HandlerError, HandlerResult};
pub use service::{Consumer, Handle, Service};
