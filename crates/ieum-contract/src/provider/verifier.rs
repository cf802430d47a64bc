//! The verification itself.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use ieum_base::{Clock, Rng, Tasks};
use ieum_http::HttpClient;
use ieum_http::client::{self, json_request};
use serde_json::{Map, Value, json};

use super::ask;
use super::report::{Outcome, Report};
use super::states::{Action, StateChange, States};
use crate::error::{Result, invalid};
use crate::generate::Source;
use crate::matching::{Mismatch, match_message, match_response};
use crate::model::{Exchange, HttpExchange, Interaction, Message, Pact};

/// An event that a callback made, or why it could not.
pub type Made = Pin<Box<dyn Future<Output = Result<Message, String>> + Send>>;

/// Who makes events.
#[derive(Clone)]
enum Events {
    /// Nobody: an interaction with one fails.
    Nobody,
    Url(String),
    Callback(Arc<dyn Fn(Interaction) -> Made + Send + Sync>),
}

/// Puts contracts to a running provider. Clones share their connections.
#[derive(Clone)]
pub struct Verifier {
    client: HttpClient,
    base: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    states: States,
    teardown: bool,
    events: Events,
    timeout: Duration,
}

impl Verifier {
    /// A verifier of the provider at a base URL, such as `http://127.0.0.1:3001`. Its connections
    /// are tasks of `tasks`. It takes answers of at most 16 MiB.
    pub fn new(base: &str, tasks: &Tasks) -> Self {
        Self {
            client: HttpClient::with_config(client::Config::default(), tasks.clone()),
            base: base.trim_end_matches('/').to_owned(),
            headers: Vec::new(),
            states: States::Nobody,
            teardown: false,
            events: Events::Nobody,
            timeout: Duration::from_secs(15),
        }
    }

