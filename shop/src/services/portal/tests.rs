//! What a browser is given by the portal.

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::pages;

/// Every file, and what it says that it is.
const FILES: [(&str, &str); 4] = [
    ("/", "text/html; charset=utf-8"),
    ("/app.js", "text/javascript; charset=utf-8"),
    ("/app.css", "text/css; charset=utf-8"),
    ("/favicon.svg", "image/svg+xml"),
];

async fn ask(method: Method, path: &str, known: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(known) = known {
        request = request.header(header::IF_NONE_MATCH, known);
    }
    let request = request.body(Body::empty()).expect("a request");
    pages::router().oneshot(request).await.expect("infallible")
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}

fn said<'r>(response: &'r Response<Body>, name: &str) -> &'r str {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("no {name}"));
    value.to_str().expect("text")
}

#[tokio::test]
async fn every_file_comes_with_the_rules_that_a_browser_keeps() {
    for (path, media_type) in FILES {
        let response = ask(Method::GET, path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(said(&response, "content-type"), media_type, "{path}");
        assert_eq!(said(&response, "cache-control"), "no-cache", "{path}");
        assert_eq!(said(&response, "x-content-type-options"), "nosniff");
        assert_eq!(said(&response, "referrer-policy"), "no-referrer");
        assert_eq!(said(&response, "cross-origin-opener-policy"), "same-origin");
        let policy = said(&response, "content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        for hole in ["unsafe", "*", "data:", "http"] {
            assert!(!policy.contains(hole), "{policy}");
        }
        assert!(!text(response).await.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again() {
    for (path, _) in FILES {
        let first = ask(Method::GET, path, None).await;
        let tag = said(&first, "etag").to_owned();
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            let again = ask(Method::GET, path, Some(&known)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} {known}");
            assert_eq!(said(&again, "etag"), tag);
            assert_eq!(text(again).await, "");
        }
        let changed = ask(Method::GET, path, Some("\"other\"")).await;
        assert_eq!(changed.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_head_says_the_same_without_the_file() {
    let head = ask(Method::HEAD, "/app.js", None).await;
    let whole = ask(Method::GET, "/app.js", None).await;
    assert_eq!(said(&head, "etag"), said(&whole, "etag"));
    assert_eq!(
        said(&head, "content-length"),
        said(&whole, "content-length")
    );
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn what_is_no_file_is_no_page() {
    for path in [
        "/index.html",
        "/api/v1/products",
        "/app.js/x",
        "/../Cargo.toml",
    ] {
        let response = ask(Method::GET, path, None).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let response = ask(Method::POST, "/", None).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// A page that breaks its own policy would show nothing.
#[tokio::test]
async fn the_page_has_nothing_inline_and_nothing_of_others() {
    let page = text(ask(Method::GET, "/", None).await).await;
    assert!(page.contains("src=\"/app.js\""), "{page}");
    assert!(page.contains("href=\"/app.css\""), "{page}");
    for foreign in ["<style", "style=", "onload", "http:", "https:", "//"] {
        assert!(!page.contains(foreign), "{foreign} in {page}");
    }
    assert_eq!(page.matches("<script").count(), 1, "{page}");
}
