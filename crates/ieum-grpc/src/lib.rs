//! gRPC as the gateway and clients see it: frames, statuses, deadlines, descriptors, transcoding.
//!
//! The vocabulary of the wire ([`Code`], [`message`], [`timeout`], [`frame`]) is shared by all who
//! pass gRPC on, refuse it, call it or translate it, so that each mapping exists once. What a service
//! looks like is known at run time ([`descriptors`]); [`transcode`] makes its methods HTTP with JSON,
//! as their annotations ([`http_rule`]) say.

mod code;
pub mod descriptors;
mod fields;
pub mod frame;
pub mod http_rule;
pub mod message;
mod reader;
mod status;
pub mod timeout;
pub mod transcode;

pub use code::{Code, GRPC_STATUS};
pub use descriptors::{DescriptorError, Descriptors};
pub use frame::{FrameError, Meter, Prefix};
pub use reader::Reader;
pub use status::{GRPC_STATUS_DETAILS, Status};
