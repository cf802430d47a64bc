//! Calls of both services: signed, repeated while the service does not take them.
//!
//! SQS speaks JSON, SNS forms and XML. Every call that is made here may be made twice: what is made is
//! there already, a message is known by its id, an attempt to receive has a name.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use ieum_base::{Backoff, Clock, Rng, Tasks};
use ieum_http::HttpClient;
use ieum_messaging::{Error, ErrorKind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::{Failure, is_throttled};
use crate::sign::{self, Scope};
use crate::xml::{self, Element};

/// A client of both services.
#[derive(Debug)]
pub(crate) struct Api {
    client: HttpClient,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    rng: Rng,
}

/// One of the services.
#[derive(Clone, Copy)]
enum Service {
    Sns,
    Sqs,
}

/// What became of the entries of a batch that failed for good.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: usize,
    pub(crate) is_senders_fault: bool,
    pub(crate) why: String,
}

impl Api {
    pub(crate) fn new(config: Config, clock: &Clock, tasks: &Tasks) -> Self {
        Self {
            client: HttpClient::new(tasks.clone()),
            config,
            clock: clock.clone(),
            rng: Rng::system(),
        }
    }

    /// Where the services are, for people.
    pub(crate) fn place(&self) -> String {
        let own = self.config.endpoint.clone();
        own.unwrap_or_else(|| format!("AWS in {}", self.config.region))
    }

    /// Calls SQS. `wait` is how long it is asked to wait.
    pub(crate) async fn sqs(
        &self,
        action: &str,
        body: &Value,
        wait: Duration,
    ) -> Result<Value, Failure> {
        let target = format!("AmazonSQS.{action}");
        let body = Bytes::from(body.to_string());
        let answer = self.call(Service::Sqs, Some(&target), &body, wait).await?;
        if answer.body().is_empty() {
            return Ok(Value::Null);
        }
        let read = serde_json::from_slice(answer.body());
        read.map_err(|error| Failure::Strange(error.to_string()))
    }

    /// Calls SNS.
    pub(crate) async fn sns(
        &self,
        action: &str,
        parameters: &[(String, String)],
    ) -> Result<Element, Failure> {
        let mut form = format!("Action={action}&Version=2010-03-31");
        for (name, value) in parameters {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            form.push_str(&format!("&{name}={value}"));
        }
        let body = Bytes::from(form);
        let answer = self.call(Service::Sns, None, &body, Duration::ZERO).await?;
        let text = std::str::from_utf8(answer.body());
        let text = text.map_err(|error| Failure::Strange(error.to_string()))?;
        xml::parse(text).map_err(Failure::Strange)
    }

    /// Does something with many messages of a queue, ten at a time, and answers whether SQS did all of
    /// it: not so if a receipt is no longer valid. `entries` have no `Id` yet.
    pub(crate) async fn sqs_batch(
        &self,
        action: &str,
        queue: &str,
        entries: Vec<Value>,
    ) -> ieum_messaging::Result<bool> {
        for some in entries.chunks(BATCH) {
            let mut left: Vec<usize> = (0..some.len()).collect();
            for attempt in 1.. {
                let asked = left.iter().map(|id| {
                    let mut entry = some[*id].clone();
                    entry["Id"] = json!(id.to_string());
                    entry
                });
                let body = json!({"QueueUrl": queue, "Entries": asked.collect::<Vec<_>>()});
                let answer = self.sqs(action, &body, Duration::ZERO).await;
                let answer = answer.map_err(|failure| failure.of(action, &self.place()))?;
                let failed = json_failures(&answer);
                if failed.iter().any(|entry| entry.is_senders_fault) {
                    return Ok(false);
                }
                let Some(first) = failed.first() else { break };
                // Which they are must be known; else all are asked for again.
                if failed.iter().all(|entry| left.contains(&entry.id)) {
                    left = failed.iter().map(|entry| entry.id).collect();
                }
                self.pause(attempt, action, &first.why).await?;
            }
        }
        Ok(true)
    }

    /// Waits before attempt number `attempt` + 1, or says that it was the last.
    pub(crate) async fn pause(
        &self,
        attempt: u32,
        doing: &str,
        why: &str,
    ) -> ieum_messaging::Result<()> {
        if attempt >= self.config.attempts {
            let why = format!("{doing} at {} ({why})", self.place());
            return Err(Error::new(ErrorKind::Unavailable, why));
        }
        self.clock.sleep(BACKOFF.delay(attempt, &self.rng)).await;
        Ok(())
    }

