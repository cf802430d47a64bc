//! Operations of GraphQL.

use bytes::Bytes;
use http::{Response, StatusCode};
use ieum_base::{ByteSize, Fault, Retry};
use ieum_client::ErrorKind as CallErrorKind;
use ieum_client::graphql::{Error, ErrorKind, Segment};
use ieum_http::Problem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::setup::{Stub, set_up, users};

const QUERY: &str = "query Orders($id: ID!) { user(id: $id) { name orders { id total } } }";
const MUTATION: &str = "mutation Rename { rename { id } }";
const RESPONSE: &str = "application/graphql-response+json";

#[derive(Debug, PartialEq, Deserialize)]
struct Answer {
    user: Option<User>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct User {
    name: String,
    orders: Option<Vec<Value>>,
}

fn told(status: u16, media: &str, body: &Value) -> Response<Bytes> {
    let answer = Response::builder()
        .status(status)
        .header("content-type", media);
    answer.body(Bytes::from(body.to_string())).expect("valid")
}

/// What a client makes of this answer.
async fn read(status: u16, media: &'static str, body: Value) -> Result<Answer, Error> {
    let stub = Stub::start(move |_| told(status, media, &body));
    let setup = set_up(|config| config.retry.retries = 0);
    users(&setup, &[stub.address]).graphql(QUERY).send().await
}

fn kim(orders: &Value) -> Value {
    json!({ "user": { "name": "김이음", "orders": orders } })
}

#[tokio::test]
async fn an_operation_is_sent_as_graphql_over_http_says_and_read_into_a_type() {
    let orders = json!([{ "id": "o-1", "total": 200 }]);
    let body = json!({ "data": kim(&orders) });
    let stub = Stub::start(move |_| told(200, RESPONSE, &body));
    let setup = set_up(|_| {});
    let users = users(&setup, &[stub.address]);
    let call = users
        .graphql(QUERY)
        .name("Orders")
        .variable("id", "u-1")
        .variables(&json!({ "first": 3 }))
        .on_behalf_of("u-1", &["buyer"])
        .header("x-extra", "1");
    let answer: Answer = call.send().await.expect("answered");
    let user = answer.user.expect("known");
    assert_eq!(
        (user.name.as_str(), user.orders),
        ("김이음", orders.as_array().cloned())
    );

    for (name, value) in [
        ("content-type", "application/json"),
        (
            "accept",
            "application/graphql-response+json, application/json;q=0.9",
        ),
        ("x-user-id", "u-1"),
        ("x-extra", "1"),
    ] {
        assert_eq!(stub.header(0, name).as_deref(), Some(value), "{name}");
    }
    let (parts, body) = stub.seen.lock().expect("not poisoned")[0].clone();
    assert_eq!(
        (parts.method.as_str(), parts.uri.path()),
        ("POST", "/graphql")
    );
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let variables = json!({ "id": "u-1", "first": 3 });
    assert_eq!(
        body,
        json!({ "query": QUERY, "operationName": "Orders", "variables": variables })
    );

    let span = setup.spans.0.lock().expect("not poisoned")[0].clone();
    let attribute = |name| {
        let mut all = span.attributes.iter();
        all.find_map(|(is, value)| (is == name).then(|| format!("{value:?}")))
    };
    assert!(attribute("graphql.operation.type").is_some_and(|v| v.contains("query")));
    assert!(attribute("graphql.operation.name").is_some_and(|v| v.contains("Orders")));
    assert!(!format!("{span:?}").contains("u-1"), "no variable is told");
}

#[tokio::test]
async fn a_query_is_repeated_and_a_mutation_only_with_a_key() {
    for (document, key, repeated) in [
        (QUERY, None, true),
        (MUTATION, None, false),
        (MUTATION, Some("k-1"), true),
        ("query A { a } mutation B { b }", None, false),
    ] {
        let stub = Stub::start(|nth| match nth {
            0 => told(503, RESPONSE, &json!({ "errors": [] })),
            _ => told(200, RESPONSE, &json!({ "data": {} })),
        });
        let setup = set_up(|_| {});
        let users = users(&setup, &[stub.address]);
        let call = users.graphql(document).name("A");
        let call = key.iter().fold(call, |call, key| call.idempotency_key(key));
        let answer = call.send::<Value>().await;
        assert_eq!(answer.is_ok(), repeated, "{document} {key:?}: {answer:?}");
        assert_eq!(stub.count(), if repeated { 2 } else { 1 });
    }
}

#[tokio::test]
async fn what_failed_is_told_with_its_path_and_what_did_not_can_be_used() {
    let error = json!({
        "message": "the orders are away",
        "locations": [{ "line": 1, "column": 2 }],
        "path": ["user", "orders", 0],
        "extensions": { "code": "SUBGRAPH_UNREACHABLE", "service": "orders" },
    });
    let body = json!({ "data": kim(&Value::Null), "errors": [error] });
    let error = read(200, RESPONSE, body).await.expect_err("in part");
    assert_eq!(
        (error.kind(), error.fault(), error.retry()),
        (ErrorKind::Partial, Fault::Upstream, Retry::SOON)
    );
    let report = &error.reports()[0];
    let path = [
        Segment::Field("user".into()),
        Segment::Field("orders".into()),
        Segment::Index(0),
    ];
    assert_eq!(report.path, path);
    assert_eq!(report.extensions["service"], "orders");
    assert_eq!(
        error.to_string(),
        "`users` answered the operation in part: user.orders[0]: the orders are away"
    );
    let answer: Answer = error.data().expect("it fits").expect("there");
    let user = answer.user.expect("known");
    assert_eq!((user.name.as_str(), user.orders), ("김이음", None));
    let misfit = error.data::<Vec<u8>>().expect_err("another shape");
    let misfit = misfit.failed_call().expect("a call");
    assert_eq!(misfit.kind(), CallErrorKind::Decode);
}

#[tokio::test]
async fn a_refusal_is_told_from_a_failed_part_and_from_a_failed_call() {
    let errors = |code: &str| json!([{ "message": "no", "extensions": { "code": code } }]);
    let refused = json!({ "errors": errors("GRAPHQL_VALIDATION_FAILED") });
    let denied = json!({ "data": null, "errors": errors("FORBIDDEN") });
    let busy = json!({ "errors": errors("PLANNING_TIMEOUT") });
    for (status, body, kind, fault, retry) in [
        (
            400,
            refused.clone(),
            ErrorKind::Refused,
            Fault::Caller,
            Retry::Never,
        ),
        (
            200,
            refused,
            ErrorKind::Refused,
            Fault::Caller,
            Retry::Never,
        ),
        (200, denied, ErrorKind::Partial, Fault::Caller, Retry::Never),
        (503, busy, ErrorKind::Refused, Fault::Upstream, Retry::SOON),
    ] {
        let error = read(status, RESPONSE, body).await.expect_err("refused");
        assert_eq!(
            (error.kind(), error.fault(), error.retry()),
            (kind, fault, retry)
        );
        assert!(error.data::<Answer>().expect("nothing").is_none());
    }

    let stub = Stub::start(|_| {
        Problem::new(StatusCode::UNAUTHORIZED)
            .code("no-token")
            .into_response()
    });
    let setup = set_up(|_| {});
    let users = users(&setup, &[stub.address]);
    let answer = users.graphql(QUERY).send::<Answer>().await;
    let error = answer.expect_err("refused on the way");
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Call, Some("no-token"))
    );
    let call = error.failed_call().expect("a call");
    assert_eq!(
        (call.kind(), call.status()),
        (CallErrorKind::Rejected, Some(StatusCode::UNAUTHORIZED))
    );
}

