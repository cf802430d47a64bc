//! Failures: what a client is told, where, and what is answered beside it.

use serde_json::{Value, json};

use super::support::{
    Script, TWO_USERS, answer, batch, entities, entity_fetch, fetch, query, rewrite, root_fetch,
    run, shop, users_with_orders,
};
use crate::execute::Config;
use crate::plan::{Change, Node, Plan};
use crate::transport::FetchErrorKind;

/// The answer as a value.
async fn value(plan: &Plan, script: &Script) -> Value {
    let text = run(&shop(), plan, script).await;
    serde_json::from_str(&text).expect("an answer of JSON")
}

#[tokio::test]
async fn a_subgraph_that_fails_leaves_the_rest_and_says_where_it_is_missing() {
    let script = Script::new()
        .answer("users", TWO_USERS)
        .fail("orders", FetchErrorKind::Unreachable);
    let error = |index| {
        json!({
            "message": "no answer",
            "path": ["users", index, "orders"],
            "extensions": {"code": "SUBGRAPH_UNREACHABLE", "service": "orders"},
        })
    };
    assert_eq!(
        value(&users_with_orders(), &script).await,
        json!({
            "data": {"users": [{"id": "1", "orders": null}, {"id": "2", "orders": null}]},
            "errors": [error(0), error(1)],
        })
    );
}

#[tokio::test]
async fn a_root_fetch_that_fails_names_the_fields_that_the_client_asked_it_for() {
    let script = Script::new()
        .fail("users", FetchErrorKind::Timeout)
        .answer("products", r#"{"data":{"product":{"name":"P"}}}"#);
    let plan = query(
        Node::Parallel(vec![
            fetch("users", "user users __typename first_alias"),
            fetch("products", "product"),
        ]),
        "user { id } product { name } users { id }",
    );
    let answer = value(&plan, &script).await;
    assert_eq!(
        answer["data"],
        json!({"user": null, "product": {"name": "P"}, "users": null})
    );
    let paths: Vec<&Value> = answer["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| &error["path"])
        .collect();
    assert_eq!(paths, [&json!(["user"]), &json!(["users"])]);
}

#[tokio::test]
async fn an_error_of_an_entity_is_told_at_every_place_that_the_entity_has() {
    let script = Script::new()
        .answer(
            "users",
            r#"{"data":{"users":[{"__typename":"User","id":"1"},{"__typename":"User","id":"2"},
                {"__typename":"User","id":"1"}]}}"#,
        )
        .answer(
            "orders",
            r#"{"data":{"_entities":[{"orders":[{"total":1},null]},{"orders":[]}]},"errors":[
                {"message":"no \"total\"","path":["_entities",0,"orders",1,"total"],
                 "locations":[{"line":1,"column":2}],
                 "extensions":{"code":"NOT_FOUND","exception":{"stacktrace":["secret"]}}}]}"#,
        );
    let mut plan = users_with_orders();
    plan.response = super::support::selected("users { orders { total } }");
    let error = |index| {
        json!({
            "message": "no \"total\"",
            "path": ["users", index, "orders", 1, "total"],
            "extensions": {"code": "NOT_FOUND", "service": "orders"},
        })
    };
    assert_eq!(
        value(&plan, &script).await,
        json!({
            "data": {"users": [{"orders": null}, {"orders": []}, {"orders": null}]},
            "errors": [error(0), error(2)],
        })
    );
}

#[tokio::test]
async fn a_path_speaks_the_clients_names_and_ends_where_the_client_stops() {
    let script = Script::new().answer(
        "media",
        r#"{"data":{"media":[{"__typename":"Film","id":"1","_alias_0":null}]},"errors":[
            {"message":"a","path":["media",0,"_alias_0"]},
            {"message":"b","path":["media",0,"id","x"]},
            {"message":"c","path":["nowhere"]},
            {"message":"d"},
            {"path":"media"},
            7]}"#,
    );
    let mut fetched = root_fetch("media", "media");
    fetched.output = vec![rewrite(
        "media.|Film._alias_0",
        Change::Rename("title".to_owned()),
    )];
    let plan = query(Node::Fetch(fetched), "media { title }");
    let answer = value(&plan, &script).await;
    assert_eq!(answer["data"], json!({"media": [{"title": null}]}));
    let errors = answer["errors"].as_array().expect("errors");
    let told: Vec<(&Value, &Value)> = errors
        .iter()
        .map(|error| (&error["message"], &error["path"]))
        .collect();
    let (ours, whole) = (json!("the subgraph reported an error"), json!(["media"]));
    assert_eq!(
        told,
        [
            (&json!("a"), &json!(["media", 0, "title"])),
            (&json!("b"), &json!(["media", 0])),
            (&json!("c"), &whole),
            (&json!("d"), &whole),
            (&ours, &whole),
            (&ours, &whole),
        ]
    );
}