    /// A header that goes along with every request of a contract, over one of the same name: an
    /// identity, a token.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] if it can be no header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self> {
        // What is no name may be a part of a secret: only a good one is repeated.
        let name = HeaderName::try_from(name)
            .map_err(|_| invalid("a header's name has other characters than a name may have"))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| invalid(format!("the value of `{name}` is no header's value")))?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }

    /// The endpoint that sets states up. Without one they are taken to be so.
    #[must_use]
    pub fn state_url(mut self, url: &str) -> Self {
        self.states = States::Url(url.to_owned());
        self
    }

    /// Code that sets states up.
    #[must_use]
    pub fn states<F, W>(mut self, change: F) -> Self
    where
        F: Fn(StateChange) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Map<String, Value>, String>> + Send + 'static,
    {
        self.states = States::Callback(Arc::new(move |state| Box::pin(change(state))));
        self
    }

    /// Whether states are also taken down after an interaction. Default: false.
    #[must_use]
    pub const fn teardown(mut self, teardown: bool) -> Self {
        self.teardown = teardown;
        self
    }

    /// The endpoint that makes events.
    #[must_use]
    pub fn message_url(mut self, url: &str) -> Self {
        self.events = Events::Url(url.to_owned());
        self
    }

    /// Code that makes the event of an interaction.
    #[must_use]
    pub fn messages<F, W>(mut self, make: F) -> Self
    where
        F: Fn(Interaction) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Message, String>> + Send + 'static,
    {
        self.events = Events::Callback(Arc::new(move |wanted| Box::pin(make(wanted))));
        self
    }

    /// How long each answer may take. Default: 15 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Verifies a contract, one interaction after another.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unreachable`] if the provider or the endpoint for states or events cannot
    /// be asked at all. What differs is no error; it is in the report.
    pub async fn verify(&self, pact: &Pact) -> Result<Report> {
        let mut outcomes = Vec::with_capacity(pact.interactions.len());
        for interaction in &pact.interactions {
            outcomes.push(Outcome {
                interaction: interaction.title(),
                pending: interaction.pending,
                mismatches: self.interaction(&pact.consumer, interaction).await?,
            });
        }
        Ok(Report {
            consumer: pact.consumer.clone(),
            provider: pact.provider.clone(),
            outcomes,
        })
    }

    async fn interaction(&self, consumer: &str, wanted: &Interaction) -> Result<Vec<Mismatch>> {
        let mut source = Source::new(Clock::system(), Rng::system());
        for state in &wanted.states {
            source.states.extend(state.params.clone());
        }
        match self.change(consumer, wanted, Action::Setup).await? {
            Ok(values) => source.states.extend(values),
            Err(failure) => return Ok(vec![Mismatch::new("$.providerStates", failure)]),
        }
        let mut found = match &wanted.exchange {
            Exchange::Http(http) => self.call(http, &source).await?,
            Exchange::Message(message) => self.event(wanted, message).await?,
        };
        if self.teardown
            && let Err(failure) = self.change(consumer, wanted, Action::Teardown).await?
        {
            found.push(Mismatch::new("$.providerStates", failure));
        }
        Ok(found)
    }

    async fn call(&self, http: &HttpExchange, source: &Source) -> Result<Vec<Mismatch>> {
        let request = ask::request(&self.base, &source.request(&http.request), &self.headers)?;
        match self.client.request(request, self.timeout).await {
            Ok(answer) => Ok(match_response(&http.response, &ask::response(answer))),
            Err(error) => {
                let what = format!("the provider at {}", ask::shown(&self.base));
                let text = ask::explain(&error, &what)?;
                Ok(vec![Mismatch::new("$", text)])
            }
        }
    }

    async fn event(&self, wanted: &Interaction, message: &Message) -> Result<Vec<Mismatch>> {
        let made = match &self.events {
            Events::Nobody => Err("nobody makes events: give a URL or a callback".to_owned()),
            Events::Callback(make) => make(wanted.clone()).await,
            Events::Url(url) => self.made_by(url, wanted).await?,
        };
        Ok(match made {
            Ok(made) => match_message(message, &made),
            Err(failure) => vec![Mismatch::new("$.contents", failure)],
        })
    }

    async fn made_by(&self, url: &str, wanted: &Interaction) -> Result<Result<Message, String>> {
        let states = wanted.states.iter();
        let states = states.map(|state| json!({ "name": state.name, "params": state.params }));
        let states: Vec<Value> = states.collect();
        let body = json!({ "description": wanted.description, "providerStates": states });
        let what = format!("the endpoint for events at {}", ask::shown(url));
        Ok(match self.post(url, &body, &what).await? {
            Ok(answer) => Ok(ask::message(answer)),
            Err(failure) => Err(failure),
        })
    }

    /// Sets the states of an interaction up or takes them down.
    async fn change(
        &self,
        consumer: &str,
        wanted: &Interaction,
        action: Action,
    ) -> Result<Result<Map<String, Value>, String>> {
        let mut values = Map::new();
        for state in &wanted.states {
            let answered = match &self.states {
                States::Nobody => Ok(Map::new()),
                States::Callback(change) => {
                    let (consumer, state) = (consumer.to_owned(), state.clone());
                    change(StateChange {
                        consumer,
                        state,
                        action,
                    })
                    .await
                }
                States::Url(url) => {
                    let body = json!({
                        "consumer": consumer, "state": state.name, "params": state.params,
                        "action": action.name()
                    });
                    let what = format!("the endpoint for states at {}", ask::shown(url));
                    self.post(url, &body, &what).await?.map(|answer| {
                        match serde_json::from_slice(answer.body()) {
                            Ok(Value::Object(map)) => map,
                            _ => Map::new(),
                        }
                    })
                }
            };
            match answered {
                Ok(answered) => values.extend(answered),
                Err(failure) => {
                    let text = format!("{} of `{}` failed: {failure}", action.name(), state.name);
                    return Ok(Err(text));
                }
            }
        }
        Ok(Ok(values))
    }

    /// Posts JSON; a status other than 2xx is a failure in words.
    async fn post(
        &self,
        url: &str,
        body: &Value,
        what: &str,
    ) -> Result<Result<http::Response<Bytes>, String>> {
        let request = json_request(Method::POST, url, body)
            .map_err(|error| invalid(format!("{what}: {error}")))?;
        match self.client.request(request, self.timeout).await {
            Ok(answer) if answer.status().is_success() => Ok(Ok(answer)),
            Ok(answer) => {
                let text = String::from_utf8_lossy(answer.body());
                let text = crate::matching::cut(&text);
                Ok(Err(format!(
                    "{what} answered {}: {text}",
                    answer.status().as_u16()
                )))
            }
            Err(error) => ask::explain(&error, what).map(Err),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("base", &ask::shown(&self.base))
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}
