//! Parse: what HTTP allows and a gateway does not.
//!
//! Where a request ends was settled before (`ieum_http::server`): ambiguous framing never gets here.

use http::{Method, Request};
use hyper::body::Incoming;

use crate::errors::{Code, Refusal};
use crate::table::Table;

/// Refuses targets that are no path, and those that are too long.
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
    Ok(())
}
