//! Who may call the platform API: the token, the host, the origin.
//!
//! On loopback without a token, any program of this machine may call. A web page may not: a browser
//! tells the page's origin, and a page that made its own name point here (DNS rebinding) shows in
//! the `Host` header, which must be an address, `localhost`, or a configured name.
//!
//! The console's own files hold no data: they need no token, and a link on a page elsewhere may lead to
//! the console. What the console then asks comes from its own origin and is asked for the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use ieum_base::Secret;

use crate::errors::{self, ApiError, ApiResult};

/// The rules of one API listener.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    token: Option<Secret>,
    hosts: Arc<[String]>,
}

/// Load balancers ask this without a token; it tells nothing that is secret.
const HEALTH: &str = "/health";
/// The console's page; its files are below.
const CONSOLE: &str = "/ui";

impl Guard {
    /// Asks for `token` if there is one; `hosts` are accepted beside addresses and `localhost`.
    pub(crate) fn new(token: Option<Secret>, hosts: &[String]) -> Self {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase());
        Self {
            token,
            hosts: hosts.collect(),
        }
    }

    fn admit(&self, request: &Request) -> ApiResult<()> {
        let headers = request.headers();
        let host = host_of(request);
        if let Some(host) = &host {
            self.check_host(host)?;
        }
        if !is_visit(request) {
            check_origin(headers, host.as_deref())?;
        }
        if is_open(request.uri().path()) {
            return Ok(());
        }
        self.check_token(headers)
    }

    fn check_host(&self, authority: &str) -> ApiResult<()> {
        let host = authority.parse::<Authority>().ok();
        let host = host.as_ref().map(|authority| authority.host());
        let known = host.is_some_and(|host| {
            let host = host.to_ascii_lowercase();
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let is_address = bare.parse::<std::net::IpAddr>().is_ok();
            is_address || host == "localhost" || self.hosts.contains(&host)
        });
        if known {
            return Ok(());
        }
        // Not the whole: a URL with credentials was perhaps written where a host belongs.
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let detail = format!("the API is not known as `{host}`");
        Err(errors::FOREIGN_HOST.problem(detail).into())
    }

    fn check_token(&self, headers: &HeaderMap) -> ApiResult<()> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let bearer = headers.get(header::AUTHORIZATION).map(|v| v.as_bytes());
        let bearer = bearer.and_then(|value| {
            let (scheme, token) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        });
        let consul = headers.get("x-consul-token").map(|v| v.as_bytes());
        let sent = bearer.or(consul).unwrap_or_default();
        if same(sent, token.expose().as_bytes()) {
            Ok(())
        } else {
            let detail = "send `Authorization: Bearer TOKEN`";
            Err(errors::TOKEN_REQUIRED.problem(detail).into())
        }
    }
}

/// Lets a request through, or answers why not.
pub(crate) async fn admit(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    guard.admit(&request)?;
    Ok(next.run(request).await)
}

fn host_of(request: &Request) -> Option<String> {
    let header = request.headers().get(header::HOST);
    match (header, request.uri().authority()) {
        (Some(host), _) => Some(host.to_str().unwrap_or("?").to_owned()),
        (None, authority) => authority.map(ToString::to_string),
    }
}

/// True for what tells nothing of the platform: `/` only leads to the console.
fn is_open(path: &str) -> bool {
    let below = path.strip_prefix(CONSOLE);
    let is_console = below.is_some_and(|below| below.is_empty() || below.starts_with('/'));
    is_console || path == "/" || path == HEALTH
}

