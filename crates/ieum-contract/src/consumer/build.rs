//! What a test says it needs: calls and events, built step by step.

use serde_json::{Map, Value};

use super::split::{Parts, text};
use crate::error::{Error, Result, invalid};
use crate::model::{Body, Exchange, HttpExchange, Interaction, Message, Request, Response, State};
use crate::path::Path;

/// A call that is needed, with what it is in words.
pub fn call(description: &str) -> Call {
    Call {
        description: description.to_owned(),
        ..Call::default()
    }
}

/// An event that is needed, with what it is in words.
pub fn event(description: &str) -> Event {
    Event {
        description: description.to_owned(),
        ..Event::default()
    }
}

/// The request of a call. The path may be a matcher.
pub fn send(method: &str, path: impl Into<Value>) -> Sent {
    let mut sent = Sent::default();
    sent.request.method = method.to_uppercase();
    sent.put(|request| {
        let (path, rules, generators) = text(&path.into())?;
        request.path = path;
        for rule in rules {
            request.rules.path.add(Path::empty(), rule);
        }
        for generator in generators {
            request.generators.add("path", Path::empty(), generator);
        }
        Ok(())
    });
    sent
}

/// The response of a call.
pub fn reply(status: u16) -> Reply {
    Reply {
        response: Response {
            status,
            ..Response::default()
        },
        wrong: None,
    }
}

/// A call being described; see [`call`].
#[derive(Debug, Default)]
pub struct Call {
    description: String,
    states: Vec<State>,
    sent: Sent,
    reply: Reply,
}

impl Call {
    /// What must be so at the provider.
    #[must_use]
    pub fn given(self, state: &str) -> Self {
        self.given_with(state, Map::new())
    }

    /// The same with values that it depends on.
    #[must_use]
    pub fn given_with(mut self, state: &str, params: Map<String, Value>) -> Self {
        self.states.push(named(state, params));
        self
    }

    /// What is sent.
    #[must_use]
    pub fn request(mut self, sent: Sent) -> Self {
        self.sent = sent;
        self
    }

    /// What is answered.
    #[must_use]
    pub fn response(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    pub(super) fn build(self) -> Result<Interaction> {
        if let Some(wrong) = self.sent.wrong.or(self.reply.wrong) {
            return Err(wrong.at(&self.description));
        }
        Ok(Interaction {
            description: self.description,
            states: self.states,
            pending: false,
            exchange: Exchange::Http(Box::new(HttpExchange {
                request: self.sent.request,
                response: self.reply.response,
            })),
        })
    }
}

/// A request being described; see [`send`].
#[derive(Debug, Default)]
pub struct Sent {
    request: Request,
    wrong: Option<Error>,
}

impl Sent {
    /// A parameter of the query; may be a matcher.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.put(|request| {
            let (value, rules, generators) = text(&value)?;
            let place = Path::root().field(name);
            for rule in rules {
                request.rules.query.add(place.clone(), rule);
            }
            for generator in generators {
                request.generators.add("query", place.clone(), generator);
            }
            request
                .query
                .entry(name.to_owned())
                .or_default()
                .push(value);
            Ok(())
        });
        self
    }

    /// A header; may be a matcher.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.put(|request| {
            let (value, rules, generators) = text(&value)?;
            let place = Path::root().field(&name.to_lowercase());
            for rule in rules {
                request.rules.header.add(place.clone(), rule);
            }
            for generator in generators {
                request.generators.add("header", place.clone(), generator);
            }
            request.headers.add(name, &value);
            Ok(())
        });
        self
    }

    /// A JSON body, with matchers in it.
    #[must_use]
    pub fn json(mut self, body: impl Into<Value>) -> Self {
        let body = body.into();
        self.put(|request| {
            let mut parts = Parts::default();
            request.body = Body::json(&parts.take(&Path::root(), &body)?);
            request.rules.body = parts.rules;
            for (place, generator) in parts.generators {
                request.generators.add("body", place, generator);
            }
            if request.headers.get("content-type").is_none() {
                request.headers.set("content-type", "application/json");
            }
            Ok(())
        });
        self
    }

    /// A body of another type, compared as it is; a form by its fields.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: &str) -> Self {
        self.request.headers.set("content-type", media_type);
        self.request.body = Body::Present {
            bytes: body.to_owned().into(),
            media_type: Some(media_type.to_owned()),
        };
        self
    }

    fn put(&mut self, change: impl FnOnce(&mut Request) -> Result<()>) {
        if let Err(error) = change(&mut self.request) {
            self.wrong.get_or_insert(error);
        }
    }
}

