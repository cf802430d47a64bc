//! The PostgreSQL engine, through its public API, on a real server.

#![cfg(feature = "postgres")]

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod hazards;
#[cfg(test)]
mod messaging;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod server;
#[cfg(test)]
mod storing;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod transport;
