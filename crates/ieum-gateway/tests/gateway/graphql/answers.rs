//! What clients are answered, and what subgraphs are asked for it.

use ieum_testkit::{Request, TempFolder};
use serde_json::{Value, json};

use super::shop::{self, QUERY};
use super::{ask, graph, post, settings, wait_until_composed};
use crate::support::{assert_problem, gateway};

#[test]
fn one_answer_from_two_services_with_one_fetch_each() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let answer = ask(&world, QUERY).expect(200).expect("JSON");
    assert_eq!(answer, json!({ "data": shop::answer() }));
    let (asked, followed) = (users.fetches(), orders.fetches());
    assert_eq!((asked.len(), followed.len()), (1, 1));
    assert_eq!(asked[0].target, "/graphql");
    assert_eq!(followed[0].target, "/base/api/graphql");
    assert_eq!(asked[0].get("content-type"), Some("application/json"));
    let trace = |request: &Request| request.get("traceparent").map(|p| p[3..35].to_owned());
    assert!(trace(&asked[0]).is_some() && trace(&asked[0]) == trace(&followed[0]));
}

#[test]
fn a_query_may_come_by_get() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let target = "/graphql?query=query%20Q(%24id%3AID!)%7Buser(id%3A%24id)%7Bname%7D%7D&variables=%7B%22id%22%3A%227%22%7D";
    let answer = world.get(target).expect(200).expect("JSON");
    assert_eq!(answer, json!({ "data": { "user": { "name": "Kim" } } }));
    let refused = world.get("/graphql?query=mutation%7Brename(id%3A1%2Cname%3A%22x%22)%7Bid%7D%7D");
    assert_eq!(refused.status, 405, "{}", refused.text());
    assert_eq!(users.fetches().len(), 1);
}

#[test]
fn the_status_of_a_refusal_depends_on_what_the_client_accepts() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let wrong = post(&json!({ "query": "{ nobody }" }));
    for (accept, status) in [
        ("application/json", 200),
        ("application/graphql-response+json", 400),
        ("text/html", 406),
    ] {
        let reply = world.send(&wrong.clone().header("accept", accept));
        assert_eq!(reply.status, status, "{accept}: {}", reply.text());
        let answer = reply.json().expect("JSON");
        assert!(answer["errors"][0]["message"].is_string(), "{answer}");
    }
    let text = Request::new("POST", "/graphql").header("content-type", "text/plain");
    assert_eq!(world.send(&text).status, 415);
    let refused =
        r#"ieum_gateway_graphql_operations_total{route="graph",type="unknown",outcome="refused"}"#;
    assert_eq!(world.metric(refused), 4.0);
}

#[test]
fn a_subgraph_that_fails_leaves_the_rest_and_an_error_with_its_path() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "retries = 0");
    orders.answers(500);
    let answer = ask(&world, QUERY).expect(200).expect("JSON");
    assert_eq!(
        answer["data"],
        json!({ "user": { "name": "Kim", "orders": null } })
    );
    let error = &answer["errors"][0];
    assert_eq!(error["path"], json!(["user", "orders"]), "{answer}");
    assert_eq!(error["extensions"]["code"], "SUBGRAPH_STATUS", "{answer}");
    assert!(!answer.to_string().contains(&orders.address()), "{answer}");
    let text = world.handle.metrics_text();
    for line in [
        r#"ieum_gateway_graphql_operations_total{route="graph",type="query",outcome="errors"} 1"#,
        r#"ieum_gateway_graphql_fetches_total{route="graph",subgraph="users",outcome="answered"} 1"#,
        r#"ieum_gateway_graphql_fetches_total{route="graph",subgraph="orders",outcome="failed"} 1"#,
        r#"ieum_gateway_graphql_plans_total{route="graph",cache="miss"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_query_is_asked_again_and_a_mutation_is_not() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    users.answers(503);
    let failed = ask(&world, r#"{ user(id: "7") { name } }"#)
        .json()
        .expect("JSON");
    assert_eq!(failed["data"]["user"], Value::Null);
    assert_eq!(users.fetches().len(), 2, "one more try");
    let mutation = r#"mutation { rename(id: "7", name: "Lee") { name } }"#;
    let failed = ask(&world, mutation).json().expect("JSON");
    assert_eq!(failed["errors"][0]["extensions"]["code"], "SUBGRAPH_STATUS");
    assert_eq!(
        users.fetches().len(),
        3,
        "a mutation may have had its effect"
    );
    users.answers(200);
    let renamed = ask(&world, mutation).expect(200).expect("JSON");
    assert_eq!(renamed["data"]["rename"]["name"], "Kim");
}

#[test]
fn what_claims_an_identity_does_not_reach_a_subgraph() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let request = post(&json!({ "query": QUERY }))
        .header("x-user-id", "forged")
        .header("x_user_roles", "admin")
        .header("user-id", "forged")
        .header("x-request-id", "r-1")
        .header("accept-language", "ko");
    world.send(&request).expect(200).expect("JSON");
    for request in [&users.fetches()[0], &orders.fetches()[0]] {
        for name in ["x-user-id", "x_user_roles", "user-id"] {
            assert_eq!(request.get(name), None, "{name}");
        }
        assert_eq!(request.get("x-request-id"), Some("r-1"));
        assert_eq!(request.get("accept-language"), Some("ko"));
    }
}

