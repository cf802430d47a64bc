//! Handlers and how they fail.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::Delivery;

/// What a handler answers.
pub type HandlerResult = Result<(), HandlerError>;

/// Why a message was not handled.
///
/// An error that is passed on with `?` is a [`Retry`](Self::Retry): what is not known to be a
/// business no is technical. For that conversion this type is no `std::error::Error` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerError {
    /// A technical failure: the message is tried again, after a pause.
    Retry(String),
    /// A business no: trying again cannot help. The message becomes a dead letter.
    Reject(String),
}

impl HandlerError {
    /// A technical failure.
    pub fn retry(why: impl std::fmt::Display) -> Self {
        Self::Retry(why.to_string())
    }

    /// A business no.
    pub fn reject(why: impl std::fmt::Display) -> Self {
        Self::Reject(why.to_string())
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    /// The texts of the error and of its causes.
    fn from(error: E) -> Self {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            why.push_str(": ");
            why.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self::Retry(why)
    }
}

type Handler = Arc<dyn Fn(Delivery) -> BoxFuture<'static, HandlerResult> + Send + Sync>;

/// The handlers of one topic, by the type of message.
#[derive(Clone, Default)]
pub(super) struct Routes {
    by_kind: HashMap<String, Handler>,
    otherwise: Option<Handler>,
    /// A type that was given two handlers.
    pub(super) twice: Option<String>,
}

impl Routes {
    pub(super) fn add<F, R>(&mut self, kind: String, handler: F)
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        if self.by_kind.insert(kind.clone(), boxed(handler)).is_some() {
            self.twice = Some(kind);
        }
    }

    pub(super) fn add_otherwise<F, R>(&mut self, handler: F)
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        if self.otherwise.replace(boxed(handler)).is_some() {
            self.twice = Some("otherwise".to_owned());
        }
    }

    pub(super) fn find(&self, kind: &str) -> Option<&Handler> {
        self.by_kind.get(kind).or(self.otherwise.as_ref())
    }
}

fn boxed<F, R>(handler: F) -> Handler
where
    F: Fn(Delivery) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    Arc::new(move |delivery| handler(delivery).boxed())
}

/// Runs a handler once; a panic, also of the call itself, is a technical failure.
pub(super) async fn call(handler: &Handler, delivery: Delivery) -> HandlerResult {
    let running = AssertUnwindSafe(async move { handler(delivery).await });
    running.catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        let why = text.unwrap_or_else(|| "without a text".to_owned());
        Err(HandlerError::Retry(format!("the handler panicked: {why}")))
    })
}
