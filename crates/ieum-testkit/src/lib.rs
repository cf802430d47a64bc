//! What tests need: processes with an end, free ports, temporary folders, a plain HTTP client, stub
//! servers and real engines.
//!
//! Everything here is blocking and built on the standard library: a test reads from top to bottom,
//! and shares no line with the code that it tests. Whatever is started ends with the value that
//! stands for it, by process id.

mod binaries;
pub mod conformance;
pub mod engines;
mod folder;
mod http;
mod load;
mod process;
mod stub;
mod wait;

pub use binaries::binary;
pub use folder::TempFolder;
pub use http::{Reply, Request, request};
pub use load::{Load, Running, Tally};
pub use process::Process;
pub use stub::Stub;
pub use wait::{eventually, free_port};
