//! Testing sagas: scripted participants, a log that dies, and an audit (feature `testing`).
//!
//! A saga is right if it is right wherever the process dies. [`Rig`] runs an engine on a log whose
//! process can be killed before or after any append, starts another one on the same log, and
//! [`World::audit`] counts each effect. On tokio's paused clock a run takes no time at all.

mod life;
mod rig;
mod world;

pub use life::{Crash, Life, MortalLog, MortalParticipants, Side};
pub use rig::{Process, Rig};
pub use world::{Behaviour, Effects, World};
