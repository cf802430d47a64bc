//! A schema over HTTP, its limits, and questions that become one.

use std::sync::Arc;

use async_graphql::{Context, EmptyMutation, Object, SimpleObject};
use axum::Router;
use axum::body::Body;
use http::Request;
use ieum::base::trace::Tracer;
use serde_json::{Value, json};

use super::*;
use crate::support::failure::Failure;
use crate::support::testing::{Who, answer, ask_graph, graph_request};

/// Asks for the doubles of numbers.
type Doubles = Batch<i32, i32>;

struct Query;

#[Object]
impl Query {
    async fn numbers(&self, count: i32) -> Vec<Number> {
        (0..count).map(|value| Number { value }).collect()
    }

    async fn number(&self, value: i32) -> Number {
        Number { value }
    }

    #[graphql(entity)]
    async fn find(&self, ctx: &Context<'_>, value: i32) -> async_graphql::Result<Even> {
        let place = Entities::next(ctx)?;
        Ok(Even { value, place })
    }
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Number {
    value: i32,
}

#[async_graphql::ComplexObject]
impl Number {
    async fn next(&self) -> Number {
        Number {
            value: self.value + 1,
        }
    }

    /// Told with its rank in the question that was asked for all.
    async fn double(&self, ctx: &Context<'_>) -> Option<String> {
        let doubles = shared::<Arc<Doubles>>(ctx).expect("there");
        let ask = |all: Vec<i32>| async move {
            if all.contains(&99) {
                return Err(Failure::invalid("too near to a hundred"));
            }
            Ok(all.into_iter().map(|n| (n, n * 2)).collect())
        };
        let double = doubles.load(self.value, ask).await;
        let rank = doubles.asked();
        let double = tell(ctx, Place::ELSEWHERE, double)?;
        Some(format!("{rank}: {}", double?))
    }
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Even {
    value: i32,
    #[graphql(skip)]
    place: Place,
}

#[async_graphql::ComplexObject]
impl Even {
    async fn half(&self, ctx: &Context<'_>) -> Option<i32> {
        let half = match self.value % 2 {
            0 => Ok(self.value / 2),
            _ => Err(Failure::invalid("odd")),
        };
        tell(ctx, self.place, half)
    }
}

fn routes() -> Router {
    let schema = subgraph(Query, EmptyMutation).finish();
    router(schema, Tracer::off("test"), |request| {
        request.data(Arc::<Doubles>::default())
    })
}

async fn told(query: &str) -> Value {
    ask_graph(&routes(), Who::Nobody, query, json!({})).await
}

#[tokio::test]
async fn questions_of_one_level_are_asked_at_once() {
    let told =
        told("{ numbers(count: 50) { double } number(value: 7) { double next { double } } }");
    let told = &told.await["data"];
    for n in 0..50 {
        assert_eq!(told["numbers"][n]["double"], format!("1: {}", n * 2));
    }
    assert_eq!(told["number"]["double"], "1: 14");
    assert_eq!(told["number"]["next"]["double"], "1: 16");
}

#[tokio::test]
async fn a_question_that_fails_fails_for_all_who_asked() {
    let told = told("{ numbers(count: 4) { value double } number(value: 99) { double } }").await;
    let errors = told["errors"].as_array().expect("errors");
    let mut paths: Vec<_> = errors.iter().map(|e| e["path"].to_string()).collect();
    paths.sort();
    assert_eq!(paths.len(), 5);
    assert_eq!(paths[4], r#"["numbers",3,"double"]"#);
    let three = json!({ "value": 3, "double": null });
    assert_eq!(told["data"]["numbers"][3], three);
}

#[tokio::test]
async fn who_asks_after_the_first_went_away_is_not_left_waiting() {
    let batch = Doubles::default();
    let ask = |all: Vec<i32>| async move { Ok(all.into_iter().map(|n| (n, n * 2)).collect()) };
    {
        let mut first = Box::pin(batch.load(1, ask));
        assert!(futures_util::poll!(&mut first).is_pending());
    }
    assert_eq!(batch.load(2, ask).await.expect("asked"), Some(4));
    assert_eq!(batch.asked(), 1);
}

#[tokio::test]
async fn an_error_names_the_entity_that_it_belongs_to() {
    let query = "{
        a: _entities(representations: [{ __typename: \"Even\", value: 2 }, { __typename: \"Even\", value: 3 }]) { ... on Even { half } }
        b: _entities(representations: [{ __typename: \"Even\", value: 5 }]) { ... on Even { half } } }";
    let told = told(query).await;
    let data = json!({ "a": [{ "half": 1 }, { "half": null }], "b": [{ "half": null }] });
    assert_eq!(told["data"], data);
    let errors = told["errors"].as_array().expect("errors");
    let mut paths: Vec<_> = errors.iter().map(|e| e["path"].to_string()).collect();
    paths.sort();
    assert_eq!(paths, [r#"["a",1,"half"]"#, r#"["b",0,"half"]"#]);
}

#[tokio::test]
async fn a_document_beyond_a_limit_is_not_executed() {
    let deep = format!("{{ number(value: 1) {} }}", nested(12));
    let wide: String = (0..600)
        .map(|n| format!("a{n}: number(value: {n}) {{ value }} "))
        .collect();
    let bomb: String = (0..12)
        .map(|n| {
            format!(
                "fragment f{n} on Number {{ next {{ ...f{m} ...f{m} }} }} ",
                m = n + 1
            )
        })
        .collect();
    let bomb =
        format!("{{ number(value: 1) {{ ...f0 }} }} {bomb} fragment f12 on Number {{ value }}");
    let wide_bomb: String = (0..15)
        .map(|n| {
            format!(
                "fragment g{n} on Number {{ {} }} ",
                format!("...g{} ", n + 1).repeat(8)
            )
        })
        .collect();
    let wide_bomb = format!(
        "{{ number(value: 1) {{ ...g0 }} }} {wide_bomb} fragment g15 on Number {{ value }}"
    );
    let cycle = "{ number(value: 1) { ...c } } fragment c on Number { value ...c }".to_owned();
    let brackets = ["{ a", "[", "{ a(b: ["].map(|open| open.repeat(2_000));
    let long = format!("{{ number(value: 1) {{ value }} }} #{}", " ".repeat(20_000));
    let refused = [deep, format!("{{ {wide} }}"), bomb, wide_bomb, cycle, long];
    for query in refused.into_iter().chain(brackets) {
        let body = json!({ "query": query });
        let (status, told) = answer(&routes(), graph_request(Who::Nobody, &body)).await;
        assert_eq!(status, 400, "{told}");
        assert!(told.get("data").is_none(), "{told}");
        assert!(told["errors"][0]["message"].is_string(), "{told}");
    }
}

fn nested(depth: usize) -> String {
    format!(
        "{}{{ value }}{}",
        "{ next ".repeat(depth),
        "}".repeat(depth)
    )
}

#[tokio::test]
async fn types_are_told_for_federation_and_not_by_introspection() {
    let sdl = told("{ _service { sdl } }").await;
    let sdl = sdl["data"]["_service"]["sdl"].as_str().expect("a schema");
    assert!(
        sdl.contains("https://specs.apollo.dev/federation/v2"),
        "{sdl}"
    );
    assert!(sdl.contains("@key(fields: \"value\")"), "{sdl}");
    let told = told("{ __schema { types { name } } }").await;
    assert!(told["data"]["__schema"].is_null(), "{told}");
}

#[tokio::test]
async fn requests_and_answers_have_the_media_types_of_graphql_over_http() {
    let request = |accept: &'static str, content: &'static str, body: &str| {
        let request = Request::post("/graphql").header("content-type", content);
        let request = request.header("accept", accept);
        request.body(Body::from(body.to_owned())).expect("valid")
    };
    const JSON: &str = "application/json";
    const RESPONSE: &str = "application/graphql-response+json";
    let good = r#"{"query":"{ number(value: 1) { value } }"}"#;
    let wrong = r#"{"query":"{ number"}"#;
    for (accept, content, body, status) in [
        (JSON, JSON, good, 200),
        (RESPONSE, "application/json; charset=utf-8", good, 200),
        ("text/html, */*;q=0.1", JSON, good, 200),
        (JSON, JSON, wrong, 200),
        (RESPONSE, JSON, wrong, 400),
        (RESPONSE, JSON, "[]", 400),
        (JSON, JSON, "{", 400),
        (JSON, "text/plain", good, 415),
        (JSON, "application/x-www-form-urlencoded", good, 415),
        ("text/html", JSON, good, 406),
    ] {
        let (got, told) = answer(&routes(), request(accept, content, body)).await;
        assert_eq!(got, status, "{accept} {content} {body}: {told}");
        assert_eq!(told.get("data").is_some(), body == good && status == 200);
    }
}
