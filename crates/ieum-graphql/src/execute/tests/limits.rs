//! Limits: what is too much is refused before memory or a fetch is spent on it.

use serde_json::{Value, json};

use super::support::{
    Script, TWO_USERS, answer, entities, fetch, query, run, shop, users_with_orders,
};
use crate::execute::Config;
use crate::plan::Node;
use crate::transport::FetchErrorKind;

#[tokio::test]
async fn too_many_entities_are_refused_before_they_are_asked_for() {
    let users: Vec<Value> = (0..10_000)
        .map(|id| json!({"__typename": "User", "id": id.to_string()}))
        .collect();
    let body = json!({"data": {"users": users}}).to_string();
    let script = Script::new().answer("users", body);
    let config = Config::default();
    let answer = answer(&shop(), &users_with_orders(), &[], &script, &config).await;
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(
        body["data"]["users"][9_999],
        json!({"id": "9999", "orders": null})
    );
    assert_eq!(body["errors"][0]["path"], json!(["users"]));
    assert_eq!(body["errors"][0]["extensions"]["code"], "TOO_MANY_ENTITIES");
    assert_eq!((answer.errors, answer.fetches), (1, 1));
}

#[tokio::test]
async fn a_request_that_would_be_too_large_is_not_sent() {
    let name = "x".repeat(1_000);
    let users: Vec<Value> = (0..100)
        .map(|id| json!({"__typename": "User", "id": format!("{name}{id}")}))
        .collect();
    let script = Script::new().answer("users", json!({"data": {"users": users}}).to_string());
    let config = Config {
        request_bytes: 50_000,
        ..Config::default()
    };
    let answer = answer(&shop(), &users_with_orders(), &[], &script, &config).await;
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["errors"][0]["extensions"]["code"], "REQUEST_TOO_LARGE");
    assert_eq!(body["errors"][0]["path"], json!(["users"]));
    assert_eq!((answer.errors, answer.fetches), (1, 1));
}

#[tokio::test]
async fn more_errors_than_anybody_reads_are_counted() {
    let errors = vec![json!({"message": "no", "path": ["_entities", 0, "orders"]}); 1_000];
    let script = Script::new()
        .answer("users", TWO_USERS)
        .answer("orders", json!({"errors": errors}).to_string());
    let answer = run(&shop(), &users_with_orders(), &script).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let errors = answer["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), Config::default().errors + 1);
    assert_eq!(errors[50]["message"], "950 more errors are not listed");
}

#[tokio::test]
async fn all_fetches_together_have_a_limit_of_entities_too() {
    let script = Script::new()
        .answer("users", TWO_USERS)
        .answer(
            "orders",
            r#"{"data":{"_entities":[{"orders":[]},{"orders":[]}]}}"#,
        )
        .answer(
            "names",
            r#"{"data":{"_entities":[{"name":"x"},{"name":"y"}]}}"#,
        );
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "users"),
            entities("orders", "users.@", "...User{__typename id}", "orders"),
            entities("names", "users.@", "...User{__typename id}", "name"),
        ]),
        "users { name orders { id } }",
    );
    let config = Config {
        entities: 3,
        ..Config::default()
    };
    let answer = answer(&shop(), &plan, &[], &script, &config).await;
    assert_eq!((answer.entities, answer.errors), (2, 1));
    assert_eq!(script.bodies().len(), 2);
}

#[tokio::test]
async fn errors_values_depth_and_bytes_are_bounded() {
    let limits: [(Config, &str); 4] = [
        (
            Config {
                errors: 1,
                ..Config::default()
            },
            "TOO_MANY_ERRORS",
        ),
        (
            Config {
                values: 7,
                ..Config::default()
            },
            "SUBGRAPH_TOO_LARGE",
        ),
        (
            Config {
                depth: 2,
                ..Config::default()
            },
            "SUBGRAPH_MALFORMED",
        ),
        (
            Config {
                answer_bytes: 30,
                ..Config::default()
            },
            "ANSWER_TOO_LARGE",
        ),
    ];
    for (config, code) in limits {
        let script = Script::new()
            .answer("users", TWO_USERS)
            .fail("orders", FetchErrorKind::Unreachable);
        let answer = answer(&shop(), &users_with_orders(), &[], &script, &config).await;
        let body = String::from_utf8(answer.body.to_vec()).expect("text");
        assert!(body.contains(code), "{code}: {body}");
    }
}

#[tokio::test]
async fn a_small_answer_for_many_places_does_not_become_a_large_tree() {
    // One entity of 1,000 values, for 1,000 places: a million values if nobody counted.
    let users = vec![json!({"__typename": "User", "id": "1"}); 1_000];
    let orders = vec![json!({"id": "1"}); 1_000];
    let script = Script::new()
        .answer("users", json!({"data": {"users": users}}).to_string())
        .answer(
            "orders",
            json!({"data": {"_entities": [{"orders": orders}]}}).to_string(),
        );
    let config = Config {
        values: 20_000,
        ..Config::default()
    };
    let answer = answer(&shop(), &users_with_orders(), &[], &script, &config).await;
    let body = String::from_utf8(answer.body.to_vec()).expect("text");
    assert!(body.contains("SUBGRAPH_TOO_LARGE"), "{}", &body[..200]);
}