#[tokio::test]
async fn plain_json_is_an_answer_only_if_the_status_says_so() {
    let good = json!({ "data": kim(&json!([])) });
    let read_as = async |status, media, body: &Value| {
        let answer = read(status, media, body.clone()).await;
        answer.map_err(|error| error.failed_call().map(ieum_client::Error::kind))
    };
    assert!(
        read_as(200, "application/json; charset=utf-8", &good)
            .await
            .is_ok()
    );
    assert!(read_as(500, RESPONSE, &good).await.is_ok());
    for (status, media, body, kind) in [
        (400, "application/json", &good, CallErrorKind::Rejected),
        (502, "application/json", &good, CallErrorKind::Unavailable),
        (200, "text/html", &good, CallErrorKind::Decode),
        (200, RESPONSE, &json!({}), CallErrorKind::Decode),
        (200, RESPONSE, &json!([]), CallErrorKind::Decode),
        (
            200,
            RESPONSE,
            &json!({ "data": { "user": 1 } }),
            CallErrorKind::Decode,
        ),
    ] {
        let answer = read_as(status, media, body).await;
        assert_eq!(answer, Err(Some(kind)), "{status} {media} {body}");
    }
}

#[tokio::test]
async fn an_operation_is_bounded_and_what_cannot_be_sent_is_said() {
    let body = json!({ "data": kim(&json!(vec![1; 1_000])) });
    let stub = Stub::start(move |_| told(200, RESPONSE, &body));
    let setup = set_up(|config| config.max_answer = ByteSize(100));
    let users = users(&setup, &[stub.address]);
    let error = users.graphql(QUERY).send::<Answer>().await;
    let error = error.expect_err("too large");
    let call = error.failed_call().expect("a call");
    assert_eq!(call.kind(), CallErrorKind::Decode);
    let before = stub.count();
    for operation in [
        users.graphql(QUERY).at("graphql"),
        users.graphql(QUERY).variables("no object"),
        users.graphql(QUERY).header("a b", "c"),
    ] {
        let error = operation.send::<Answer>().await.expect_err("invalid");
        let call = error.failed_call().expect("a call");
        assert_eq!(call.kind(), CallErrorKind::Invalid);
    }
    assert_eq!(stub.count(), before);
}

#[tokio::test]
async fn a_service_is_asked_by_its_name() {
    let setup = set_up(|_| {});
    let error = setup.client.graphql("shop", "{ a }").send::<Value>().await;
    let error = error.expect_err("nobody");
    assert_eq!((error.kind(), error.service()), (ErrorKind::Call, "shop"));
    let call = error.failed_call().expect("a call");
    assert_eq!(call.kind(), CallErrorKind::Unavailable);
}
