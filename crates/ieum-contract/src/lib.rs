//! Contracts between services: recorded by the consumer, verified by the provider, compared over time.
