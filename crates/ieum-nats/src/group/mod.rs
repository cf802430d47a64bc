//! Consumer groups on JetStream.
//!
//! A group is one entry of a bucket (`record`) and a cursor over the topic's stream (`reader`). A
//! durable consumer of JetStream would remember what was acknowledged too, and is not used for it:
//! its acknowledgements carry no epoch, so that a member that was superseded could acknowledge what
//! its successor has (H13); it redelivers single messages behind later ones of their key; and it
//! knows no keys that wait. One entry with compare-and-set settles all three.

mod dead_letters;
mod names;
mod reader;
mod record;
mod session;
mod tenure;
mod window;

pub(crate) use dead_letters::{BEHIND, POSITION, REASON, RECORDED_AT};
pub(crate) use names::Names;
pub(crate) use record::Record;
pub(crate) use session::Session;
pub(crate) use tenure::Tenure;
