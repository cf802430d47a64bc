//! Files of every version, read and written.

use serde_json::json;

use super::*;

fn read(value: &Value) -> Pact {
    Pact::of_json(value).expect("a pact")
}

#[test]
fn what_was_written_is_read_as_it_was() {
    let pact = read(&json!({
        "consumer": { "name": "orders" }, "provider": { "name": "users" },
        "interactions": [{
            "description": "a user", "providerState": "there is kim",
            "request": { "method": "get", "path": "/users/kim", "query": "a=1&a=2&b=%20",
                         "headers": { "Accept": "text/plain, application/json" } },
            "response": { "status": 200, "headers": { "Content-Type": "application/json" },
                          "body": { "id": "kim", "n": 1.5 },
                          "matchingRules": { "$.body.id": { "match": "type" } } }
        }],
        "metadata": { "pactSpecification": { "version": "2.0.0" } }
    }));
    let Exchange::Http(http) = &pact.interactions[0].exchange else {
        panic!("a call");
    };
    assert_eq!(http.request.query["a"], ["1", "2"]);
    assert_eq!(http.request.query["b"], [" "]);
    assert_eq!(http.request.headers.get("ACCEPT").map(Vec::len), Some(2));
    assert_eq!(pact.interactions[0].states[0].name, "there is kim");
    let again = Pact::read(pact.to_text().as_bytes()).expect("version 4");
    assert_eq!(again.to_text(), pact.to_text());
    assert!(pact.to_text().contains("\"version\": \"4.0\""));
}

#[test]
fn messages_of_versions_3_and_4_are_the_same() {
    let rules =
        json!({ "body": { "$.a": { "combine": "AND", "matchers": [{ "match": "type" }] } } });
    let three = read(&json!({
        "consumer": { "name": "c" }, "provider": { "name": "p" },
        "messages": [{ "description": "an event", "contents": { "a": 1 }, "matchingRules": rules,
                       "metaData": { "contentType": "application/json" } }],
        "metadata": { "pactSpecification": { "version": "3.0.0" } }
    }));
    let four = read(&json!({
        "consumer": { "name": "c" }, "provider": { "name": "p" },
        "interactions": [{ "type": "Asynchronous/Messages", "description": "an event",
            "contents": { "content": { "a": 1 }, "contentType": "application/json", "encoded": false },
            "metadata": { "contentType": "application/json" }, "matchingRules": rules }],
        "metadata": { "pactSpecification": { "version": "4.0" } }
    }));
    assert_eq!(three.to_text(), four.to_text());
}

#[test]
fn bodies_that_are_no_json_survive() {
    for body in [
        json!({ "content": "plain", "contentType": "text/plain", "encoded": false }),
        json!({ "content": "/9j/", "contentType": "image/jpeg", "encoded": "base64" }),
        json!({ "content": "a string", "contentType": "application/json", "encoded": "JSON" }),
        json!({ "content": null }),
        json!({ "content": "" }),
    ] {
        let pact = read(&json!({
            "consumer": { "name": "c" }, "provider": { "name": "p" },
            "interactions": [{ "type": "Synchronous/HTTP", "description": "d",
                "request": { "method": "POST", "path": "/", "body": body }, "response": {} }],
            "metadata": { "pactSpecification": { "version": "4.0" } }
        }));
        assert_eq!(pact.to_json()["interactions"][0]["request"]["body"], body);
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    let text = json!({
        "consumer": { "name": "c" }, "provider": { "name": "p" },
        "interactions": [{ "type": "Synchronous/Messages", "description": "d" }],
        "metadata": { "pactSpecification": { "version": "4.0" } }
    });
    let error = Pact::of_json(&text).expect_err("not known").to_string();
    assert!(
        error.contains("interaction 1") && error.contains("Synchronous/Messages"),
        "{error}"
    );
    assert!(Pact::read(b"{}").is_err());
    let nothing = json!({ "consumer": { "name": "c" }, "provider": { "name": "p" } });
    let error = Pact::of_json(&nothing).expect_err("nothing in it");
    assert!(
        error.to_string().contains("`interactions` is missing"),
        "{error}"
    );
}
