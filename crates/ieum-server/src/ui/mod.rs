//! The console as a browser loads it: `/ui` and its files.
//!
//! The files are built from `console/` and compiled in, so that a platform without internet and without
//! a folder beside it has its console. They hold no data and need no token: the page asks the API for
//! everything that it shows, with the token that its user gave it.

mod assets;
mod negotiation;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use self::assets::{ASSETS, Asset};
use crate::errors::{self, ApiError};

/// Where the console is.
const HOME: &str = "/ui";

/// What a browser may do with the page: run its own script, show its own style, ask this platform.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What every answer says. `no-cache` asks for the entity tag each time: a page must not outlive the
/// platform that served it.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-cache"),
    (header::VARY, "accept-encoding"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The routes of the console, and `/`, which leads a browser there.
pub(crate) fn routes() -> Router {
    let page = Router::new()
        .route("/", get(front_door))
        .route("/ui/", get(async || Redirect::permanent(HOME)));
    ASSETS.iter().fold(page, |routes, asset| {
        let tag = negotiation::tag(asset.plain);
        let serve = async move |request: Request| answer(asset, &tag, request.headers());
        routes.route(asset.path, get(serve))
    })
}

/// People who type the address of the API want to see something; programs are told that nothing is here.
async fn front_door(uri: Uri, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let is_browser = accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"));
    let mut answer = if is_browser {
        Redirect::temporary(HOME).into_response()
    } else {
        let detail = format!("nothing lives at `{}`", uri.path());
        ApiError::from(errors::NO_SUCH_PATH.problem(detail)).into_response()
    };
    let by_accept = HeaderValue::from_static("accept");
    answer.headers_mut().insert(header::VARY, by_accept);
    answer
}

fn answer(asset: &Asset, tag: &str, asked: &HeaderMap) -> Response {
    let zipped = negotiation::takes_gzip(asked);
    // The two representations are not the same bytes, so their strong tags differ.
    let tag = if zipped {
        format!("\"{tag}-gz\"")
    } else {
        format!("\"{tag}\"")
    };
    let mut answer = if negotiation::is_known(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = if zipped { asset.gzip } else { asset.plain };
        let media_type = [(header::CONTENT_TYPE, asset.media_type)];
        (media_type, body).into_response()
    };
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if zipped && headers.contains_key(header::CONTENT_TYPE) {
        let gzip = HeaderValue::from_static("gzip");
        headers.insert(header::CONTENT_ENCODING, gzip);
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

#[cfg(test)]
mod tests;
