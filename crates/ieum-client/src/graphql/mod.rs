//! GraphQL: one operation sent to a service, and what comes back read into a type.
//!
//! It goes the way of every other call: by the service's name, through the same layers, with the same
//! identity and trace. What is GraphQL's own is here: a query is sent with `POST` and may be repeated
//! nevertheless, a mutation may not; and an answer may be half a success, data beside errors.
//!
//! ```
//! use ieum_client::ServiceClient;
//! use ieum_client::graphql::{ErrorKind, Result};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Answer {
//!     user: Option<User>,
//! }
//! #[derive(Deserialize)]
//! struct User {
//!     name: String,
//!     /// `None` if the service that knows the orders is away.
//!     orders: Option<Vec<Order>>,
//! }
//! #[derive(Deserialize)]
//! struct Order {
//!     id: String,
//!     total: i64,
//! }
//!
//! async fn latest(shop: &ServiceClient, user: &str) -> Result<Option<User>> {
//!     let query = "query Latest($id: ID!) { user(id: $id) { name orders(first: 3) { id total } } }";
//!     let call = shop.graphql(query).variable("id", user).on_behalf_of(user, &["buyer"]);
//!     match call.send::<Answer>().await {
//!         Ok(answer) => Ok(answer.user),
//!         // Some of it was told: whoever can use it reads it from the error.
//!         Err(error) if error.kind() == ErrorKind::Partial => {
//!             for report in error.reports() {
//!                 eprintln!("{report}");
//!             }
//!             Ok(error.data::<Answer>()?.and_then(|answer| answer.user))
//!         }
//!         Err(error) => Err(error),
//!     }
//! }
//! ```

mod answer;
mod document;
mod error;
mod operation;

pub use error::{Error, ErrorKind, Report, Result, Segment};
pub use operation::Operation;

pub(crate) use document::Label;
pub(crate) use operation::PATH;
