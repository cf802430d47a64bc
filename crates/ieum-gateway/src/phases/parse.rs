//! Parse: what HTTP allows and a gateway does not.
//!
//! Where a request ends was settled before (`ieum_http::server`): ambiguous framing never gets here.

use http::header::HOST;
use http::{Method, Request, Version};
use hyper::body::Incoming;
use ieum_http::server;

use crate::errors::{Code, Refusal};
use crate::table::Table;

/// Refuses targets that are no path, those that are too long, and hosts in doubt.
pub(super) fn check(table: &Table, request: &Request<Incoming>) -> Result<(), Box<Refusal>> {
    if request.method() == Method::CONNECT {
        return Err(Refusal::new(
            Code::BadRequest,
            "the gateway is no forward proxy",
        ));
    }
    let target = request.uri().path_and_query().map_or("", |t| t.as_str());
    if !target.starts_with('/') {
        return Err(Refusal::new(
            Code::BadRequest,
            "the request's target is no path",
        ));
    }
    let longest = table.config.limits.uri;
    if target.len() as u64 > longest.0 {
        let detail = format!("the request's target is longer than {longest}");
        return Err(Refusal::new(Code::UriTooLong, detail));
    }
    if request.version() == Version::HTTP_2 && !has_one_host(request) {
        return Err(Refusal::new(Code::BadRequest, "the request's host is none"));
    }
    Ok(())
}

/// On HTTP/1 this was settled with the framing. On HTTP/2 the server has made `:authority`, if there
/// is one, the `Host`.
fn has_one_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_host = hosts
        .next()
        .is_none_or(|host| server::is_host(host.as_bytes()));
    is_host && hosts.next().is_none()
}
