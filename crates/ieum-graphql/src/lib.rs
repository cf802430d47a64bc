//! GraphQL federation: one graph over the graphs of several services.
