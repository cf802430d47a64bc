//! The little that all services share: starting on the chassis, transactions, refusals, money.
//!
//! Nothing about any one service belongs here.

pub(crate) mod broker;
pub(crate) mod cache;
#[cfg(test)]
pub(crate) mod contract;
pub(crate) mod engines;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod graphql;
pub(crate) mod grpc;
pub(crate) mod hosting;
pub(crate) mod idempotency;
pub(crate) mod keys;
pub(crate) mod money;
pub(crate) mod participant;
pub(crate) mod patience;
mod platform;
mod retention;
pub(crate) mod sabotage;
mod sending;
pub(crate) mod service;
pub(crate) mod streams;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;
pub(crate) mod watch;
pub(crate) mod web;
pub(crate) mod work;
