//! One question to an instance, and what the answer means.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use ieum_base::redact;
use ieum_http::{Connector, HttpClient, Target};

use crate::{CheckKind, Status};

/// Asks instances how they are.
pub(super) struct Prober {
    pub(super) http: HttpClient,
    pub(super) connector: Connector,
    pub(super) most_output: usize,
}

/// What was found out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) status: Status,
    pub(super) output: String,
}

impl Finding {
    fn critical(output: impl Into<String>) -> Self {
        Self {
            status: Status::Critical,
            output: output.into(),
        }
    }
}

impl Prober {
    /// Asks once, within the check's timeout; `None` for one that is not asked.
    pub(super) async fn ask(&self, kind: &CheckKind) -> Option<Finding> {
        let (finding, timeout) = match kind {
            CheckKind::Http {
                url,
                method,
                timeout,
                headers,
                body,
                ..
            } => {
                let question = request(url, method, headers, body);
                let asked = self.ask_http(url, method, question);
                (within(*timeout, asked).await, timeout)
            }
            CheckKind::Tcp {
                address, timeout, ..
            } => (within(*timeout, self.ask_tcp(address)).await, timeout),
            CheckKind::Ttl { .. } | CheckKind::Told | CheckKind::Elsewhere => return None,
        };
        Some(finding.unwrap_or_else(|| Finding::critical(format!("no answer within {timeout:?}"))))
    }

    async fn ask_http(&self, url: &str, method: &str, question: Question) -> Finding {
        let url = redact::text(url);
        let request = match question {
            Ok(request) => request,
            Err(error) => return Finding::critical(format!("HTTP {method} {url}: {error}")),
        };
        match self.http.stream(request).await {
            Ok(answer) => {
                let status = answer.status();
                let body = self.beginning(answer.into_body()).await;
                Finding {
                    status: judge(status),
                    output: format!("HTTP {method} {url}: {status} Output: {body}"),
                }
            }
            Err(error) => Finding::critical(format!("HTTP {method} {url}: {}", chain(&error))),
        }
    }

    async fn ask_tcp(&self, address: &str) -> Finding {
        let connected = match Target::http(address) {
            Ok(target) => self.connector.connect(&target).await.map(drop),
            Err(error) => Err(error),
        };
        match connected {
            Ok(()) => Finding {
                status: Status::Passing,
                output: format!("TCP connect {address}: Success"),
            },
            Err(error) => Finding::critical(format!("TCP connect {address}: {}", chain(&error))),
        }
    }

    /// The first bytes of a body; the rest is not read.
    async fn beginning<B>(&self, mut body: B) -> String
    where
        B: BodyExt<Data = Bytes> + Unpin,
    {
        let mut start = Vec::new();
        while start.len() < self.most_output
            && let Some(Ok(frame)) = body.frame().await
        {
            let data = frame.into_data().unwrap_or_default();
            let room = self.most_output - start.len();
            start.extend_from_slice(&data[..room.min(data.len())]);
        }
        String::from_utf8_lossy(&start).into_owned()
    }
}

/// Consul's rule: 2xx is passing, 429 is a warning, all else is critical.
const fn judge(status: StatusCode) -> Status {
    match status.as_u16() {
        200..=299 => Status::Passing,
        429 => Status::Warning,
        _ => Status::Critical,
    }
}

type Question = Result<Request<Full<Bytes>>, http::Error>;

/// The request of an HTTP check. What was registered replaces our own fields of the same name, but
/// the connection is always ours to close.
fn request(
    url: &str,
    method: &str,
    headers: &BTreeMap<String, Vec<String>>,
    body: &str,
) -> Question {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes())?)
        .uri(url)
        .body(Full::from(body.to_owned()))?;
    let fields = request.headers_mut();
    fields.insert(USER_AGENT, HeaderValue::from_static("ieum health check"));
    fields.insert(ACCEPT, HeaderValue::from_static("text/plain, text/*, */*"));
    for (name, values) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        fields.remove(&name);
        for value in values {
            fields.append(name.clone(), HeaderValue::from_str(value)?);
        }
    }
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

/// An error and its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// `None` is "not in time".
async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(timeout, work).await.ok()
}
