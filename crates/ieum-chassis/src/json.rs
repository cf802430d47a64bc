//! JSON in and out, with problem details for what is no JSON.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use ieum_http::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problems::malformed;

/// A JSON body. Like `axum::Json`, but a body that cannot be read is answered with a problem that
/// names the place. Types that are read should refuse unknown fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = axum::Json::<T>::from_request(request, state).await;
        read.map(|axum::Json(value)| Self(value))
            .map_err(|rejection: JsonRejection| {
                malformed(rejection.status(), &rejection.body_text())
            })
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}
