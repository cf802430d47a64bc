//! Sagas, tested through the engine's own interface on tokio's paused clock.

mod absence;
mod crashes;
mod fixtures;
mod handover;
mod operators;
mod rules;
mod running;
mod sharing;
mod starting;
mod takeover;
mod traces;
mod triggers;
mod zombies;