    async fn call(
        &self,
        service: Service,
        target: Option<&str>,
        body: &Bytes,
        wait: Duration,
    ) -> Result<Response<Bytes>, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            // Each attempt is signed anew: a signature is of its minute.
            let request = self.request(service, target, body)?;
            let answering = self.client.request(request, self.config.answer + wait);
            let answer = answering.await.map_err(Failure::Unreachable);
            let failure = match answer {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => refusal(service, &answer),
                Err(failure) => failure,
            };
            if attempt >= self.config.attempts || !failure.is_passing() {
                return Err(failure);
            }
            self.clock.sleep(BACKOFF.delay(attempt, &self.rng)).await;
        }
    }

    fn request(
        &self,
        service: Service,
        target: Option<&str>,
        body: &Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let (name, content) = match service {
            Service::Sns => ("sns", "application/x-www-form-urlencoded"),
            Service::Sqs => ("sqs", "application/x-amz-json-1.0"),
        };
        let config = &self.config;
        let real = || format!("https://{name}.{}.amazonaws.com", config.region);
        let url = config.endpoint.clone().unwrap_or_else(real);
        let invalid = |error: http::Error| {
            let error = ieum_http::Error::new(ieum_http::ErrorKind::Invalid, error.to_string());
            Failure::Unreachable(error)
        };
        let url: Uri = format!("{url}/")
            .parse()
            .map_err(|e: http::uri::InvalidUri| invalid(e.into()))?;
        let host = url.authority().map_or("", |authority| authority.as_str());
        let date = compact(&self.clock.now().to_string());
        let mut headers = vec![
            ("content-type", content),
            ("host", host),
            ("x-amz-date", date.as_str()),
        ];
        headers.extend(target.map(|target| ("x-amz-target", target)));
        let scope = Scope {
            key: &config.key,
            secret: config.secret.expose(),
            region: &config.region,
            service: name,
            date: &date,
        };
        let authorization = sign::authorization(&scope, &headers, body);
        let authorization = HeaderValue::from_bytes(authorization.as_bytes());
        let mut authorization = authorization.map_err(|e| invalid(e.into()))?;
        authorization.set_sensitive(true);
        let mut request = Request::post(url.clone())
            .header(HOST, host)
            .header(CONTENT_TYPE, content)
            .header("x-amz-date", &date)
            .header(AUTHORIZATION, authorization);
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        request.body(Full::new(body.clone())).map_err(invalid)
    }
}

/// `2015-08-30T12:36:00.000000Z` as `20150830T123600Z`.
fn compact(time: &str) -> String {
    let seconds = time.get(..19).unwrap_or(time);
    let mut compact: String = seconds.chars().filter(|c| !"-:".contains(*c)).collect();
    compact.push('Z');
    compact
}

/// What an answer that is no success says.
fn refusal(service: Service, answer: &Response<Bytes>) -> Failure {
    let status = answer.status().as_u16();
    let said = match service {
        Service::Sqs => json_refusal(answer.body()),
        Service::Sns => xml_refusal(answer.body()),
    };
    let (code, message) = said.unwrap_or_else(|| {
        let start = answer.body().get(..200).unwrap_or(answer.body());
        (
            format!("status {status}"),
            String::from_utf8_lossy(start).into_owned(),
        )
    });
    Failure::Refused {
        code,
        message,
        status,
    }
}

fn json_refusal(body: &[u8]) -> Option<(String, String)> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let code = said["__type"].as_str()?;
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    let message = said["message"].as_str().or(said["Message"].as_str());
    Some((code.to_owned(), message.unwrap_or_default().to_owned()))
}

fn xml_refusal(body: &[u8]) -> Option<(String, String)> {
    let said = xml::parse(std::str::from_utf8(body).ok()?).ok()?;
    let error = said.find("Error")?;
    let code = error.text_of("Code").to_owned();
    Some((code, error.text_of("Message").to_owned()))
}

fn json_failures(answer: &Value) -> Vec<Entry> {
    let failed = answer["Failed"].as_array().into_iter().flatten();
    let entry = |entry: &Value| {
        let code = entry["Code"].as_str().unwrap_or_default();
        let id = entry["Id"].as_str().and_then(|id| id.parse().ok());
        Entry {
            id: id.unwrap_or(usize::MAX),
            is_senders_fault: entry["SenderFault"] == true && !is_throttled(code),
            why: format!("{code}: {}", entry["Message"].as_str().unwrap_or_default()),
        }
    };
    failed.map(entry).collect()
}

/// The most entries of one call.
pub(crate) const BATCH: usize = 10;

/// Before a call is repeated.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
