//! One attempt after the other at one message.

use ieum_base::trace::{self, Span, SpanKind};
use std::sync::atomic::Ordering;

use super::HandlerError;
use super::batch::Outcome;
use super::handler::call;
use super::service::Worker;
use crate::{Delivery, telemetry};

impl Worker {
    /// Tries a message until it is handled or given up; `None` if the stop came first.
    pub(super) async fn handle(&self, delivery: Delivery) -> Option<Outcome> {
        let Some(handler) = self.routes.find(&delivery.message.kind) else {
            return Some(Outcome::Handled);
        };
        let mut attempt = 1;
        loop {
            // A message that waits for its next attempt takes no turn from other keys. It is never
            // closed: this value owns it.
            let turn = self.turns.acquire().await;
            let mut span = self.span(&delivery, attempt);
            let work = call(handler, delivery.clone());
            let answer = trace::scope(span.context().clone(), work).await;
            drop(turn);
            let why = match answer {
                Ok(()) => {
                    self.counters.handled.fetch_add(1, Ordering::Relaxed);
                    return Some(Outcome::Handled);
                }
                Err(HandlerError::Reject(why)) => {
                    span.fail(why.clone());
                    return Some(Outcome::GaveUp(why));
                }
                Err(HandlerError::Retry(why)) => why,
            };
            span.fail(why.clone());
            drop(span);
            if attempt >= self.config().attempts {
                return Some(Outcome::GaveUp(format!("{why} (after {attempt} attempts)")));
            }
            self.counters.retried.fetch_add(1, Ordering::Relaxed);
            let message = &delivery.message;
            let (kind, id) = (&message.kind, &message.id);
            tracing::warn!(topic = self.topic, kind, id, attempt, why, "trying again");
            let pause = self.config().backoff().delay(attempt, self.rng());
            self.stop
                .unless_requested(tokio::time::sleep(pause))
                .await?;
            attempt += 1;
        }
    }

    fn span(&self, delivery: &Delivery, attempt: u32) -> Span {
        let message = &delivery.message;
        let name = format!("{} {}", telemetry::SPAN_PROCESS, message.kind);
        let span = self.tracer().span(name).kind(SpanKind::Consumer);
        let mut span = span.parent(message.trace_context()).start();
        if !span.is_recorded() {
            return span;
        }
        span.set(telemetry::SYSTEM, telemetry::SYSTEM_IEUM);
        span.set(telemetry::DESTINATION, self.topic.clone());
        span.set(telemetry::GROUP, self.group().to_owned());
        span.set(telemetry::MESSAGE_ID, message.id.clone());
        span.set(telemetry::MESSAGE_TYPE, message.kind.clone());
        span.set(telemetry::ATTEMPT, i64::from(attempt));
        let order = message.extension(telemetry::ORDER_ID_EXTENSION);
        let is_order = message.kind.starts_with("order.");
        if let Some(order) = order.or(message.subject.as_deref().filter(|_| is_order)) {
            span.set(telemetry::ORDER_ID, order.to_owned());
        }
        span
    }

    /// Tells an operator about a dead letter. The reason is the service's own text.
    pub(super) fn report(&self, delivery: &Delivery, reason: &str) {
        let message = &delivery.message;
        tracing::error!(
            topic = self.topic,
            group = self.group(),
            position = delivery.position,
            kind = message.kind,
            id = message.id,
            reason,
            "a message became a dead letter; its key waits behind it"
        );
    }
}
