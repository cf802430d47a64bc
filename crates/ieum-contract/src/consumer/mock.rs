//! The mock that plays the provider, and the recording that it plays.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Response as Answer;
use http_body_util::Full;
use hyper::body::Incoming;
use ieum_base::{Clock, Rng, Stop, TaskKind, Tasks};
use ieum_http::server;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::build::{Call, Event};
use crate::error::{Error, ErrorKind, Result};
use crate::generate::Source;
use crate::matching::{Mismatch, match_request, parameters};
use crate::model::{Body, Exchange, Headers, Interaction, Message, Pact, Request, Response};

/// What a consumer says it needs of a provider, before it was used.
#[derive(Debug)]
pub struct Recording {
    pact: Pact,
    wrong: Option<Error>,
}

impl Recording {
    /// A recording without interactions.
    pub fn new(consumer: &str, provider: &str) -> Self {
        Self {
            pact: Pact {
                consumer: consumer.to_owned(),
                provider: provider.to_owned(),
                interactions: Vec::new(),
            },
            wrong: None,
        }
    }

    /// Adds a call.
    #[must_use]
    pub fn call(self, call: Call) -> Self {
        self.add(call.build())
    }

    /// Adds an event.
    #[must_use]
    pub fn event(self, event: Event) -> Self {
        self.add(event.build())
    }

    fn add(mut self, interaction: Result<Interaction>) -> Self {
        match interaction {
            Ok(interaction) => self.pact.interactions.push(interaction),
            Err(error) => {
                self.wrong.get_or_insert(error);
            }
        }
        self
    }

    /// Gives the example of each event to the consumer's handler. The contract is the result if it
    /// took all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Unmet`] with what the handler said; [`ErrorKind::Invalid`] if the recording is
    /// not well-formed.
    pub async fn consume<E: std::fmt::Display>(
        self,
        mut handler: impl AsyncFnMut(&Message) -> Result<(), E>,
    ) -> Result<Pact> {
        let pact = self.checked()?;
        for interaction in &pact.interactions {
            let Exchange::Message(message) = &interaction.exchange else {
                return Err(mixed(interaction));
            };
            handler(message).await.map_err(|refusal| {
                let text = format!("`{}` was not taken: {refusal}", interaction.title());
                Error::new(ErrorKind::Unmet, text)
            })?;
        }
        Ok(pact)
    }

    /// The contract as it is described, used or not.
    pub(crate) fn checked(self) -> Result<Pact> {
        match self.wrong {
            Some(wrong) => Err(wrong),
            None => Ok(self.pact),
        }
    }

    /// Starts a mock of the provider on a free port of loopback.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the recording is not well-formed; [`ErrorKind::Unreachable`] if no
    /// port can be had.
    pub async fn start(self) -> Result<Mock> {
        let pact = self.checked()?;
        let is_event = |it: &&Interaction| matches!(it.exchange, Exchange::Message(_));
        if let Some(event) = pact.interactions.iter().find(is_event) {
            return Err(mixed(event));
        }
        let no_port = |error: std::io::Error| {
            Error::new(ErrorKind::Unreachable, "no port for a mock").caused_by(error)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(no_port)?;
        let address = listener.local_addr().map_err(no_port)?;
        let tasks = Tasks::new(Stop::new());
        let mut source = Source::new(Clock::system(), Rng::system());
        source.base_url = format!("http://{address}");
        let book = Arc::new(Book {
            used: Mutex::new(Used {
                times: vec![0; pact.interactions.len()],
                unexpected: Vec::new(),
            }),
            pact,
            source,
        });
        let (serving, stop, connections) = (Arc::clone(&book), tasks.stop().clone(), tasks.clone());
        tasks.spawn(TaskKind::Background, "contract-mock", async move {
            let service = tower::service_fn(move |request| {
                let book = Arc::clone(&serving);
                async move { Ok::<_, Infallible>(book.answer(request).await) }
            });
            let config = server::Config::default();
            server::serve(listener, service, config, stop, &connections).await;
        });
        Ok(Mock {
            address,
            tasks,
            book,
        })
    }
}

/// What is of the other kind would come into the contract without having been used.
fn mixed(interaction: &Interaction) -> Error {
    let text = format!(
        "`{}`: calls and events need a recording each",
        interaction.title()
    );
    Error::new(ErrorKind::Invalid, text)
}

/// A running mock; dropping it closes it.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    tasks: Tasks,
    book: Arc<Book>,
}

