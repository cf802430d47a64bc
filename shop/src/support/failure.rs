//! How a service says no: problem details, whatever went wrong.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ieum::http::Problem;

/// The result of handling a request.
pub(crate) type Reply<T> = Result<T, Failure>;

/// A request that is refused or failed. Rolls back the transaction that it leaves.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Problem>);

impl Failure {
    /// A refusal with a status, a code for machines and a sentence for people.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(status).code(code).detail(detail).into()
    }

    /// What was sent makes no sense.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail)
    }

    /// There is no such thing, or it is somebody else's: the answer does not tell which.
    pub(crate) fn not_found(what: &str) -> Self {
        let detail = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// It may work in a moment.
    pub(crate) fn not_yet(status: StatusCode, code: &'static str, detail: &str) -> Self {
        Problem::new(status)
            .code(code)
            .detail(detail)
            .retry_after(1)
            .into()
    }

    /// It failed here; the cause goes to the log and not to the caller.
    pub(crate) fn internal(cause: impl std::fmt::Debug) -> Self {
        tracing::error!(?cause, "a request failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
            .code("internal")
            .detail("the request failed here; the log says why")
            .into()
    }

    /// The problem that the caller is told.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<ieum::sql::Error> for Failure {
    fn from(error: ieum::sql::Error) -> Self {
        use ieum::sql::ErrorKind;
        match error.kind() {
            ErrorKind::Full => Self::not_yet(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage-full",
                "there is no room to write; reading goes on",
            ),
            // On the network it may also be away for a while, or the commit's answer was lost.
            _ if error.retry().is_worthwhile() || error.kind() == ErrorKind::Closed => {
                Self::not_yet(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "storage-busy",
                    "the database does not answer at the moment",
                )
            }
            _ => Self::internal(error),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl From<ieum::messaging::MessageError> for Failure {
    fn from(error: ieum::messaging::MessageError) -> Self {
        Self::internal(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        IntoResponse::into_response(*self.0)
    }
}
