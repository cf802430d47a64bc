//! The SQLite engine, through its public API, on real files.

#[cfg(test)]
mod broker;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod messaging;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod sagas;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod writing;
