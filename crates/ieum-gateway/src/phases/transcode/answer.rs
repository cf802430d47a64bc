//! What is answered: one message as JSON, or a stream of them as lines or events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use ieum_grpc::transcode::{Match, StreamForm, Transcoder};
use ieum_grpc::{Code as GrpcCode, Status};
use tokio::time::Instant;

use super::problem;
use super::rpc::{self, Head, ReadError, Running};
use crate::body::{ResponseBody, Translate, Translated};
use crate::errors::{Code, Refusal};
use crate::phases::accept::Exchange;
use crate::phases::proxy::Answered;
use crate::phases::transform;

/// What translates the answer to one request.
pub(super) struct Translation {
    /// The service, as people know it.
    pub(super) upstream: Arc<str>,
    pub(super) transcoder: Arc<Transcoder>,
    pub(super) found: Match,
    /// The largest message, in bytes.
    pub(super) most: u64,
    /// What the client accepts.
    pub(super) accept: Option<HeaderValue>,
    /// The longest silence inside a stream.
    pub(super) silence: Duration,
    /// When one message must be here.
    pub(super) deadline: Instant,
}

impl Translation {
    /// The answer to a call that is answered by one message.
    pub(super) async fn single(
        self,
        exchange: &mut Exchange,
        answered: Answered,
    ) -> Result<Response<ResponseBody>, Box<Refusal>> {
        let Answered {
            response,
            held,
            span,
            ..
        } = answered;
        let headers = metadata(response.headers());
        let mut running = Running::new(held, span);
        let mut message = None;
        let read = rpc::read(response, self.most, |came| match message.replace(came) {
            None => Ok(()),
            Some(_) => Err(ReadError::TooMany),
        });
        let status = match tokio::time::timeout_at(self.deadline, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                running.failed(GrpcCode::Internal);
                return Err(self.unreadable(&error));
            }
            Err(_) => {
                running.failed(GrpcCode::DeadlineExceeded);
                let detail = format!("`{}` did not answer in time", self.upstream);
                return Err(Refusal::new(Code::Timeout, detail));
            }
        };
        running.ended(status.code);
        drop(running);
        if status.code != GrpcCode::Ok {
            return Ok(self.failed(exchange, &status, &headers));
        }
        let message = message.ok_or_else(|| self.unreadable(&ReadError::NoMessage))?;
        let answer = self.transcoder.answer(&self.found, &message);
        let answer = answer.map_err(|error| Refusal::new(Code::BadGateway, error.to_string()))?;
        exchange.grpc = Some(GrpcCode::Ok);
        let mut response = Response::new(ResponseBody::from(answer.body));
        *response.headers_mut() = headers;
        let kind = HeaderValue::try_from(&*answer.media_type);
        let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(response)
    }

    /// The answer to a call that is answered by any number of messages. Its head goes out as soon as
    /// the service's has come, so that a client sees that it waits for something.
    pub(super) fn stream(
        self,
        exchange: &mut Exchange,
        answered: Answered,
    ) -> Result<Response<ResponseBody>, Box<Refusal>> {
        let Answered {
            response,
            held,
            span,
            ..
        } = answered;
        let headers = metadata(response.headers());
        let mut running = Running::new(held, span);
        match rpc::head(&response) {
            Ok(Head::Messages) => {}
            Ok(Head::Status(status)) => {
                running.ended(status.code);
                return Ok(match status.code {
                    GrpcCode::Ok => self.empty(exchange, headers),
                    _ => self.failed(exchange, &status, &headers),
                });
            }
            Err(error) => {
                running.failed(GrpcCode::Internal);
                return Err(self.unreadable(&error));
            }
        }
        // Until it has ended, as if the client left.
        exchange.grpc = Some(GrpcCode::Cancelled);
        let form = self.form();
        let translate = Translate {
            upstream: self.upstream,
            transcoder: self.transcoder,
            found: self.found,
            form,
        };
        let body = response.into_body();
        let translated = Translated::new(body, translate, running, (self.most, self.silence));
        let body = ResponseBody::translated(translated);
        Ok(streamed(body, form, headers))
    }

    fn form(&self) -> StreamForm {
        let accept = self.accept.as_ref();
        StreamForm::wanted(accept.and_then(|accept| accept.to_str().ok()))
    }

    /// A stream of no messages.
    fn empty(&self, exchange: &mut Exchange, headers: HeaderMap) -> Response<ResponseBody> {
        exchange.grpc = Some(GrpcCode::Ok);
        streamed(ResponseBody::from(Bytes::new()), self.form(), headers)
    }

    fn unreadable(&self, error: &ReadError) -> Box<Refusal> {
        Refusal::new(Code::BadGateway, format!("`{}`: {error}", self.upstream))
    }

    /// The answer to a call that failed: the status as problem details.
    fn failed(
        &self,
        exchange: &mut Exchange,
        status: &Status,
        headers: &HeaderMap,
    ) -> Response<ResponseBody> {
        exchange.code = Some(Code::GrpcStatus);
        exchange
            .span
            .set("rpc.grpc.status_code", i64::from(status.code.number()));
        let problem = problem::of_status(status, self.transcoder.descriptors());
        let problem = problem.instance(exchange.target.path());
        let mut response = problem.into_response();
        for (name, value) in headers {
            if !response.headers().contains_key(name) {
                response.headers_mut().append(name.clone(), value.clone());
            }
        }
        response
    }
}

fn streamed(body: ResponseBody, form: StreamForm, headers: HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    // What is live is nobody's to keep.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What of the metadata that was answered are headers outside: not what gRPC itself says, nor what is
/// said of a body that is another one now.
fn metadata(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    transform::drop_hop_by_hop(&mut headers);
    transform::drop_where(&mut headers, |name| {
        let name = name.as_str();
        name.starts_with("grpc-")
            || name.ends_with("-bin")
            || name.starts_with("content-")
            || matches!(name, "trailer" | "etag" | "accept-ranges")
    });
    headers
}
