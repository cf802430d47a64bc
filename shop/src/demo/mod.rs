//! demo
mod plan;
