//! Bodies on their way through: streamed, bounded in size and silence, and kept for a retry only as
//! far as configured.

mod grpc;
mod idle;
mod request;
mod response;
mod translated;

pub(crate) use grpc::{GrpcAnswer, GrpcCall};
pub(crate) use request::{Bounds, Progress, RequestBody, RequestBodyError, Source};
pub(crate) use response::{Held, ResponseBody};
pub(crate) use translated::{Translate, Translated};
