//! The gateway over real sockets, as its callers and its upstreams see it.

#![expect(clippy::expect_used, reason = "a helper of a test fails the test")]

mod bodies;
mod cache;
mod compose;
mod framing;
mod graphql;
mod grpc;
mod headers;
mod http2;
mod limits;
mod mixture;
mod reload;
mod resilience;
mod routing;
mod split;
mod stop;
mod support;
mod telemetry;
mod tokens;
mod transcode;
mod tunnel;
mod upstreams;
