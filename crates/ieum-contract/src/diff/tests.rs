//! Changes that break, and such that do not.

use serde_json::{Value, json};

use super::*;

/// Each change in a line, breaking ones with an exclamation mark.
fn diff(old: Value, new: Value) -> Vec<String> {
    let changes = values(old, new).expect("comparable");
    let line = |change: &Change| {
        let mark = if change.breaking { "! " } else { "" };
        format!("{mark}{}: {}", change.place, change.text)
    };
    changes.changes.iter().map(line).collect()
}

fn api(user: &Value, order: &Value, statuses: &[&str]) -> Value {
    let user = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/User" } } } , "x": user });
    let responses: serde_json::Map<String, Value> = statuses
        .iter()
        .map(|status| ((*status).to_owned(), user.clone()))
        .collect();
    let order_body = json!({ "content": { "application/json": { "schema": order } } });
    json!({
        "openapi": "3.1.0",
        "paths": { "/users/{id}": { "get": { "responses": responses } },
                   "/orders": { "post": { "requestBody": order_body, "responses": {} } } },
        "components": { "schemas": { "User": user["x"] } }
    })
}

#[test]
fn a_response_that_gives_less_breaks_its_readers() {
    let schema = |properties: Value| json!({ "type": "object", "required": ["name"], "properties": properties });
    let old = schema(
        json!({ "name": { "type": "string" }, "age": { "type": "integer" },
                             "role": { "enum": ["admin", "guest"] } }),
    );
    let new = schema(
        json!({ "fullName": { "type": "string" }, "age": { "type": "string" },
                             "role": { "enum": ["admin"] } }),
    );
    let order = json!({ "type": "object" });
    let found = diff(
        api(&old, &order, &["200", "404"]),
        api(&new, &order, &["200"]),
    );
    for line in [
        "! GET /users/{id} 200 $.body.name: removed",
        "! GET /users/{id} 200 $.body.age: the type was integer, is string",
        "! GET /users/{id} 200 $.body.role: the value \"guest\" was removed",
        "GET /users/{id} 200 $.body.fullName: added",
        "! GET /users/{id} 404: the status was removed",
    ] {
        assert!(found.contains(&line.to_owned()), "{line}\n{found:#?}");
    }
}

#[test]
fn a_request_that_asks_for_more_breaks_its_writers() {
    let user = json!({});
    let order = |required: Value| {
        json!({ "type": "object", "required": required,
        "properties": { "items": { "type": "array" }, "note": { "type": "string" } } })
    };
    let old = api(&user, &order(json!(["items"])), &["200"]);
    let found = diff(
        old.clone(),
        api(&user, &order(json!(["items", "note"])), &["200"]),
    );
    assert_eq!(found, ["! POST /orders $.body.note: became required"]);
    let back = diff(api(&user, &order(json!(["items", "note"])), &["200"]), old);
    assert_eq!(
        back,
        ["POST /orders $.body.note: is not always there any more"]
    );
}

#[test]
fn what_is_the_same_has_no_changes_even_in_circles() {
    let tree = json!({ "type": "object", "properties": { "next": { "$ref": "#" }, "n": { "type": "integer" } } });
    assert_eq!(diff(tree.clone(), tree), [""; 0]);
}

#[test]
fn a_pact_that_needs_more_may_break_its_provider() {
    let pact = |body: Value, more: Value| {
        let mut interactions = vec![
            json!({ "description": "a user", "request": { "method": "GET", "path": "/" },
                             "response": { "status": 200, "body": body } }),
        ];
        interactions.extend(more.as_array().into_iter().flatten().cloned());
        json!({ "consumer": { "name": "c" }, "provider": { "name": "p" }, "interactions": interactions })
    };
    let other = json!([{ "description": "another", "request": {}, "response": {} }]);
    let found = diff(
        pact(json!({ "a": 1, "b": 1 }), json!([])),
        pact(json!({ "a": "1", "c": 1 }), other),
    );
    assert_eq!(
        found,
        [
            "! a user response $.body.a: was a number, is a string",
            "a user response $.body.b: is not needed any more",
            "! a user response $.body.c: is needed newly",
            "! another: is needed newly",
        ]
    );
}

#[test]
fn kinds_are_not_mixed() {
    let schema = json!({ "type": "object" });
    assert!(values(schema, json!({ "openapi": "3.1.0" })).is_err());
}
