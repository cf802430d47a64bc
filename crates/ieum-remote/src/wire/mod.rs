//! The JSON of the platform API, shared by its server and its clients.
//!
//! Each type is the body (or the query) of one call under `/api/v1/`. Both sides use these types, so
//! that they cannot disagree; the paths stand in [`paths`]. Rules: names in camelCase; a request
//! refuses unknown fields, an answer tolerates them (an old client reads a new server); durations
//! are texts like `"30s"`; lists in a query are joined by commas.

pub mod breakers;
pub mod impact;
pub mod live;
pub mod log;
pub mod overview;
pub mod paths;
pub mod platforms;
pub mod refusal;
pub mod sagas;
pub mod services;
pub mod topics;
pub mod traces;

pub use refusal::Refusal;

/// The most items of one answer; asking for more is refused.
pub const MAX_PAGE: usize = 1_000;

/// The longest wait of one call; a longer one is cut down to it.
pub const MAX_WAIT: std::time::Duration = std::time::Duration::from_secs(60);
