//! A small shop whose dependencies are known.

use serde_json::json;

use super::*;

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// Orders publishes `order.placed`, on which a saga calls payments; analytics and mails hear it; payments
/// publishes in turn.
fn shop() -> Landscape {
    let told = |topic: &str, kind: &str, source: &str| Told {
        topic: topic.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
    };
    let group = |topic: &str, name: &str| Group {
        topic: topic.to_owned(),
        name: name.to_owned(),
    };
    let route = |name: &str, service: &str, writes: bool| Route {
        name: name.to_owned(),
        path: format!("/api/{service}"),
        services: names([service]),
        writes,
    };
    let saga = json!({"name": "place-order",
        "on": {"topic": "order.events", "type": "order.placed"},
        "steps": [
            {"name": "charge", "call": {"service": "payments", "path": "/payments"},
             "undo": {"service": "payments", "path": "/refunds"}},
            {"name": "confirm", "pivot": true, "call": {"service": "orders", "path": "/confirm"}}]});
    let contract = |consumer: &str, provider: &str, events: &[&str]| Contract {
        told: ContractUse {
            consumer: consumer.to_owned(),
            provider: provider.to_owned(),
            kind: "pact".to_owned(),
            source: format!("{consumer}-{provider}.json"),
        },
        events: events.iter().map(|&event| event.to_owned()).collect(),
    };
    Landscape {
        services: names(["orders", "payments", "analytics", "users"]),
        routes: vec![
            route("place-order", "orders", true),
            route("orders", "orders", false),
            route("reports", "analytics", false),
            route("users", "users", true),
        ],
        topics: names(["order.events", "payment.events"]),
        // The service of `mails` is down: it is not registered, and its group is still there.
        groups: vec![
            group("order.events", "analytics"),
            group("order.events", "mails"),
            group("payment.events", "orders"),
        ],
        definitions: vec![serde_json::from_value(saga).expect("a definition")],
        contracts: vec![
            contract("analytics", "orders", &["order.placed"]),
            contract("orders", "users", &[]),
        ],
        told: vec![
            told("order.events", "order.placed", "/orders"),
            told("order.events", "order.completed", "/orders"),
            told(
                "payment.events",
                "payment.completed",
                "https://payments.shop.example",
            ),
        ],
        seen: Seen::default(),
    }
}

fn of(name: &str) -> Impact {
    shop().impact(name, None).expect("known")
}

fn routes(impact: &Impact) -> Vec<&str> {
    impact
        .routes
        .iter()
        .map(|route| route.name.as_str())
        .collect()
}

fn steps(impact: &Impact) -> Vec<&str> {
    impact.sagas.iter().map(|saga| saga.step.as_str()).collect()
}

fn heard_by(impact: &Impact) -> Vec<&str> {
    impact
        .consumers
        .iter()
        .map(|consumer| consumer.service.as_str())
        .collect()
}

#[test]
fn an_event_touches_who_publishes_hears_and_is_called_for_it() {
    let impact = of("order.placed");
    assert_eq!(impact.subject.kind, SubjectKind::EventType);
    assert_eq!(impact.publishers, ["orders"]);
    assert_eq!(heard_by(&impact), ["analytics", "mails"]);
    assert_eq!(routes(&impact), ["orders", "place-order", "reports"]);
    assert_eq!(impact.contracts.len(), 1);
    assert_eq!(steps(&impact), [TRIGGER, "charge", "confirm"]);
    assert_eq!(impact.sagas[1].call, "POST payments/payments");
    assert_eq!(
        impact.services,
        ["analytics", "mails", "orders", "payments"]
    );
}

#[test]
fn what_comes_next_is_one_level_deep() {
    let next = of("order.placed").next;
    let kinds: Vec<_> = next.iter().map(|one| one.kind.as_str()).collect();
    // Of orders and payments, which the saga calls; not the event itself.
    assert_eq!(kinds, ["order.completed", "payment.completed"]);
}

#[test]
fn an_event_that_starts_no_saga_has_none() {
    let impact = of("order.completed");
    assert_eq!(steps(&impact), [""; 0]);
    assert!(impact.contracts.is_empty());
    assert_eq!(heard_by(&impact), ["analytics", "mails"]);
}

#[test]
fn a_topic_has_all_that_its_events_have() {
    let impact = of("order.events");
    assert_eq!(impact.subject.kind, SubjectKind::Topic);
    assert_eq!(impact.publishers, ["orders"]);
    assert_eq!(steps(&impact), [TRIGGER, "charge", "confirm"]);
    assert_eq!(impact.contracts.len(), 1);
}

#[test]
fn a_service_has_its_steps_its_contracts_and_who_hears_it() {
    let impact = of("payments");
    assert_eq!(impact.subject.kind, SubjectKind::Service);
    assert_eq!(heard_by(&impact), ["orders"]);
    assert!(impact.publishers.is_empty());
    let calls: Vec<_> = impact.sagas.iter().map(|saga| saga.call.as_str()).collect();
    assert_eq!(calls, ["POST payments/payments", "POST payments/refunds"]);
    assert_eq!(impact.services, ["orders"]);

    let impact = of("orders");
    assert_eq!(impact.publishers, ["payments"]);
    assert_eq!(steps(&impact), [TRIGGER, "confirm"]);
    assert_eq!(impact.contracts.len(), 2);
    assert_eq!(impact.services, ["analytics", "mails", "payments", "users"]);
    assert_eq!(impact.events.len(), 2);
}

#[test]
fn a_route_that_only_reads_publishes_nothing() {
    let writes = of("place-order");
    assert_eq!(writes.subject.kind, SubjectKind::Route);
    assert_eq!(heard_by(&writes), ["analytics", "mails"]);
    assert_eq!(routes(&writes), ["place-order"]);
    // `orders` is a service first, and a route by its kind.
    let reads = shop()
        .impact("orders", Some(SubjectKind::Route))
        .expect("a route");
    assert_eq!(reads.also, [SubjectKind::Service]);
    assert!(reads.consumers.is_empty() && reads.sagas.is_empty());
    assert_eq!(reads.services, ["analytics", "orders"]);
}

#[test]
fn a_name_that_nothing_has_is_refused_with_those_near_it() {
    let unknown = shop().impact("order.place", None).expect_err("unknown");
    assert_eq!(unknown.nearest[0].name, "order.placed");
    let wrong = shop()
        .impact("payments", Some(SubjectKind::Topic))
        .expect_err("a service");
    assert!(
        wrong.nearest.iter().any(|near| near.name == "payments"),
        "{wrong:?}"
    );
}

#[test]
fn a_contract_that_the_platform_does_not_know_is_about_the_same() {
    let shop = shop();
    for (subject, files) in [
        ("order.placed", 1),
        ("orders", 2),
        ("users", 1),
        ("payments", 0),
    ] {
        let impact = of(subject);
        let about = shop
            .contracts
            .iter()
            .filter(|contract| about(contract, &impact));
        assert_eq!(about.count(), files, "{subject}");
    }
}
