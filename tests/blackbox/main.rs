//! Black-box tests: they drive the built binaries `ieum` and `shop` as a user would, over HTTP and
//! the command line, and share no code with them (docs/adr/0007).

mod adoption;
mod chaos;
mod command_line;
mod console;
mod consul_clients;
mod contract;
mod contracts;
mod demo;
mod deployment;
mod documents;
mod engines;
mod federation;
mod gateway;
mod graphql;
mod graphql_shop;
mod grpc;
mod guard;
mod live;
mod packages;
mod patterns;
mod platform;
mod polyglot;
mod readme;
mod registry;
mod reload;
mod roles;
mod secrets;
mod shop;
mod shutdown;
mod storefront;
mod telemetry;
mod twins;
