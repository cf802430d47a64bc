//! The one connection of a broker: made once, made again by itself for ever, and asked with a bound.
//!
//! The client library keeps what it is given while there is no connection, and sends it later. Nothing
//! here counts as done before its answer came: without a connection a request is refused at once, and
//! one whose connection is lost ends as unknown.

use std::future::Future;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, response::Response, stream};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Request, StatusCode};
use bytes::Bytes;
use ieum_base::{Backoff, Clock, EngineUrl, Rng};
use ieum_messaging::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

use crate::config::Config;
use crate::error::{no_jetstream, not_connected, refused};

/// A connection with its settings.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// How often the connection was lost.
    losses: watch::Receiver<u64>,
}

/// What JetStream says of a message that it took.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Stored {
    /// Its place in the stream.
    pub(crate) seq: u64,
    /// Whether its id was known: then this is the place of the first one.
    #[serde(default)]
    pub(crate) duplicate: bool,
}

/// Why a message was not stored.
pub(crate) enum NotStored {
    /// The subject has another last message than was expected.
    Outrun,
    /// No stream takes the subject.
    NoStream,
    /// Anything else.
    Failed(Error),
}

/// A message as a stream keeps it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    /// When the stream took it, in nanoseconds since 1970 by the server's clock.
    pub(crate) stamp: i64,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// The answer to a look at one message.
#[derive(Deserialize)]
struct Got {
    message: stream::RawMessage,
}

/// Which message of a stream is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// The one at this place.
    At(u64),
    /// The first one at this place or behind it.
    AtOrAfter(u64),
    /// The last one of this subject.
    LastOf(&'a str),
}

impl Which<'_> {
    fn asked(self) -> serde_json::Value {
        match self {
            Self::At(seq) => json!({ "seq": seq }),
            Self::AtOrAfter(seq) => json!({ "seq": seq, "next_by_subj": ">" }),
            Self::LastOf(subject) => json!({ "last_by_subj": subject }),
        }
    }
}

impl Connection {
    /// Connects, and makes sure that there is JetStream.
    pub(crate) async fn open(url: &EngineUrl, config: Config, clock: &Clock) -> Result<Self> {
        let (lost, losses) = watch::channel(0);
        let shown = url.to_string();
        let options = credentials(url, &config, options(&config, lost, shown)).await?;
        let scheme = url.scheme();
        let servers: Vec<async_nats::ServerAddr> = url
            .authority()
            .split(',')
            .map(|server| format!("{scheme}://{server}").parse())
            .collect::<Result<_, _>>()
            .map_err(|error: std::io::Error| {
                let why = format!("{url} is no URL of a NATS server: {error}");
                Error::new(ErrorKind::Invalid, why).caused_by(error)
            })?;
        let client = options
            .connect(servers)
            .await
            .map_err(|error| not_connected(url, error))?;
        let connection = Self {
            client,
            config,
            clock: clock.clone(),
            losses,
        };
        connection.check_jetstream(url).await?;
        Ok(connection)
    }

