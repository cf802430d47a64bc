//! What a Pact file says, whichever version it has.
//!
//! Files of the versions 1 to 4 are read into these types; version 4 is written, because it is the
//! only one that holds calls *and* events of a pair of services in one file, with the type of each
//! body and rules for statuses, and because every maintained Pact library reads it (docs/reference/contract.md).

mod body;
mod headers;
mod read;
mod write;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::generate::Generators;
use crate::rules::Rules;

pub use body::{Body, MediaType};
pub use headers::Headers;
pub(crate) use read::read_file;

/// A contract between two services.
#[derive(Clone, Debug, PartialEq)]
pub struct Pact {
    /// Who needs something.
    pub consumer: String,
    /// Who gives it.
    pub provider: String,
    /// What it gives, in the order of the file.
    pub interactions: Vec<Interaction>,
}

/// One thing that a consumer needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Interaction {
    /// What it is, in words.
    pub description: String,
    /// What must be so at the provider.
    pub states: Vec<State>,
    /// Whether a failure is reported without failing the whole.
    pub pending: bool,
    /// A call or an event.
    pub exchange: Exchange,
}

impl Interaction {
    /// Its description with its states, for people: `a user (given there is a user kim)`.
    pub fn title(&self) -> String {
        if self.states.is_empty() {
            return self.description.clone();
        }
        let states: Vec<&str> = self
            .states
            .iter()
            .map(|state| state.name.as_str())
            .collect();
        format!("{} (given {})", self.description, states.join(", and "))
    }
}

/// A call or an event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Exchange {
    /// A request and its response.
    Http(Box<HttpExchange>),
    /// An event that the provider publishes.
    Message(Box<Message>),
}

/// A request and its response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpExchange {
    /// What the consumer sends.
    pub request: Request,
    /// What it expects.
    pub response: Response,
}

/// Something that must be so at the provider before an interaction is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// What is so, in words.
    pub name: String,
    /// Values that it depends on.
    pub params: Map<String, Value>,
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The parameters of the query, decoded, each with its values in order.
    pub query: BTreeMap<String, Vec<String>>,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// What holds instead of equality.
    pub rules: Rules,
    /// What is made anew when it is sent.
    pub generators: Generators,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: BTreeMap::new(),
            headers: Headers::default(),
            body: Body::Missing,
            rules: Rules::default(),
            generators: Generators::default(),
        }
    }
}

impl Request {
    /// The type of its body: of the file, of the header, or of how it looks.
    pub fn media_type(&self) -> Option<MediaType> {
        self.body.media_type(self.headers.get("content-type"))
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// What holds instead of equality.
    pub rules: Rules,
    /// What is made anew when a mock answers.
    pub generators: Generators,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Headers::default(),
            body: Body::Missing,
            rules: Rules::default(),
            generators: Generators::default(),
        }
    }
}

impl Response {
    /// The type of its body, as [`Request::media_type`].
    pub fn media_type(&self) -> Option<MediaType> {
        self.body.media_type(self.headers.get("content-type"))
    }
}

/// An event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// What is in it.
    pub contents: Body,
    /// What is said about it: its type, its topic, its key.
    pub metadata: BTreeMap<String, Value>,
    /// What holds instead of equality.
    pub rules: Rules,
    /// What is made anew when a consumer is given the example.
    pub generators: Generators,
}

impl Message {
    /// The type of its contents: of the file, of the metadata, or of how it looks.
    pub fn media_type(&self) -> Option<MediaType> {
        let key =
            |key: &&String| ["contenttype", "content-type"].contains(&key.to_lowercase().as_str());
        let known = self
            .metadata
            .keys()
            .find(key)
            .and_then(|key| self.metadata[key].as_str());
        let known: Vec<String> = known.map(str::to_owned).into_iter().collect();
        self.contents
            .media_type((!known.is_empty()).then_some(&known))
    }
}

#[cfg(test)]
mod tests;
