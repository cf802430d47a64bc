//! Topics on a real NATS server.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod hazards;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod server;
#[cfg(test)]
mod streams;
