//! What the specification and its audit ask for, without a server.

use ::http::HeaderName;

use super::*;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_str(value).expect("a header's value");
        headers.append(name, value);
    }
    headers
}

#[test]
fn the_accepted_media_type_is_answered() {
    let response = Some(Media::GraphqlResponse);
    let json = Some(Media::Json);
    for (accept, expected) in [
        ("application/graphql-response+json", response),
        ("application/json", json),
        ("*/*", json),
        ("application/*", json),
        (
            "application/json, application/graphql-response+json",
            response,
        ),
        (
            "application/graphql-response+json;q=0.5, application/json",
            json,
        ),
        (
            "application/graphql-response+json; charset=utf-8, application/json; q=0.9",
            response,
        ),
        ("APPLICATION/JSON", json),
        ("text/html, */*;q=0.1", json),
        ("application/json;q=0, */*", response),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=2", None),
        ("", None),
    ] {
        let negotiated = negotiate(&headers(&[(::http::header::ACCEPT, accept)]));
        assert_eq!(negotiated.ok(), expected, "{accept}");
    }
    assert_eq!(negotiate(&HeaderMap::new()).ok(), json);
    let two = headers(&[
        (::http::header::ACCEPT, "text/html"),
        (::http::header::ACCEPT, "application/graphql-response+json"),
    ]);
    assert_eq!(negotiate(&two).ok(), response);
}

fn post(content_type: Option<&str>, body: &str) -> Result<Request, Rejection> {
    let headers = match content_type {
        Some(value) => headers(&[(CONTENT_TYPE, value)]),
        None => HeaderMap::new(),
    };
    read(
        &Method::POST,
        &Uri::from_static("/"),
        &headers,
        body.as_bytes(),
    )
}

#[test]
fn a_posted_body_must_be_json_in_utf_8() {
    let body = r#"{"query":"{ __typename }"}"#;
    for accepted in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"UTF-8\"",
    ] {
        assert!(post(Some(accepted), body).is_ok(), "{accepted}");
    }
    for refused in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
        "application/jsonx",
        "",
    ] {
        let rejection = post(Some(refused), body).expect_err(refused);
        assert_eq!(status(Media::Json, rejection.reason()), 415, "{refused}");
    }
    let rejection = post(None, body).expect_err("no content-type");
    assert_eq!(status(Media::GraphqlResponse, rejection.reason()), 415);
}

#[test]
fn what_is_not_a_graphql_request_is_answered_400() {
    for body in [
        "",
        "{ \"not a JSON",
        r#"{"qeury":"{a}"}"#,
        r#"{"query":0}"#,
        r#"{"query":["a"]}"#,
    ] {
        let rejection = post(Some("application/json"), body).expect_err(body);
        for media in [Media::Json, Media::GraphqlResponse] {
            let response = rejected(media, &rejection);
            assert_eq!(response.status(), 400, "{body}");
            assert_eq!(response.headers()[CONTENT_TYPE], media.content_type());
        }
    }
}

#[test]
fn a_query_string_has_the_same_parameters() {
    let get = |text: &str| {
        let uri: Uri = format!("/graphql?{text}").parse().expect("a URI");
        read(&Method::GET, &uri, &HeaderMap::new(), b"")
    };
    let request =
        get("query=query+Q($n:%20ID!)%7Ba%7D&operationName=Q&variables=%7B%22n%22:1%7D&x")
            .expect("a request");
    assert_eq!(request.query, "query Q($n: ID!){a}");
    assert_eq!(request.operation_name.as_deref(), Some("Q"));
    assert_eq!(request.variables.expect("variables").get(), r#"{"n":1}"#);
    assert!(get("query={a}&variables=null&extensions={}").is_ok());
    for wrong in [
        "",
        "operationName=Q",
        "query={a}&query={b}",
        "query=%ff",
        "query={a}&variables=[]",
        "query={a}&variables=",
    ] {
        let rejection = get(wrong).expect_err(wrong);
        assert_eq!(rejection.reason(), Reason::Malformed, "{wrong}");
    }
}

#[test]
fn other_methods_and_mutations_by_get_are_answered_405_with_what_is_allowed() {
    let rejection = read(&Method::PUT, &Uri::from_static("/"), &HeaderMap::new(), b"");
    let response = rejected(Media::Json, &rejection.expect_err("a PUT"));
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()[ALLOW], "GET, POST");

    let rejection = Rejection::new(Reason::MutationNotAllowed, "");
    let response = rejected(Media::GraphqlResponse, &rejection);
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()[ALLOW], "POST");
}

#[test]
fn a_wrong_document_is_200_for_old_clients_and_400_for_new_ones() {
    for reason in [
        Reason::Syntax,
        Reason::Validation,
        Reason::Operation,
        Reason::Variables,
    ] {
        assert_eq!(status(Media::Json, reason), 200);
        assert_eq!(status(Media::GraphqlResponse, reason), 400);
    }
    let body = rejected(Media::Json, &Rejection::new(Reason::Syntax, "no \"data\"")).into_body();
    assert_eq!(
        body,
        r#"{"errors":[{"message":"no \"data\"","extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]}"#
    );
}
