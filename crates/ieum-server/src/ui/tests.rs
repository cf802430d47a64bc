//! The console's files as a browser meets them.

use std::io::Read;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use flate2::read::GzDecoder;
use tower::ServiceExt;

use super::*;

/// The most that the first page may weigh, as it is sent.
const FIRST_PAGE: usize = 300 << 10;

async fn ask(
    method: Method,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> (Response<()>, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let answer = routes().oneshot(request).await.expect("infallible");
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, FIRST_PAGE).await.expect("a body");
    (Response::from_parts(parts, ()), body.to_vec())
}

fn said<'a>(answer: &'a Response<()>, name: &HeaderName) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().expect("a text"))
}

#[test]
fn each_compressed_file_is_the_plain_one() {
    for asset in ASSETS {
        let mut plain = Vec::new();
        let read = GzDecoder::new(asset.gzip).read_to_end(&mut plain);
        assert!(read.is_ok(), "{}", asset.path);
        assert!(plain == asset.plain, "{}: build the console", asset.path);
    }
}

#[test]
fn the_first_page_is_light() {
    let sent: usize = ASSETS.iter().map(|asset| asset.gzip.len()).sum();
    assert!(sent <= FIRST_PAGE, "{sent} bytes");
}

#[test]
fn the_page_refers_to_nothing_that_is_not_served() {
    let page = ASSETS.iter().find(|asset| asset.path == HOME);
    let page = std::str::from_utf8(page.expect("the page").plain).expect("a text");
    let mut references = 0;
    for attribute in ["src=\"", "href=\""] {
        for rest in page.split(attribute).skip(1) {
            let target = rest.split('"').next().expect("a value");
            let served = ASSETS.iter().any(|asset| asset.path == target);
            assert!(served, "{target}");
            references += 1;
        }
    }
    assert!(references >= 2, "a script and a style");
}

#[tokio::test]
async fn every_file_is_served_plain_and_compressed_under_the_policy() {
    for asset in ASSETS {
        let (plain, body) = ask(Method::GET, asset.path, &[]).await;
        assert_eq!(plain.status(), 200, "{}", asset.path);
        assert!(body == asset.plain, "{}", asset.path);
        assert_eq!(said(&plain, &header::CONTENT_TYPE), asset.media_type);
        assert_eq!(said(&plain, &header::CONTENT_ENCODING), "");
        for (name, value) in HEADERS {
            assert_eq!(said(&plain, &name), value, "{}", asset.path);
        }
        let gzip = [(header::ACCEPT_ENCODING, "gzip, br")];
        let (zipped, body) = ask(Method::GET, asset.path, &gzip).await;
        assert!(body == asset.gzip, "{}", asset.path);
        assert_eq!(said(&zipped, &header::CONTENT_ENCODING), "gzip");
        assert_ne!(said(&plain, &header::ETAG), said(&zipped, &header::ETAG));
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let (first, _) = ask(Method::GET, HOME, &[]).await;
    let known = [(header::IF_NONE_MATCH, said(&first, &header::ETAG))];
    let (again, body) = ask(Method::GET, HOME, &known).await;
    assert_eq!((again.status().as_u16(), body.len()), (304, 0));
    assert_eq!(said(&again, &header::ETAG), said(&first, &header::ETAG));
    let old = [(header::IF_NONE_MATCH, "\"an older one\"")];
    let (changed, body) = ask(Method::GET, HOME, &old).await;
    assert_eq!(changed.status(), 200);
    assert!(!body.is_empty());
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let (answer, body) = ask(Method::HEAD, HOME, &[]).await;
    assert_eq!(answer.status(), 200);
    assert!(body.is_empty());
    let length = ASSETS[0].plain.len().to_string();
    assert_eq!(said(&answer, &header::CONTENT_LENGTH), length);
}

#[tokio::test]
async fn the_front_door_leads_browsers_to_the_console_and_nobody_else() {
    let page = [(header::ACCEPT, "text/html,application/xhtml+xml")];
    let (browser, _) = ask(Method::GET, "/", &page).await;
    assert_eq!(browser.status(), 307);
    assert_eq!(said(&browser, &header::LOCATION), HOME);
    let (program, _) = ask(Method::GET, "/", &[]).await;
    assert_eq!(program.status(), 404);
    let (slash, _) = ask(Method::GET, "/ui/", &[]).await;
    assert_eq!(said(&slash, &header::LOCATION), HOME);
    let (unknown, _) = ask(Method::GET, "/ui/nothing.js", &[]).await;
    assert_eq!(unknown.status(), 404);
}
