//! gRPC as the gateway and clients see it: frames, statuses, deadlines, descriptors, transcoding.
//!
//! The vocabulary of the wire ([`Code`], [`message`], [`timeout`], [`frame`]) is shared by all who
//! pass gRPC on, refuse it, call it or translate it, so that each mapping exists once.

mod code;
pub mod frame;
pub mod message;
pub mod timeout;

pub use code::{Code, GRPC_STATUS};
pub use frame::{FrameError, Meter, Prefix};
