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
    let error = values(schema, json!({ "openapi": "3.1.0" })).expect_err("two kinds");
    assert!(
        error
            .to_string()
            .contains("a JSON Schema cannot be compared with an OpenAPI document"),
        "{error}"
    );
}

/// Whether each change of a schema breaks.
fn schema_breaks(old: Value, new: Value) -> bool {
    values(old, new).expect("comparable").breaks()
}

#[test]
fn a_schema_that_allows_something_else_breaks_readers_or_writers() {
    let text = json!({ "type": "string" });
    let referring = |more: Value| {
        let mut schema = json!({ "$ref": "#/$defs/x", "$defs": { "x": { "type": "string" } } });
        schema["maxLength"] = more;
        schema
    };
    let variants = |fields: Value, more: bool| {
        let all = [json!({ "$ref": "#/$defs/a" }), json!({ "type": "null" })];
        json!({ "oneOf": all[..=usize::from(more)], "$defs": { "a": { "type": fields } } })
    };
    let draft_4 = |mut schema: Value| {
        schema["$schema"] = json!("http://json-schema.org/draft-04/schema#");
        schema
    };
    let composed = |least: u64| {
        let part = |bound: &str, value: u64| json!({ "properties": { "n": { bound: value } } });
        json!({ "allOf": [part("minimum", least), part("maximum", 9)] })
    };
    for (old, new) in [
        (
            json!({ "type": "array" }),
            json!({ "type": "array", "items": text }),
        ),
        (
            json!({ "additionalProperties": { "type": "integer" } }),
            json!({ "additionalProperties": text }),
        ),
        (json!({}), json!({ "additionalProperties": false })),
        (json!({}), json!({ "required": ["a"] })),
        (json!({ "required": ["a"] }), json!({})),
        (json!({ "minimum": 0 }), json!({ "exclusiveMinimum": 0 })),
        (
            draft_4(json!({ "minimum": 0 })),
            draft_4(json!({ "minimum": 0, "exclusiveMinimum": true })),
        ),
        (json!({}), json!({ "uniqueItems": true })),
        (json!({ "multipleOf": 3 }), json!({ "multipleOf": 2 })),
        (json!({ "pattern": "a" }), json!({})),
        (json!({}), json!({ "not": text })),
        (json!({ "items": true }), json!({ "items": false })),
        (referring(json!(9)), referring(json!(5))),
        (
            variants(json!("string"), false),
            variants(json!("integer"), true),
        ),
        (composed(1), composed(2)),
    ] {
        assert_ne!(old, new);
        assert!(schema_breaks(old.clone(), new.clone()), "{old} → {new}");
        assert!(!schema_breaks(old.clone(), old), "the same");
    }
}

#[test]
fn what_is_said_for_people_breaks_nobody() {
    let old = json!({ "type": "object", "title": "a", "x-more": 1, "uniqueItems": false });
    let new = json!({ "type": "object", "description": "b", "examples": [1] });
    assert!(!schema_breaks(old, new));
}

#[test]
fn what_is_no_schema_is_not_compared() {
    for other in [
        json!([1]),
        json!({ "swagger": "2.0" }),
        json!({ "type": 1 }),
    ] {
        assert!(values(other.clone(), other.clone()).is_err(), "{other}");
    }
}

/// What changes between two needs of one response.
fn needs_of(old: Value, new: Value) -> Vec<String> {
    let pact = |response: Value| {
        json!({ "consumer": { "name": "c" }, "provider": { "name": "p" },
                "metadata": { "pactSpecification": { "version": "4.0" } },
                "interactions": [{ "type": "Synchronous/HTTP", "description": "d",
                                   "request": { "path": "/" }, "response": response }] })
    };
    diff(pact(old), pact(new))
}