/// A response being described; see [`reply`].
#[derive(Debug, Default)]
pub struct Reply {
    response: Response,
    wrong: Option<Error>,
}

impl Reply {
    /// A header; may be a matcher.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        match text(&value.into()) {
            Ok((value, rules, _)) => {
                let place = Path::root().field(&name.to_lowercase());
                for rule in rules {
                    self.response.rules.header.add(place.clone(), rule);
                }
                self.response.headers.add(name, &value);
            }
            Err(error) => self.wrong = Some(error),
        }
        self
    }

    /// A JSON body, with matchers in it.
    #[must_use]
    pub fn json(mut self, body: impl Into<Value>) -> Self {
        let mut parts = Parts::default();
        match parts.take(&Path::root(), &body.into()) {
            Ok(example) => {
                self.response.body = Body::json(&example);
                self.response.rules.body = parts.rules;
                if self.response.headers.get("content-type").is_none() {
                    self.response
                        .headers
                        .set("content-type", "application/json");
                }
            }
            Err(error) => self.wrong = Some(error),
        }
        self
    }

    /// A body of another type, compared as it is.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: &str) -> Self {
        self.response.headers.set("content-type", media_type);
        self.response.body = Body::Present {
            bytes: body.to_owned().into(),
            media_type: Some(media_type.to_owned()),
        };
        self
    }
}

/// An event being described; see [`event`].
#[derive(Debug, Default)]
pub struct Event {
    description: String,
    states: Vec<State>,
    message: Message,
    wrong: Option<Error>,
}

impl Event {
    /// What must be so at the provider.
    #[must_use]
    pub fn given(self, state: &str) -> Self {
        self.given_with(state, Map::new())
    }

    /// The same with values that it depends on.
    #[must_use]
    pub fn given_with(mut self, state: &str, params: Map<String, Value>) -> Self {
        self.states.push(named(state, params));
        self
    }

    /// Something said about the event: its topic, its type; may be a matcher.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        match text(&value.into()) {
            Ok((value, rules, _)) => {
                for rule in rules {
                    self.message
                        .rules
                        .metadata
                        .add(Path::root().field(key), rule);
                }
                self.message.metadata.insert(key.to_owned(), value.into());
            }
            Err(error) => self.wrong = Some(error),
        }
        self
    }

    /// What is in it: JSON, with matchers.
    #[must_use]
    pub fn json(mut self, contents: impl Into<Value>) -> Self {
        let mut parts = Parts::default();
        match parts.take(&Path::root(), &contents.into()) {
            Ok(example) => {
                self.message.contents = Body::json(&example);
                self.message.rules.body = parts.rules;
                let json = Value::from("application/json");
                self.message
                    .metadata
                    .entry("contentType".to_owned())
                    .or_insert(json);
            }
            Err(error) => self.wrong = Some(error),
        }
        self
    }

    pub(super) fn build(self) -> Result<Interaction> {
        if let Some(wrong) = self.wrong {
            return Err(wrong.at(&self.description));
        }
        if self.message.contents == Body::Missing {
            return Err(invalid("an event has contents").at(&self.description));
        }
        Ok(Interaction {
            description: self.description,
            states: self.states,
            pending: false,
            exchange: Exchange::Message(Box::new(self.message)),
        })
    }
}

fn named(name: &str, params: Map<String, Value>) -> State {
    State {
        name: name.to_owned(),
        params,
    }
}
