//! The files of the storefront, and the rules that a browser keeps for them.

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

/// A file of `shop/storefront/dist`.
struct File {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

static FILES: [File; 4] = [
    File {
        path: "/",
        media_type: "text/html; charset=utf-8",
        content: include_bytes!("../../../storefront/dist/index.html"),
    },
    File {
        path: "/app.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../../storefront/dist/app.js"),
    },
    File {
        path: "/app.css",
        media_type: "text/css; charset=utf-8",
        content: include_bytes!("../../../storefront/dist/app.css"),
    },
    File {
        path: "/favicon.svg",
        media_type: "image/svg+xml",
        content: include_bytes!("../../../storefront/dist/favicon.svg"),
    },
];

/// What a page may do: load these files, and ask where it came from. Nothing inline runs, and text
/// becomes markup nowhere.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What holds for every file beside the policy. Always asked for again, and mostly answered 304.
const RULES: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-cache"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The routes: one per file. A path that is no file is no page either.
pub(super) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, file| {
        let tag = tag(file.content);
        let answer = move |asked: HeaderMap| async move { file.answer(tag, &asked) };
        router.route(file.path, get(answer))
    })
}

impl File {
    fn answer(&self, tag: HeaderValue, asked: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        for (name, value) in RULES {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let is_known = is_known(&tag, asked);
        headers.insert(ETAG, tag);
        if is_known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        (headers, self.content).into_response()
    }
}

/// Names what a file says: another build with the same file has the same tag.
fn tag(content: &[u8]) -> HeaderValue {
    let name = URL_SAFE_NO_PAD.encode(&digest(&SHA256, content).as_ref()[..TAG_BYTES]);
    // Letters, digits, `-` and `_` are a header's value.
    HeaderValue::try_from(format!("\"{name}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether who asks has the file with this tag already (RFC 9110, 13.1.2).
fn is_known(tag: &HeaderValue, asked: &HeaderMap) -> bool {
    let given = asked.get_all(IF_NONE_MATCH).iter();
    let mut tags = given.flat_map(|given| given.as_bytes().split(|byte| *byte == b','));
    tags.any(|given| {
        let given = given.trim_ascii();
        let strong = given.strip_prefix(b"W/").unwrap_or(given);
        given == b"*" || strong == tag.as_bytes()
    })
}

/// How much of a file's digest names it.
const TAG_BYTES: usize = 12;
