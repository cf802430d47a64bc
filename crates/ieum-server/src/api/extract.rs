//! Extractors that refuse with problem details: axum's own answer in plain text.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use ieum_base::redact;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors::{self, ApiError};

/// A JSON body; also an answer.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// The query, decoded.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// The parameters of the path, decoded.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = <axum::Json<T> as FromRequest<S>>::from_request(request, state).await;
        body.map(|axum::Json(body)| Self(body)).map_err(refuse_body)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error: QueryRejection| refuse_parameter(&error.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path))
            .map_err(|error: PathRejection| refuse_parameter(&error.body_text()))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that map_err wants"
)]
fn refuse_body(rejection: JsonRejection) -> ApiError {
    let code = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => errors::BODY_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => errors::MEDIA_TYPE,
        _ => errors::MALFORMED_BODY,
    };
    code.problem(redact::parser_message(&rejection.body_text()))
        .into()
}

fn refuse_parameter(detail: &str) -> ApiError {
    errors::MALFORMED_PARAMETER
        .problem(redact::parser_message(detail))
        .into()
}
