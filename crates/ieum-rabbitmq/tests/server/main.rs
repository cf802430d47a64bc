//! Against a real RabbitMQ, which is killed.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod server;
#[cfg(test)]
mod troubles;
