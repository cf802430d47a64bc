//! Building an operation and sending it.

use std::fmt;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderName, HeaderValue};
use ieum_base::Secret;
use ieum_http::BoxError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::answer;
use super::document::{chosen, only_reads, operations};
use super::error::{Error, Result};
use crate::{Error as CallError, ErrorKind, RequestBuilder};

/// An operation that is being built. What is wrong with its parts is said by [`Operation::send`].
#[must_use = "an operation is sent with `send`"]
pub struct Operation<'a> {
    request: RequestBuilder<'a>,
    document: String,
    name: Option<String>,
    variables: std::result::Result<Map<String, Value>, serde_json::Error>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    variables: &'a Map<String, Value>,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(request: RequestBuilder<'a>, document: &str) -> Self {
        Self {
            request,
            document: document.to_owned(),
            name: None,
            variables: Ok(Map::new()),
        }
    }

    /// Where the service answers GraphQL, in place of `/graphql`; begins with `/`.
    pub fn at(self, path: &str) -> Self {
        self.change(|request| request.at(path))
    }

    /// Which of the document's operations is meant. Needed if it has several.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Sets a variable.
    pub fn variable<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.variables = self.variables.and_then(|mut variables| {
            variables.insert(name.to_owned(), serde_json::to_value(value)?);
            Ok(variables)
        });
        self
    }

    /// Sets all variables that are the fields of `values`.
    pub fn variables<T: Serialize + ?Sized>(mut self, values: &T) -> Self {
        self.variables = self.variables.and_then(|mut variables| {
            let values: Map<_, _> = serde_json::from_value(serde_json::to_value(values)?)?;
            variables.extend(values);
            Ok(variables)
        });
        self
    }

    /// Sets a header, in place of an earlier one of that name.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<BoxError>>,
        V: TryInto<HeaderValue, Error: Into<BoxError>>,
    {
        self.change(|request| request.header(name, value))
    }

    /// Sets the bearer token; see [`RequestBuilder::bearer`].
    pub fn bearer(self, token: &Secret) -> Self {
        self.change(|request| request.bearer(token))
    }

    /// Passes on for whom this is done; see [`RequestBuilder::on_behalf_of`].
    pub fn on_behalf_of<R: AsRef<str>>(self, user: &str, roles: &[R]) -> Self {
        self.change(|request| request.on_behalf_of(user, roles))
    }

    /// Makes a mutation repeatable, by the key under which the service knows it again. A query is
    /// repeatable without.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.change(|request| request.idempotency_key(key))
    }

    /// Bounds the whole call, in place of the client's setting.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.change(|request| request.timeout(timeout))
    }

    /// Sends the operation, and reads the data into `T`. Dropping the future cancels it.
    ///
    /// # Errors
    /// All kinds. An answer with errors is an error even if it has data: [`Error::data`].
    pub async fn send<T: DeserializeOwned>(self) -> Result<T> {
        let service = self.request.service().to_owned();
        let variables = self.variables.map_err(|error| {
            Error::call(CallError::new(ErrorKind::Invalid, &service).caused_by(error))
        })?;
        let all = operations(&self.document);
        let label = chosen(&all, self.name.as_deref());
        let body = Body {
            query: &self.document,
            operation_name: self.name.as_deref(),
            variables: &variables,
        };
        let request = self
            .request
            .header(ACCEPT, answer::ACCEPT)
            .json(&body)
            .labelled(label, only_reads(&all));
        let response = request.send_any().await.map_err(Error::call)?;
        answer::read(&response)
    }

    fn change(mut self, change: impl FnOnce(RequestBuilder<'a>) -> RequestBuilder<'a>) -> Self {
        self.request = change(self.request);
        self
    }
}

impl fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the document nor its variables: they may hold what is nobody's business.
        write!(f, "GraphQL by {:?}", self.request)
    }
}

/// Where services answer GraphQL unless they are told otherwise.
pub(crate) const PATH: &str = "/graphql";
