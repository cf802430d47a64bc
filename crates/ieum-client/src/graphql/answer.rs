//! Reading an answer: which bodies are one of GraphQL, and what is in it.

use http::header::CONTENT_TYPE;
use ieum_http::{Problem, Sent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::{Error, Report, Result};
use crate::call::retry_after;
use crate::{Error as CallError, ErrorKind, Response};

/// What is asked for: with the first, the status says whether the operation was executed; the second
/// is what older services know (GraphQL over HTTP, section 6).
pub(super) const ACCEPT: &str = "application/graphql-response+json, application/json;q=0.9";

/// The data of an answer without errors.
pub(super) fn read<T: DeserializeOwned>(response: &Response) -> Result<T> {
    if !is_of_graphql(response) {
        return Err(Error::call(not_of_graphql(response)));
    }
    let decode = |error: serde_json::Error| Error::call(undecodable(response, error));
    let answer: Answer<'_> = serde_json::from_slice(response.bytes()).map_err(decode)?;
    match (answer.data, answer.errors.unwrap_or_default()) {
        (Some(data), errors) if errors.is_empty() => {
            serde_json::from_str(data.get()).map_err(decode)
        }
        (None, errors) if errors.is_empty() => {
            let error = undecodable(response, "an answer has data or errors");
            Err(Error::call(error))
        }
        (data, errors) => {
            let data = data.map(|data| serde_json::from_str(data.get()));
            let data = data.transpose().map_err(decode)?;
            Err(Error::told(&response.service, errors, data))
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    /// Absent if nothing was executed, which is not the same as null.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(default)]
    errors: Option<Vec<Report>>,
}

fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A body of GraphQL's own type is one whatever the status; one of plain JSON only if the status says
/// that it worked, because anybody on the way may answer JSON.
fn is_of_graphql(response: &Response) -> bool {
    let media = response.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    let is = |media: &str| essence.eq_ignore_ascii_case(media);
    is("application/graphql-response+json")
        || (is("application/json") && response.status().is_success())
}

fn not_of_graphql(response: &Response) -> CallError {
    if response.status().as_u16() < 400 {
        return undecodable(response, "the answer is none of GraphQL");
    }
    let wait = retry_after(response.headers());
    let problem = Problem::from_response(&response.inner);
    CallError::answered(&response.service, problem, wait).after_attempts(response.attempts())
}

fn undecodable(response: &Response, why: impl Into<ieum_http::BoxError>) -> CallError {
    CallError::new(ErrorKind::Decode, &response.service)
        .sent_as(Sent::Sent)
        .after_attempts(response.attempts())
        .caused_by(why)
}
