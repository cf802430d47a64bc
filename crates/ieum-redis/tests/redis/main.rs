//! A real Redis server: the suites of the ports, and what happens when it is killed, frozen, wrong.

#![cfg(test)]

mod broker;
mod cache;
mod crash;
mod differential;
mod limits;
mod refusals;
mod server;