impl Mock {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as the base of a URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the mock. The contract is the result if every call came, and no other.
    ///
    /// # Errors
    /// [`ErrorKind::Unmet`] with what was not expected, how it differs from what was, and what is
    /// missing.
    pub async fn finish(self) -> Result<Pact> {
        self.tasks.shut_down(GRACE).await;
        let used = self
            .book
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let calls = self.book.pact.interactions.iter().zip(&used.times);
        let missing = calls.filter(|(_, times)| **times == 0);
        let mut wrong = used.unexpected.join("\n");
        for (interaction, _) in missing {
            let _ = write!(wrong, "\nnever called: {}", interaction.title());
        }
        if wrong.is_empty() {
            return Ok(self.book.pact.clone());
        }
        let pact = &self.book.pact;
        let text = format!(
            "{} did not call {} as recorded:\n{}",
            pact.consumer,
            pact.provider,
            wrong.trim_start()
        );
        Err(Error::new(ErrorKind::Unmet, text))
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.tasks.stop().request();
    }
}

/// How long running requests may take when a mock ends.
const GRACE: Duration = Duration::from_secs(5);

/// The largest request that a mock takes, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// The most calls that were not expected that are told one by one.
const MOST_TOLD: usize = 20;

/// What the mock plays, and what it was asked.
#[derive(Debug)]
struct Book {
    pact: Pact,
    source: Source,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    times: Vec<usize>,
    unexpected: Vec<String>,
}

impl Book {
    async fn answer(&self, request: http::Request<Incoming>) -> Answer<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = match ieum_http::body::collect(body, MOST_BYTES).await {
            Ok(body) => body,
            Err(error) => return refuse(413, &json!({ "error": error.to_string() })),
        };
        let came = Request {
            method: head.method.to_string(),
            path: percent_encoding::percent_decode_str(head.uri.path())
                .decode_utf8_lossy()
                .into_owned(),
            query: parameters(head.uri.query().unwrap_or_default()),
            headers: Headers::of_wire(&head.headers),
            body: Body::of_wire(body),
            ..Request::default()
        };
        match self.find(&came) {
            Ok(response) => write(&self.source.response(&response)),
            Err(wrong) => refuse(500, &wrong),
        }
    }

    /// The response of the interaction that the request is; of several, the one used least.
    fn find(&self, came: &Request) -> Result<Response, Value> {
        let calls = self.pact.interactions.iter().enumerate();
        let calls = calls.filter_map(|(index, interaction)| match &interaction.exchange {
            Exchange::Http(http) => Some((index, interaction, http)),
            Exchange::Message(_) => None,
        });
        let judged: Vec<_> = calls
            .map(|(index, interaction, http)| {
                (index, interaction, http, match_request(&http.request, came))
            })
            .collect();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = judged.iter().filter(|(.., wrong)| wrong.is_empty());
        if let Some((index, _, http, _)) = fitting.min_by_key(|(index, ..)| used.times[*index]) {
            used.times[*index] += 1;
            return Ok(http.response.clone());
        }
        // The one that is meant is most likely the one with the same method and path.
        let elsewhere = |wrong: &[Mismatch]| {
            let places = wrong
                .iter()
                .filter(|m| matches!(m.path.as_str(), "$.method" | "$.path"));
            places.count()
        };
        let nearest = judged
            .iter()
            .min_by_key(|(.., wrong)| (elsewhere(wrong), wrong.len()));
        let mut text = format!("not expected: {} {}", came.method, came.path);
        let mut list = Vec::new();
        if let Some((_, interaction, _, wrong)) = nearest {
            let _ = write!(text, "\n  nearest: {}", interaction.title());
            for mismatch in wrong {
                let _ = write!(text, "\n    {mismatch}");
                list.push(mismatch.to_string());
            }
        }
        if used.unexpected.len() < MOST_TOLD {
            used.unexpected.push(text);
        }
        Err(json!({ "error": "this call is not in the contract", "mismatches": list }))
    }
}

fn refuse(status: u16, value: &Value) -> Answer<Full<Bytes>> {
    write(&Response {
        status,
        body: Body::json(value),
        ..Response::default()
    })
}

/// A response as it goes over the wire. What cannot be a field is left out.
fn write(response: &Response) -> Answer<Full<Bytes>> {
    let mut builder = Answer::builder().status(response.status);
    for (name, values) in response.headers.iter() {
        for value in values {
            builder = builder.header(name, value);
        }
    }
    if response.headers.get("content-type").is_none()
        && let Some(media_type) = response.media_type()
    {
        builder = builder.header("content-type", media_type.to_string());
    }
    let answer = builder.body(Full::new(response.body.bytes()));
    answer.unwrap_or_else(|_| Answer::new(Full::new(Bytes::from_static(b"no answer"))))
}
