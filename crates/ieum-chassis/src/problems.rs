//! The problems that a service answers by itself, and how a handler makes others.
//!
//! A handler returns [`Result`]: its error is a [`Problem`], which is a response. What went wrong
//! inside is logged with its causes and told to nobody else: [`OrProblem::or_internal`].

use http::StatusCode;
use ieum_base::redact;
use ieum_http::Problem;

/// What a handler returns.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// Turns errors into problems.
pub trait OrProblem<T> {
    /// A defect or a failing engine of ours: logged with its causes, answered with 500 and no detail.
    ///
    /// # Errors
    /// The problem, if this is an error.
    fn or_internal(self, doing: &'static str) -> Result<T>;

    /// Something that we need does not answer: logged with its causes, answered with 503.
    ///
    /// # Errors
    /// The problem, if this is an error.
    fn or_unavailable(self, doing: &'static str) -> Result<T>;
}

impl<T, E> OrProblem<T> for std::result::Result<T, E>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn or_internal(self, doing: &'static str) -> Result<T> {
        self.map_err(|error| {
            log(doing, &*error.into());
            internal()
        })
    }

    fn or_unavailable(self, doing: &'static str) -> Result<T> {
        self.map_err(|error| {
            log(doing, &*error.into());
            unavailable()
        })
    }
}

/// 404: there is no such thing. (For paths that lead nowhere the chassis answers by itself.)
pub fn not_found(what: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::NOT_FOUND)
        .code("not-found")
        .detail(format!("{what} does not exist"))
}

/// 400: the request makes no sense.
pub fn bad_request(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST)
        .code("bad-request")
        .detail(why)
}

/// 409: not in this state of things.
pub fn conflict(code: &'static str, why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT).code(code).detail(why)
}

/// 422: understood, and against a rule.
pub fn unprocessable(code: &'static str, why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
        .code(code)
        .detail(why)
}

pub(crate) fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND)
        .code("IEUM-3001")
        .detail("nothing lives at this path")
}

pub(crate) fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED)
        .code("IEUM-3002")
        .detail("the path exists, but not with this method; `Allow` lists those that do")
}

/// `why` is the parser's; what it quotes of the request is not repeated.
pub(crate) fn malformed(status: StatusCode, why: &str) -> Problem {
    Problem::new(status)
        .code("IEUM-3003")
        .detail(redact::parser_message(why))
}

pub(crate) fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED)
        .code("IEUM-3004")
        .detail("the request carries no identity; it has to come through the gateway")
}

pub(crate) fn forbidden(role: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN)
        .code("IEUM-3005")
        .detail(format!("this needs the role `{role}`"))
}

pub(crate) fn not_yours() -> Problem {
    Problem::new(StatusCode::FORBIDDEN)
        .code("IEUM-3006")
        .detail("this belongs to somebody else")
}

pub(crate) fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
        .code("IEUM-3007")
        .detail("the service failed; its log has the reason under this request's trace id")
}

pub(crate) fn unavailable() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE)
        .code("IEUM-3008")
        .detail("something that the service needs does not answer")
        .retry_after(1)
}

fn log(doing: &'static str, error: &(dyn std::error::Error + Send + Sync)) {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let causes = causes.map(ToString::to_string).collect::<Vec<_>>();
    let causes = causes.join(": ");
    tracing::error!(%error, causes, "{doing} failed");
}
