//! Calls by gRPC: a channel to a service by its name, beneath any generated client.
//!
//! ```no_run
//! # use std::time::Duration;
//! # async fn example(client: ieum_client::Client) -> ieum_client::Result<()> {
//! let channel = client
//!     .service("inventory")
//!     .grpc()
//!     .idempotent(["/shop.inventory.v1.Inventory/GetStock"])
//!     .timeout(Duration::from_secs(2))
//!     .on_behalf_of("u-1", &["customer"])?;
//! // With tonic: `InventoryClient::new(channel).get_stock(request).await`.
//! # Ok(())
//! # }
//! ```
//!
//! The channel is a `tower::Service` of HTTP requests and knows nothing of messages. Under it is what
//! is under every call: the live endpoints and their breakers, the bulkhead, the retry budget. How a
//! call went is told to its endpoint by `grpc-status`, which comes last. The channel always answers:
//! what keeps it from calling is a status too (`UNAVAILABLE`, `DEADLINE_EXCEEDED`), with our words in
//! `grpc-message`.

mod body;
mod channel;
mod replay;
mod tries;

pub use body::GrpcBody;
pub use channel::GrpcChannel;