/// True if a person follows a link to the console: the page opens on its own, and not in a frame or by a
/// script, so that the page with the link sees nothing of it.
fn is_visit(request: &Request) -> bool {
    let headers = request.headers();
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
    let to_console = matches!(request.uri().path(), CONSOLE | "/ui/");
    to_console
        && matches!(*request.method(), Method::GET | Method::HEAD)
        && !headers.contains_key(header::ORIGIN)
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// A browser names the origin of the page that asks; programs name none.
fn check_origin(headers: &HeaderMap, host: Option<&str>) -> ApiResult<()> {
    let foreign = match headers.get(header::ORIGIN) {
        Some(origin) => {
            let origin = origin.to_str().unwrap_or("null");
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_none() || authority != host
        }
        None => headers
            .get("sec-fetch-site")
            .is_some_and(|site| site == "cross-site" || site == "same-site"),
    };
    if foreign {
        let detail = "the request comes from a web page of another origin";
        return Err(errors::FOREIGN_ORIGIN.problem(detail).into());
    }
    Ok(())
}

/// Compares in a time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::IntoResponse;

    use super::*;

    /// The status with which a request with these headers is answered; 200 if it is let through.
    fn check(token: Option<&str>, path: &str, headers: &[(&str, &str)], expected: u16) {
        let token = token.map(|token| Secret::new(token.to_owned()));
        let guard = Guard::new(token, &["ieum.example".to_owned()]);
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("valid");
        let status = guard
            .admit(&request)
            .map_or_else(|error| error.into_response().status().as_u16(), |()| 200);
        assert_eq!(status, expected, "{path} {headers:?}");
    }

    #[test]
    fn a_page_whose_name_points_here_is_refused() {
        for host in [
            "127.0.0.1:8500",
            "localhost",
            "[::1]:8500",
            "IEUM.example:8500",
        ] {
            check(None, "/api/v1/log", &[("host", host)], 200);
        }
        for host in [
            "evil.example:8500",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ] {
            check(None, "/api/v1/log", &[("host", host)], 403);
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let host = ("host", "localhost:8500");
        check(None, "/", &[host, ("origin", "http://localhost:8500")], 200);
        for origin in ["http://localhost:3000", "https://evil.example", "null"] {
            check(None, "/", &[host, ("origin", origin)], 403);
        }
        check(None, "/", &[host, ("sec-fetch-site", "cross-site")], 403);
        check(None, "/", &[host, ("sec-fetch-site", "none")], 200);
    }

    #[test]
    fn a_token_is_asked_for_except_by_health() {
        let token = Some("s3cret");
        let host = ("host", "10.0.0.1:8500");
        check(token, "/api/v1/log", &[host], 401);
        check(
            token,
            "/api/v1/log",
            &[host, ("authorization", "Bearer wrong")],
            401,
        );
        check(
            token,
            "/api/v1/log",
            &[host, ("authorization", "Bearer s3cre")],
            401,
        );
        check(
            token,
            "/api/v1/log",
            &[host, ("authorization", "bearer s3cret")],
            200,
        );
        check(
            token,
            "/v1/agent/self",
            &[host, ("x-consul-token", "s3cret")],
            200,
        );
        for open in ["/health", "/", "/ui", "/ui/", "/ui/app.js"] {
            check(token, open, &[host], 200);
        }
        for asked in ["/health/x", "/uix", "/api/v1/services", "//ui"] {
            check(token, asked, &[host], 401);
        }
    }

    #[test]
    fn a_link_elsewhere_leads_to_the_console_and_to_nothing_else() {
        let host = ("host", "localhost:8500");
        let site = ("sec-fetch-site", "cross-site");
        let (mode, dest) = (
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        );
        check(None, "/ui", &[host, site, mode, dest], 200);
        check(None, "/api/v1/services", &[host, site, mode, dest], 403);
        check(None, "/ui/app.js", &[host, site, mode, dest], 403);
        check(None, "/ui", &[host, site], 403);
        check(
            None,
            "/ui",
            &[host, site, mode, ("sec-fetch-dest", "iframe")],
            403,
        );
        check(
            None,
            "/ui",
            &[host, site, ("sec-fetch-mode", "cors"), dest],
            403,
        );
        let origin = ("origin", "https://evil.example");
        check(None, "/ui", &[host, site, mode, dest, origin], 403);
        let rebound = ("host", "evil.example:8500");
        check(None, "/ui", &[rebound, site, mode, dest], 403);
    }
}
