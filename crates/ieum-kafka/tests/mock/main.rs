//! Against the client library's mock cluster, with its faults. It speaks Kafka's protocol on loopback
//! in this process.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod faults;
