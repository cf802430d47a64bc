//! The shop as its customers see it: HTTP through the gateway, and patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use ieum::base::{Backoff, Deadline, Rng, Secret, Tasks};
use ieum::http::{HttpClient, Problem};
use serde_json::Value;

/// How long one attempt may take; less where another gateway may answer.
const ATTEMPT: Duration = Duration::from_secs(20);
const ATTEMPT_AT_ONE: Duration = Duration::from_secs(5);
/// How long it is tried again.
const PATIENCE: Duration = Duration::from_secs(120);

/// The gateway, or one of several, from outside. Clones share connections.
#[derive(Clone)]
pub(super) struct Gateway {
    http: HttpClient,
    bases: Arc<[String]>,
    /// Which of them is asked.
    present: Arc<AtomicUsize>,
    backoff: Backoff,
}

/// A request that is to be sent until it is answered.
#[derive(Clone, Copy, Default)]
pub(super) struct Ask<'a> {
    pub(super) token: Option<&'a Secret>,
    pub(super) key: Option<&'a str>,
    /// JSON.
    pub(super) body: Option<&'a str>,
}

impl Gateway {
    /// The gateways at `bases`, at least one, like `http://127.0.0.1:8080`.
    pub(super) fn new(bases: Vec<String>, tasks: Tasks) -> Self {
        Self {
            http: HttpClient::new(tasks),
            bases: bases.into(),
            present: Arc::default(),
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2)),
        }
    }

    /// Sends until there is an answer that another attempt would not change.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        ask: Ask<'_>,
    ) -> Result<(StatusCode, Value)> {
        let deadline = Deadline::after(PATIENCE);
        let mut attempt = 0;
        loop {
            let at = self.present.load(Ordering::Relaxed);
            let request = self.request(at, &method, path, ask)?;
            let patience = match self.bases.len() {
                1 => ATTEMPT,
                _ => ATTEMPT_AT_ONE,
            };
            let answer = self.http.request(request, patience).await;
            let (trouble, wait) = match &answer {
                Ok(answer) if !is_passing(answer.status()) => return Ok(read(answer)),
                Ok(answer) => {
                    let problem = Problem::from_response(answer);
                    let wait = problem
                        .retry_after
                        .map_or(Duration::ZERO, Duration::from_secs);
                    (anyhow!("{problem}"), wait)
                }
                Err(error) => {
                    // It does not answer: another may. Of many who find out, one turns.
                    let next = (at + 1) % self.bases.len();
                    let (now, turned) = (Ordering::Relaxed, Ordering::Relaxed);
                    let _ = self.present.compare_exchange(at, next, now, turned);
                    (anyhow!("{error}"), Duration::ZERO)
                }
            };
            attempt += 1;
            let pause = self.backoff.delay(attempt, &Rng::system()).max(wait);
            if deadline.left() <= pause {
                return Err(trouble.context(format!("{method} {path} failed {attempt} times")));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// As [`Gateway::ask`]; an answer that is no success is an error.
    pub(super) async fn must(&self, method: Method, path: &str, ask: Ask<'_>) -> Result<Value> {
        let (status, body) = self.ask(method.clone(), path, ask).await?;
        if !status.is_success() {
            bail!("{method} {path} was answered {status}: {body}");
        }
        Ok(body)
    }

    fn request(
        &self,
        at: usize,
        method: &Method,
        path: &str,
        ask: Ask<'_>,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.bases[at]));
        if let Some(token) = ask.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(key) = ask.key {
            request = request.header("idempotency-key", key);
        }
        if ask.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Bytes::copy_from_slice(ask.body.unwrap_or_default().as_bytes());
        request
            .body(Full::new(body))
            .with_context(|| format!("{method} {path}"))
    }
}

/// True for what a later attempt may be answered otherwise.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..=599)
}

fn read(answer: &Response<Bytes>) -> (StatusCode, Value) {
    let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    (answer.status(), body)
}
