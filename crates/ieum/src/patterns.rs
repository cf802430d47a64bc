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

/// Makes a module for each page, which carries the page as its docs.
macro_rules! pages {
    ($($page:literal => $item:ident,)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../docs/patterns/", $page, ".md"))]
            mod $item {}
        )*

        #[cfg(test)]
        const PAGES: &[&str] = &[$($page),*];
    };
}

pages! {
    "api-composition" => api_composition,
    "authentication" => authentication,
    "bulkhead" => bulkhead,
    "cache" => cache,
    "choreography-and-orchestration" => choreography_and_orchestration,
    "circuit-breaker" => circuit_breaker,
    "client-side-discovery" => client_side_discovery,
    "contract-tests" => contract_tests,
    "cqrs" => cqrs,
    "database-per-service" => database_per_service,
    "event-driven-data-sharing" => event_driven_data_sharing,
    "event-sourcing" => event_sourcing,
    "fallback" => fallback,
    "graceful-shutdown" => graceful_shutdown,
    "graphql" => graphql,
    "grpc" => grpc,
    "health-check" => health_check,
    "idempotency-key" => idempotency_key,
    "integration-tests" => integration_tests,
    "load-balancing" => load_balancing,
    "metrics" => metrics,
    "outbox-and-inbox" => outbox_and_inbox,
    "publish-subscribe" => publish_subscribe,
    "rate-limit" => rate_limit,
    "rest-api" => rest_api,
    "retry-and-backoff" => retry_and_backoff,
    "saga" => saga,
    "service-registry" => service_registry,
    "structured-logs" => structured_logs,
    "timeout" => timeout,
    "tracing" => tracing,
    "two-phase-commit" => two_phase_commit,
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

    #[test]
    fn the_saga_of_its_page_is_one_that_the_engine_takes() {
        let page = include_str!("../../../docs/patterns/saga.md");
        let (_, rest) = page.split_once("```json\n").expect("a definition");
        let (json, _) = rest.split_once("```").expect("its end");
        let definition = serde_json::from_str(json).expect("a definition");
        crate::saga::definition::Plan::new(definition).expect("valid");
    }
}
