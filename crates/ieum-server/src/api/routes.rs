//! Routes with their description: what is mounted is what OpenAPI shows.
//!
//! A route and its documentation are one declaration, [`Routes::add`], so that neither can exist
//! without the other. Each file of the API makes its own `Routes` over its own state.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use crate::errors::ErrorCode;

/// Routes over the state `S`, each with its description.
pub(crate) struct Routes<S = ()> {
    router: Router<S>,
    operations: Vec<Operation>,
}

/// The description of one route.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// The method.
    pub(crate) method: Method,
    /// The path with its parameters in braces.
    pub(crate) path: &'static str,
    /// A name for generated clients, like `appendToStream`; unique.
    pub(crate) id: &'static str,
    /// What it does, in one sentence.
    pub(crate) summary: &'static str,
    /// Parameters of the query: name and meaning.
    pub(crate) query: Vec<(&'static str, &'static str)>,
    /// Media types of the body and the name of its schema.
    pub(crate) body: Option<(&'static [&'static str], &'static str)>,
    /// Status, meaning, and the name of the schema of each good answer.
    pub(crate) answers: Vec<(u16, &'static str, Option<&'static str>)>,
    /// What it refuses with, beside what every route may.
    pub(crate) refusals: Vec<&'static ErrorCode>,
}

/// The media type of most bodies.
const JSON: &[&str] = &["application/json"];

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No route.
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            operations: Vec::new(),
        }
    }

    /// One more route.
    pub(crate) fn add<H, T>(mut self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = match operation.method {
            Method::POST => MethodFilter::POST,
            Method::PUT => MethodFilter::PUT,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        self.router = self.router.route(operation.path, on(filter, handler));
        self.operations.push(operation);
        self
    }

    /// The same routes with their state.
    pub(crate) fn with_state(self, state: S) -> Routes {
        Routes {
            router: self.router.with_state(state),
            operations: self.operations,
        }
    }
}

impl Routes {
    /// These routes and `other`.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// The router, and what it was made of.
    pub(crate) fn into_parts(self) -> (Router, Vec<Operation>) {
        (self.router, self.operations)
    }
}

impl Operation {
    const fn new(method: Method, path: &'static str, id: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary: "",
            query: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// A `GET` of `path`.
    pub(crate) const fn get(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::GET, path, id)
    }

    /// A `POST` to `path`.
    pub(crate) const fn post(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::POST, path, id)
    }

    /// A `PUT` of `path`.
    pub(crate) const fn put(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::PUT, path, id)
    }

    /// What it does, in one sentence.
    pub(crate) const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// A parameter of the query.
    pub(crate) fn query(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.query.push((name, meaning));
        self
    }

    /// A JSON body with this schema.
    pub(crate) const fn body(self, schema: &'static str) -> Self {
        self.body_of(JSON, schema)
    }

    /// A body of these media types with this schema.
    pub(crate) const fn body_of(
        mut self,
        media_types: &'static [&'static str],
        schema: &'static str,
    ) -> Self {
        self.body = Some((media_types, schema));
        self
    }

    /// A good answer whose body has this schema.
    pub(crate) fn answers(self, status: u16, meaning: &'static str, schema: &'static str) -> Self {
        self.answer(status, meaning, Some(schema))
    }

    /// A good answer without a body.
    pub(crate) fn answers_empty(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, None)
    }

    fn answer(mut self, status: u16, meaning: &'static str, schema: Option<&'static str>) -> Self {
        self.answers.push((status, meaning, schema));
        self
    }

    /// What it refuses with.
    pub(crate) fn refuses(mut self, codes: &[&'static ErrorCode]) -> Self {
        self.refusals.extend_from_slice(codes);
        self
    }

    /// The names of the path's parameters.
    pub(crate) fn path_parameters(&self) -> impl Iterator<Item = &'static str> + use<> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}
