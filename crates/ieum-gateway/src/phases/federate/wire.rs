//! Provisional.
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use ieum_graphql::execute::Answer;
use ieum_graphql::{Prepared, Rejection, Request};

pub(super) fn negotiate(_head: &Parts) -> &'static str {
    "application/json; charset=utf-8"
}
pub(super) fn read(_head: &Parts, body: &Bytes) -> Result<Request, Rejection> {
    Request::from_json(body)
}
pub(super) fn check(_head: &Parts, _prepared: &Prepared) -> Result<(), Rejection> {
    Ok(())
}
pub(super) fn answered(media: &'static str, answer: Answer) -> Response<Bytes> {
    let mut response = Response::new(answer.body);
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(media),
    );
    response
}
pub(super) fn rejected(media: &'static str, rejection: &Rejection) -> Response<Bytes> {
    let mut response = Response::new(rejection.body());
    *response.status_mut() = http::StatusCode::BAD_REQUEST;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(media),
    );
    response
}
