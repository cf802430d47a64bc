//! Against a small fake of SNS and SQS on loopback in this process: no server of AWS runs here.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod server;
#[cfg(test)]
mod state;
#[cfg(test)]
mod troubles;
