//! A small document of each version, and traffic that is right or wrong.

use serde_json::{Value, json};

use super::*;
use crate::consumer::matchers::{integer, like};
use crate::consumer::{Recording, call, reply, send};
use crate::model::{Body, Request, Response};

fn document(version: &str) -> Document {
    let nullable = match version {
        "3.0.3" => json!({ "type": "string", "nullable": true }),
        _ => json!({ "type": ["string", "null"] }),
    };
    Document::of_json(json!({
        "openapi": version, "servers": [{ "url": "https://api.example/api/v1/" }],
        "paths": {
            "/users/{id}": {
                "parameters": [{ "name": "id", "in": "path", "required": true,
                                 "schema": { "type": "string", "minLength": 2 } }],
                "get": {
                    "parameters": [{ "name": "limit", "in": "query", "schema": { "type": "integer" } },
                                   { "name": "X-Tenant", "in": "header", "required": true,
                                     "schema": { "type": "string" } }],
                    "responses": {
                        "200": { "description": "", "content": { "application/json": {
                            "schema": { "$ref": "#/components/schemas/User" } } } },
                        "4XX": { "description": "" } } } },
            "/users/me": { "get": { "responses": { "204": { "description": "" } } } },
            "/users": { "post": {
                "requestBody": { "required": true, "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/User" } } } },
                "responses": { "201": { "description": "" } } } } },
        "components": { "schemas": { "User": {
            "allOf": [{ "$ref": "#/components/schemas/Named" }],
            "type": "object", "required": ["id", "name"],
            "properties": { "id": { "type": "string", "readOnly": true },
                            "name": { "type": "string" }, "mail": nullable } },
            "Named": { "type": "object", "properties": { "nick": { "type": "string" } } } } }
    }))
    .expect("a document")
}

fn request(method: &str, path: &str) -> Request {
    let mut request = Request {
        method: method.into(),
        path: path.into(),
        ..Request::default()
    };
    request.headers.set("x-tenant", "t");
    request
}

fn answer(body: &Value) -> Response {
    Response {
        body: Body::json(body),
        ..Response::default()
    }
}

fn texts(found: Vec<crate::matching::Mismatch>) -> Vec<String> {
    found
        .into_iter()
        .map(|mismatch| mismatch.to_string())
        .collect()
}

#[test]
fn traffic_is_as_the_document_says_in_both_versions() {
    for version in ["3.0.3", "3.1.0"] {
        let document = document(version);
        let get = request("GET", "/api/v1/users/kim");
        assert_eq!(texts(document.check_request(&get)), [""; 0]);
        let user = json!({ "id": "u1", "name": "Kim", "mail": null });
        assert_eq!(
            texts(document.check_response(&get, &answer(&user))),
            [""; 0]
        );
        let wrong =
            texts(document.check_response(&get, &answer(&json!({ "id": "u1", "mail": 5 }))))
                .join("\n");
        assert!(
            wrong.contains("$.body.name: is required") && wrong.contains("$.body.mail: "),
            "{wrong}"
        );
        let mut post = request("POST", "/api/v1/users");
        assert_eq!(
            texts(document.check_request(&post)),
            ["$.body: is required, but there is none"]
        );
        post.body = Body::json(&json!({ "name": "Kim" }));
        assert_eq!(
            texts(document.check_request(&post)),
            [""; 0],
            "a read-only field is not sent"
        );
    }
}

#[test]
fn parameters_statuses_and_paths_are_named() {
    let document = document("3.1.0");
    let mut get = request("GET", "/users/k");
    get.headers = crate::model::Headers::default();
    get.query.insert("limit".into(), vec!["many".into()]);
    get.query.insert("more".into(), vec!["1".into()]);
    let found = texts(document.check_request(&get)).join("\n");
    for part in [
        "$.path.id: ",
        "$.query.limit: ",
        "$.query.more: is no parameter",
        "$.headers.x-tenant: is required",
    ] {
        assert!(found.contains(part), "{found}");
    }
    let status = |status| Response {
        status,
        ..Response::default()
    };
    let get = request("GET", "/users/kim");
    assert_eq!(texts(document.check_response(&get, &status(404))), [""; 0]);
    let unknown = texts(document.check_response(&get, &status(500)));
    assert_eq!(unknown, ["$.status: 500 is not described, only 200, 4XX"]);
    assert_eq!(
        texts(document.check_response(&request("GET", "/users/me"), &status(204))),
        [""; 0]
    );
    assert!(
        texts(document.check_request(&request("PUT", "/users/kim")))[0]
            .contains("no operation PUT")
    );
    assert!(texts(document.check_request(&request("GET", "/nowhere")))[0].contains("no path"));
}

#[test]
fn a_consumer_may_need_less_but_not_what_is_not_promised() {
    let pact = |body: Value| {
        let call = call("a user")
            .request(send("GET", "/users/kim").header("x-tenant", "t"))
            .response(reply(200).json(body));
        Recording::new("orders", "users")
            .call(call)
            .checked()
            .expect("well-formed")
    };
    let document = document("3.1.0");
    let less = document.verify(&pact(json!({ "name": like("Kim"), "nick": like("k") })));
    assert!(less.holds(), "{less}");
    let more = document
        .verify(&pact(
            json!({ "fullName": like("Kim"), "name": integer(1) }),
        ))
        .to_string();
    assert!(
        more.contains("$.body.fullName: is not in the schema"),
        "{more}"
    );
    assert!(more.contains("$.body.name: "), "{more}");
}

#[test]
fn a_header_that_is_needed_has_to_be_described() {
    let call = call("a user")
        .request(send("GET", "/users/kim").header("x-tenant", "t"))
        .response(reply(200).header("x-total", "1"));
    let pact = Recording::new("orders", "users").call(call).checked();
    let report = document("3.1.0").verify(&pact.expect("well-formed"));
    let found = texts(report.outcomes[0].mismatches.clone());
    assert_eq!(found, ["$.headers.x-total: is not described"]);
}
