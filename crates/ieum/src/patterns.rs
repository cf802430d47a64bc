//! The examples of `docs/patterns/`, compiled and run as doctests.
//!
//! A page's Rust blocks use the facade as a service would. Each page that has one stands here, so
//! that `cargo test --doc -p ieum` fails when a page no longer fits the code; the pages in
//! `docs/ko/patterns/` have the same blocks, byte for byte.

#![cfg_attr(
    doctest,
    expect(
        rustdoc::invalid_codeblock_attributes,
        reason = "blocks of other languages say why they are not run: `sh,not-run=…`"
    )
)]

/// Makes an item for each page, which carries the page as its docs.
macro_rules! pages {
    ($($page:literal => $item:ident,)*) => {
        $(
            #[doc = include_str!(concat!("../../../docs/patterns/", $page, ".md"))]
            pub struct $item;
        )*

        #[cfg(test)]
        const PAGES: &[&str] = &[$($page),*];
    };
}

pages! {
    "api-composition" => ApiComposition,
    "authentication" => Authentication,
    "bulkhead" => Bulkhead,
    "cache" => Cache,
    "choreography-and-orchestration" => ChoreographyAndOrchestration,
    "circuit-breaker" => CircuitBreaker,
    "client-side-discovery" => ClientSideDiscovery,
    "contract-tests" => ContractTests,
    "cqrs" => Cqrs,
    "database-per-service" => DatabasePerService,
    "event-driven-data-sharing" => EventDrivenDataSharing,
    "event-sourcing" => EventSourcing,
    "fallback" => Fallback,
    "graceful-shutdown" => GracefulShutdown,
    "graphql" => Graphql,
    "grpc" => Grpc,
    "health-check" => HealthCheck,
    "idempotency-key" => IdempotencyKey,
    "integration-tests" => IntegrationTests,
    "load-balancing" => LoadBalancing,
    "metrics" => Metrics,
    "outbox-and-inbox" => OutboxAndInbox,
    "publish-subscribe" => PublishSubscribe,
    "rate-limit" => RateLimit,
    "rest-api" => RestApi,
    "retry-and-backoff" => RetryAndBackoff,
    "saga" => Saga,
    "service-registry" => ServiceRegistry,
    "structured-logs" => StructuredLogs,
    "timeout" => Timeout,
    "tracing" => Tracing,
    "two-phase-commit" => TwoPhaseCommit,
}

#[cfg(test)]
mod tests {
    use super::PAGES;

    #[test]
    fn every_page_with_rust_in_it_is_compiled() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/patterns");
        let mut found = Vec::new();
        for file in std::fs::read_dir(folder).expect("the pages") {
            let file = file.expect("a page").path();
            let text = std::fs::read_to_string(&file).expect("a text");
            if text.lines().any(|line| line.starts_with("```rust")) {
                let name = file.file_stem().and_then(|name| name.to_str());
                found.push(name.expect("a name").to_owned());
            }
        }
        found.sort_unstable();
        assert_eq!(found, PAGES);
    }
}