#[tokio::test]
async fn null_goes_up_to_the_next_place_that_may_be_null_and_is_told_once() {
    let cases = [
        // A field that may not be null takes its object along.
        (
            r#"{"user":{"email":null}}"#,
            "user { email }",
            json!({"user": null}),
            Some(json!(["user", "email"])),
        ),
        // A field that is not there at all is the same.
        (
            r#"{"user":{}}"#,
            "user { email }",
            json!({"user": null}),
            Some(json!(["user", "email"])),
        ),
        // An element that may not be null takes its list along.
        (
            r#"{"user":{"orders":[{"id":"1"},null]}}"#,
            "user { name orders { id } }",
            json!({"user": {"name": null, "orders": null}}),
            Some(json!(["user", "orders", 1])),
        ),
        // Up to the root.
        (
            r#"{"first":{"email":null}}"#,
            "first { email }",
            Value::Null,
            Some(json!(["first", "email"])),
        ),
        // What may be null is null and no error.
        (
            r#"{"user":{"name":null,"friends":[null,[null]]}}"#,
            "user { name friends { id } }",
            json!({"user": {"name": null, "friends": [null, [null]]}}),
            None,
        ),
    ];
    for (data, selection, expected, path) in cases {
        let script = Script::new().answer("users", format!(r#"{{"data":{data}}}"#));
        let answer = value(&query(fetch("users", "user"), selection), &script).await;
        assert_eq!(answer["data"], expected, "{data}");
        let told: Vec<&Value> = answer["errors"].as_array().into_iter().flatten().collect();
        let paths: Vec<&Value> = told.iter().map(|error| &error["path"]).collect();
        assert_eq!(paths, path.iter().collect::<Vec<_>>(), "{data}");
    }
}

#[tokio::test]
async fn null_that_an_error_explains_is_not_told_again() {
    let script = Script::new().answer(
        "users",
        r#"{"data":{"user":{"email":null}},"errors":[{"message":"hidden","path":["user","email"]}]}"#,
    );
    let answer = value(&query(fetch("users", "user"), "user { email }"), &script).await;
    assert_eq!(answer["data"], json!({"user": null}));
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["errors"][0]["message"], "hidden");
}

#[tokio::test]
async fn values_that_the_schema_does_not_know_are_null_and_told() {
    let cases = [
        (r#"{"role":"ADMIN"}"#, "role", json!("ADMIN"), false),
        (r#"{"role":"ROOT"}"#, "role", Value::Null, true),
        (r#"{"role":7}"#, "role", Value::Null, true),
        (r#"{"age":"7"}"#, "age", Value::Null, true),
        (r#"{"age":{"n":7}}"#, "age", Value::Null, true),
        (r#"{"name":7}"#, "name", Value::Null, true),
        (r#"{"active":"true"}"#, "active", Value::Null, true),
        (r#"{"best":[{"id":"1"}]}"#, "best { id }", Value::Null, true),
        (r#"{"best":"x"}"#, "best { id }", Value::Null, true),
        (
            r#"{"orders":{"id":"1"}}"#,
            "orders { id }",
            Value::Null,
            true,
        ),
    ];
    for (user, selection, expected, told) in cases {
        let script = Script::new().answer("users", format!(r#"{{"data":{{"user":{user}}}}}"#));
        let plan = query(fetch("users", "user"), &format!("user {{ {selection} }}"));
        let answer = value(&plan, &script).await;
        let field = selection.split(' ').next().expect("a name");
        assert_eq!(answer["data"]["user"][field], expected, "{user}");
        let path = if told {
            json!(["user", field])
        } else {
            Value::Null
        };
        assert_eq!(answer["errors"][0]["path"], path, "{user}");
    }
    let script = Script::new().answer("users", r#"{"data":{"user":{"roles":["ADMIN","X"]}}}"#);
    let answer = value(&query(fetch("users", "user"), "user { roles }"), &script).await;
    assert_eq!(answer["data"], json!({"user": null}));
    assert_eq!(answer["errors"][0]["path"], json!(["user", "roles", 1]));
}

#[tokio::test]
async fn an_object_of_a_type_that_no_client_may_see_is_null_and_told() {
    let script = Script::new().answer(
        "media",
        r#"{"data":{"media":[{"__typename":"Secret","id":"1"},{"__typename":"Book","id":"2"}]}}"#,
    );
    let answer = value(&query(fetch("media", "media"), "media { id }"), &script).await;
    assert_eq!(answer["data"], json!({"media": [null, {"id": "2"}]}));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNKNOWN_TYPE");
}

#[tokio::test]
async fn an_answer_that_is_none_of_graphql_counts_as_no_answer() {
    let broken = [
        "",
        "<html>",
        "[]",
        "null",
        r#"{"data":"#,
        r#"{"data":[]}"#,
        r#"{"data":"x"}"#,
        "{}",
        r#"{"data":null}"#,
        r#"{"errors":[]}"#,
        r#"{"data":null,"errors":[]}"#,
        r#"{"data":{"_entities":[]},"errors":"x"}"#,
        r#"{"data":{}}"#,
        r#"{"data":{"_entities":null}}"#,
        r#"{"data":{"_entities":{}}}"#,
        r#"{"data":{"_entities":[]}}"#,
        r#"{"data":{"_entities":[null]}}"#,
        r#"{"data":{"_entities":[null,null,null]}}"#,
        r#"{"data":{"_entities":[7,"x"]}}"#,
    ];
    for body in broken {
        let script = Script::new()
            .answer("users", TWO_USERS)
            .answer("orders", body);
        let answer = value(&users_with_orders(), &script).await;
        assert_eq!(
            answer["data"],
            json!({"users": [{"id": "1", "orders": null}, {"id": "2", "orders": null}]}),
            "{body}"
        );
        let errors = answer["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 2, "{body}");
        for error in errors {
            assert_eq!(error["extensions"]["code"], "SUBGRAPH_MALFORMED", "{body}");
        }
    }
}

#[tokio::test]
async fn errors_without_data_are_told_and_explain_what_is_missing() {
    let script = Script::new()
        .answer("users", TWO_USERS)
        .answer("orders", r#"{"errors":[{"message":"not today"}]}"#);
    let answer = value(&users_with_orders(), &script).await;
    assert_eq!(
        answer["errors"],
        json!([{
            "message": "not today",
            "path": ["users"],
            "extensions": {"code": "SUBGRAPH_ERROR", "service": "orders"},
        }])
    );
}

#[tokio::test]
async fn an_error_without_a_path_gets_that_of_what_was_fetched() {
    let refused = r#"{"errors":[{"message":"not you"}]}"#;
    let user = r#"{"data":{"user":{"__typename":"User","id":"1"}}}"#;
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "user"),
            entities("orders", "user", "...User{__typename id}", "orders"),
        ]),
        "user { orders { id } }",
    );
    let script = Script::new().answer("users", refused);
    assert_eq!(
        value(&plan, &script).await["errors"][0]["path"],
        json!(["user"])
    );
    let script = Script::new()
        .answer("users", user)
        .answer("orders", refused);
    assert_eq!(
        value(&plan, &script).await["errors"][0]["path"],
        json!(["user", "orders"])
    );
}

#[tokio::test]
async fn one_batch_may_fail_beside_another() {
    let script = Script::new()
        .answer(
            "users",
            r#"{"data":{"user":{"__typename":"User","id":"1"},"product":{"__typename":"Product","upc":"1"}}}"#,
        )
        .answer("all", r#"{"data":{"_e0":[{"name":"U"}],"_e1":[]}}"#);
    let batches = vec![
        batch("_e0", "user", "...User{__typename id}", "name"),
        batch("_e1", "product", "...Product{__typename upc}", "name price"),
    ];
    let plan = query(
        Node::Sequence(vec![
            fetch("users", "user product"),
            Node::Entities(entity_fetch("all", batches)),
        ]),
        "user { name } product { name price }",
    );
    let answer = value(&plan, &script).await;
    assert_eq!(
        answer["data"],
        json!({"user": {"name": "U"}, "product": {"name": null, "price": null}})
    );
    // More than one field is missing: the entity is named.
    assert_eq!(answer["errors"][0]["path"], json!(["product"]));
}

#[tokio::test]
async fn what_depends_on_a_failed_fetch_is_not_asked_for() {
    let script = Script::new()
        .answer(
            "products",
            r#"{"data":{"product":{"__typename":"Product","upc":"1"}}}"#,
        )
        .fail("prices", FetchErrorKind::Status(503));
    let plan = query(
        Node::Sequence(vec![
            fetch("products", "product"),
            entities("prices", "product", "...Product{__typename upc}", "price"),
            entities(
                "shipping",
                "product",
                "...Product{__typename upc price}",
                "estimate",
            ),
        ]),
        "product { upc estimate }",
    );
    let answer = value(&plan, &script).await;
    assert_eq!(
        answer["data"],
        json!({"product": {"upc": "1", "estimate": null}})
    );
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["errors"][0]["path"], json!(["product"]));
    assert_eq!(script.bodies().len(), 2);
}

#[tokio::test]
async fn messages_of_subgraphs_can_be_withheld() {
    let script = Script::new().answer(
        "users",
        r#"{"data":{"user":null},"errors":[{"message":"secret","path":["user"],"extensions":{"code":"X"}}]}"#,
    );
    let config = Config {
        expose_messages: false,
        ..Config::default()
    };
    let plan = query(fetch("users", "user"), "user { id }");
    let answer = answer(&shop(), &plan, &[], &script, &config).await;
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(
        body["errors"],
        json!([{
            "message": "the subgraph reported an error",
            "path": ["user"],
            "extensions": {"code": "X", "service": "users"},
        }])
    );
}