#[test]
fn the_identity_of_a_valid_token_reaches_each_subgraph() {
    let secret = "a secret of more than thirty-two bytes";
    let folder = TempFolder::new().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, secret).expect("written");
    let (users, orders) = (shop::users(), shop::orders());
    let jwt = format!(
        "[gateway.jwt]\nkeys = [{{ kid = 'k1', algorithm = 'HS256', secret-file = '{}' }}]\n",
        file.display()
    );
    let route = settings(&users, &orders, "").replace("auth = \"none\"", "auth = \"jwt\"");
    let world = gateway(&format!("{jwt}{route}"));
    wait_until_composed(&world);
    let request = post(&json!({ "query": QUERY })).header("x-user-id", "forged");
    assert_problem(&world.send(&request), 401, "Unauthorized", "IEUM-1020");
    assert_eq!(users.fetches().len(), 0);
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("k1".to_owned());
    let claims = json!({ "userId": "u-1", "exp": 4_000_000_000_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&header, &claims, &key).expect("signed");
    let request = request.bearer(&token);
    world.send(&request).expect(200).expect("JSON");
    for request in [&users.fetches()[0], &orders.fetches()[0]] {
        assert_eq!(request.get("x-user-id"), Some("u-1"));
        assert_eq!(request.get("authorization"), None);
    }
}

#[test]
fn a_body_that_would_have_to_be_decompressed_or_is_too_large_is_refused() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "max-body = \"1KiB\"");
    let body = post(&json!({ "query": QUERY }));
    let reply = world.send(&body.clone().header("content-encoding", "gzip"));
    assert_problem(&reply, 415, "Unsupported Media Type", "IEUM-1005");
    let reply = world.send(&body.header("content-encoding", "identity"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let large = json!({ "query": QUERY, "extensions": { "x": "x".repeat(2_000) } });
    let reply = world.send(&post(&large));
    assert_problem(&reply, 413, "Content Too Large", "IEUM-1003");
    let length = format!("{:x}", 2_000);
    let chunked = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{length}\r\n{}\r\n0\r\n\r\n",
        " ".repeat(2_000)
    );
    let reply = world.raw(chunked.as_bytes());
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
}

#[test]
fn the_schema_is_shown_only_where_the_route_says_so() {
    let (users, orders) = (shop::users(), shop::orders());
    let hidden = graph(&users, &orders, "");
    let query = "{ __schema { queryType { name } } }";
    let answer = ask(&hidden, query).json().expect("JSON");
    assert!(answer["errors"][0]["message"].is_string(), "{answer}");
    assert_eq!(answer.get("data"), None, "{answer}");
    let shown = gateway(
        &settings(&users, &orders, "").replace("refresh =", "introspection = true\nrefresh ="),
    );
    wait_until_composed(&shown);
    let answer = ask(&shown, query).expect(200).expect("JSON");
    assert_eq!(answer["data"]["__schema"]["queryType"]["name"], "Query");
}