    async fn check_jetstream(&self, url: &EngineUrl) -> Result<()> {
        if !self.client.server_info().headers {
            let why = format!("{url} is older than NATS 2.2 and has no headers: use 2.9 or later");
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let doing = "looking for JetStream";
        match self
            .api::<serde_json::Value>(doing, "INFO", &json!({}))
            .await
        {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(no_jetstream(url, &error.to_string())),
            Err(error) if error.is_nobody() => Err(no_jetstream(url, "nobody answers for it")),
            Err(Unanswered(error, _)) => Err(error),
        }
    }

    /// How often the connection was lost so far.
    pub(crate) fn losses(&self) -> u64 {
        *self.losses.borrow()
    }

    /// Resolves when the connection is lost once more than `before`. Cancel safe.
    pub(crate) async fn lost_since(&self, before: u64) {
        let mut losses = self.losses.clone();
        if losses.wait_for(|losses| *losses > before).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs `work` as long as there is a connection, and no longer than an answer may take.
    pub(crate) async fn guarded<T>(&self, doing: &str, work: impl Future<Output = T>) -> Result<T> {
        let before = self.losses();
        let failed = |why: &str| Error::new(ErrorKind::Unavailable, format!("{doing} ({why})"));
        if self.client.connection_state() != State::Connected {
            return Err(failed("there is no connection"));
        }
        tokio::select! {
            biased;
            done = tokio::time::timeout(self.config.answer, work) => {
                done.map_err(|_| failed("no answer came in time"))
            }
            () = self.lost_since(before) => Err(failed("the connection was lost")),
        }
    }

    async fn ask(
        &self,
        doing: &str,
        subject: String,
        request: Request,
    ) -> Result<async_nats::Message, Unanswered> {
        let asked = self.client.send_request(subject, request.timeout(None));
        let answer = self.guarded(doing, asked).await;
        answer
            .map_err(|error| Unanswered(error, false))?
            .map_err(|error| {
                let nobody = error.kind() == async_nats::RequestErrorKind::NoResponders;
                let kind = match error.kind() {
                    async_nats::RequestErrorKind::MaxPayloadExceeded => ErrorKind::Invalid,
                    _ => ErrorKind::Unavailable,
                };
                let context = format!("{doing} ({error})");
                Unanswered(Error::new(kind, context).caused_by(error), nobody)
            })
    }

    /// Asks JetStream's API; the inner error is its refusal.
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        doing: &str,
        subject: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<Result<T, jetstream::Error>, Unanswered> {
        let request = Request::new().payload(written(doing, body)?.into());
        let subject = format!("$JS.API.{subject}");
        let answer = self.ask(doing, subject, request).await?;
        match serde_json::from_slice(&answer.payload) {
            Ok(Response::Ok(answer)) => Ok(Ok(answer)),
            Ok(Response::Err { error }) => Ok(Err(error)),
            Err(error) => Err(Unanswered(not_understood(doing, error), false)),
        }
    }

    /// Stores a message and waits until its stream has it. What happened is unknown after an error,
    /// unless it says otherwise.
    pub(crate) async fn store(
        &self,
        doing: &str,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Stored, NotStored> {
        let request = Request::new().headers(headers).payload(payload);
        let answer = match self.ask(doing, subject, request).await {
            Ok(answer) if answer.status == Some(StatusCode::NO_RESPONDERS) => {
                return Err(NotStored::NoStream);
            }
            Ok(answer) => answer,
            Err(error) if error.is_nobody() => return Err(NotStored::NoStream),
            Err(Unanswered(error, _)) => return Err(NotStored::Failed(error)),
        };
        match serde_json::from_slice(&answer.payload) {
            Ok(Response::Ok(stored)) => Ok(stored),
            Ok(Response::Err { error }) if is_outrun(&error) => Err(NotStored::Outrun),
            Ok(Response::Err { error }) => Err(NotStored::Failed(refused(doing, error))),
            Err(error) => Err(NotStored::Failed(not_understood(doing, error))),
        }
    }

    /// One message of a stream, from its leader; `None` if there is none.
    pub(crate) async fn get(
        &self,
        doing: &str,
        stream: &str,
        which: Which<'_>,
    ) -> Result<Option<Kept>> {
        if matches!(which, Which::At(0)) {
            return Ok(None);
        }
        let subject = format!("STREAM.MSG.GET.{stream}");
        let got: Got = match self.api(doing, &subject, &which.asked()).await? {
            Ok(got) => got,
            Err(error) if error.error_code() == jetstream::ErrorCode::NO_MESSAGE_FOUND => {
                return Ok(None);
            }
            Err(error) if error.code() == 404 => return Ok(None),
            Err(error) => return Err(refused(doing, error)),
        };
        let stamp = got.message.time.unix_timestamp_nanos();
        let message = jetstream::message::StreamMessage::try_from(got.message);
        let message = message.map_err(|error| not_understood(doing, error))?;
        Ok(Some(Kept {
            seq: message.sequence,
            stamp: i64::try_from(stamp).unwrap_or(i64::MAX),
            headers: message.headers,
            payload: message.payload,
        }))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A request without an answer, and whether that is because nobody listens.
pub(crate) struct Unanswered(Error, bool);

impl Unanswered {
    pub(crate) const fn is_nobody(&self) -> bool {
        self.1
    }
}

impl From<Unanswered> for Error {
    fn from(Unanswered(error, _): Unanswered) -> Self {
        error
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self(error, false)
    }
}

fn is_outrun(error: &jetstream::Error) -> bool {
    use jetstream::ErrorCode as Code;
    let code = error.error_code();
    code == Code::STREAM_WRONG_LAST_SEQUENCE || code == Code::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
}

fn written(doing: &str, body: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(body).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("{doing}: {error}")).caused_by(error)
    })
}

fn not_understood(
    doing: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let error = error.into();
    let why = format!("{doing}: the server's answer is not understood: {error}");
    Error::new(ErrorKind::Internal, why).caused_by(error)
}

fn options(config: &Config, lost: watch::Sender<u64>, shown: String) -> ConnectOptions {
    let (backoff, rng) = (Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), Rng::system());
    let options = ConnectOptions::new()
        .name("ieum")
        .connection_timeout(config.connect)
        .request_timeout(Some(config.answer))
        .ping_interval(PING)
        .max_reconnects(None)
        .reconnect_delay_callback(move |attempt| {
            let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
            backoff.delay(attempt, &rng)
        })
        .event_callback(move |event| {
            note(&event, &lost, &shown);
            std::future::ready(())
        });
    match &config.ca {
        Some(file) => options.add_root_certificates(file.into()),
        None => options,
    }
}

/// A user alone is a token, as NATS has it.
async fn credentials(
    url: &EngineUrl,
    config: &Config,
    options: ConnectOptions,
) -> Result<ConnectOptions> {
    if let Some(file) = &config.creds {
        return options.credentials_file(file).await.map_err(|error| {
            let why = format!("the credentials in `{file}` for {url} cannot be read: {error}");
            Error::new(ErrorKind::Invalid, why).caused_by(error)
        });
    }
    Ok(match (url.user(), url.password()) {
        (Some(user), Some(password)) => {
            options.user_and_password(user.to_owned(), password.expose().clone())
        }
        (Some(token), None) if !token.is_empty() => options.token(token.to_owned()),
        _ => options,
    })
}

fn note(event: &Event, lost: &watch::Sender<u64>, url: &str) {
    match event {
        Event::Disconnected => {
            lost.send_modify(|losses| *losses += 1);
            tracing::warn!(url, "lost the connection; connecting again");
        }
        Event::Connected => tracing::info!(url, "connected"),
        Event::SlowConsumer(_) => {
            // The next message shows the gap, and its reader starts again before it.
            tracing::warn!(url, "messages were dropped because they came too fast");
        }
        other => tracing::debug!(url, event = %other, "the connection"),
    }
}

/// How often the server must answer a ping; two that it does not answer end the connection.
const PING: Duration = Duration::from_secs(4);
/// The pauses before connecting again.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