#[test]
fn a_need_of_more_than_the_old_one_is_breaking_wherever_it_stands() {
    let rule = |rule: Value| json!({ "combine": "AND", "matchers": [rule] });
    let body = |content: Value, rules: Value| json!({ "body": { "content": content }, "matchingRules": { "body": rules } });
    let either = |combine: &str| {
        let matchers = json!([{ "match": "integer" }, { "match": "null" }]);
        body(
            json!(1),
            json!({ "$": { "combine": combine, "matchers": matchers } }),
        )
    };
    let equal = |value: &str| {
        body(
            json!(value),
            json!({ "$": rule(json!({ "match": "equality" })) }),
        )
    };
    let among = |last: u64| {
        body(
            json!([1, last]),
            json!({ "$": rule(json!({ "match": "arrayContains", "variants": [{ "index": 0 }, { "index": 1 }] })) }),
        )
    };
    let status = rule(json!({ "match": "statusCode", "status": "success" }));
    let field = rule(json!({ "match": "regex", "regex": "a|b" }));
    for (old, new, place) in [
        (
            json!({ "matchingRules": { "status": status } }),
            json!({}),
            "$.status",
        ),
        (
            json!({ "headers": { "x": ["a"] }, "matchingRules": { "header": { "x": field } } }),
            json!({ "headers": { "x": ["a"] } }),
            "$.headers.x",
        ),
        (
            json!({}),
            json!({ "headers": { "x": ["a"] } }),
            "$.headers.x",
        ),
        (
            body(json!([1]), json!({})),
            body(json!([1, 2]), json!({})),
            "$.body",
        ),
        (
            body(json!([1, 2]), json!({})),
            body(json!([1, 3]), json!({})),
            "$.body[1]",
        ),
        (equal("a"), equal("b"), "$.body"),
        (among(2), among(3), "$.body"),
        (either("OR"), either("AND"), "$.body"),
        (json!({}), json!({ "body": { "content": "" } }), "$.body"),
        (
            json!({ "body": { "content": "a", "contentType": "text/plain" } }),
            json!({ "body": { "content": "a", "contentType": "text/html" } }),
            "$.body",
        ),
    ] {
        let found = needs_of(old.clone(), new.clone());
        let start = format!("! d response {place}: ");
        assert!(
            found.iter().any(|line| line.starts_with(&start)),
            "{old} → {new}: {found:?}"
        );
        assert_eq!(needs_of(old.clone(), old), [""; 0]);
    }
    let fewer = needs_of(json!({ "headers": { "x": ["a"] } }), json!({}));
    assert_eq!(fewer, ["d response $.headers.x: is not needed any more"]);
}

#[test]
fn what_was_pending_was_not_met_yet() {
    let pact = |pending: bool| {
        json!({ "consumer": { "name": "c" }, "provider": { "name": "p" },
                "interactions": [{ "description": "d", "pending": pending, "request": {}, "response": {} }] })
    };
    assert_eq!(diff(pact(true), pact(false)), ["! d: is pending no more"]);
    assert_eq!(diff(pact(false), pact(true)), [""; 0]);
}

/// What changes in one operation of a document.
fn operation_of(old: Value, new: Value) -> Vec<String> {
    let document = |operation: Value, name: &str| {
        let template = format!("/a/{{{name}}}");
        json!({ "openapi": "3.1.0", "paths": { template: { "get": operation } } })
    };
    diff(document(old, "id"), document(new, "key"))
}

#[test]
fn an_operation_that_takes_other_calls_breaks_its_callers() {
    let parameter = |place: &str, name: &str, kind: &str| {
        let schema = json!({ "type": kind });
        json!({ "parameters": [{ "in": place, "name": name, "required": true, "schema": schema }] })
    };
    let header = |required: bool, kind: &str| {
        let header = json!({ "required": required, "schema": { "type": kind } });
        json!({ "responses": { "200": { "headers": { "X-Total": header } } } })
    };
    let security = |name: &str| json!({ "security": [{ name: [] }] });
    for (old, new, line) in [
        (
            parameter("path", "id", "string"),
            parameter("path", "key", "integer"),
            "! GET /a/{id} $.path.id: the type was string, is integer",
        ),
        (
            parameter("header", "X-A", "string"),
            parameter("header", "x-a", "integer"),
            "! GET /a/{id} $.header.X-A: the type was string, is integer",
        ),
        (
            header(true, "integer"),
            header(false, "integer"),
            "! GET /a/{id} 200 $.headers.x-total: is not always there any more",
        ),
        (
            header(true, "integer"),
            header(true, "string"),
            "! GET /a/{id} 200 $.headers.x-total: the type was integer, is string",
        ),
        (
            json!({}),
            security("token"),
            "! GET /a/{id}: the security {} is not enough any more",
        ),
        (
            security("token"),
            security("key"),
            "! GET /a/{id}: the security {\"token\":[]} is not enough any more",
        ),
    ] {
        assert_eq!(operation_of(old, new), [line]);
    }
    assert_eq!(operation_of(security("token"), json!({})), [""; 0]);
}

#[test]
fn a_document_that_is_served_elsewhere_breaks_its_callers() {
    let document = |url: &str| json!({ "openapi": "3.1.0", "servers": [{ "url": url }] });
    let found = diff(
        document("https://a.example/v1"),
        document("https://a.example/v2"),
    );
    assert_eq!(found, ["! servers: the path was `/v1`, is `/v2`"]);
}
