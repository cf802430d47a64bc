//! One transaction of a service: its tables, its streams and what it tells the others.

use std::ops::Deref;

use ieum::base::trace::TraceContext;
use ieum::base::{Timestamp, Uuid};
use ieum::messaging::Message;
use ieum::sql::{Tx, outbox};
use serde::Serialize;

use super::failure::Reply;
use super::sabotage::Sabotage;
use super::service::Spec;

/// The value of the extension `flow` on events of orders that the saga engine drives.
pub(crate) const ORCHESTRATED: Option<&'static str> = Some("orchestrated");
/// The value of the extension `flow` on events of orders that events alone drive.
pub(crate) const CHOREOGRAPHED: Option<&'static str> = Some("choreographed");

/// The inside of a transaction. Everything done through it commits together or not at all.
pub(crate) struct Work<'a> {
    tx: &'a Tx<'a>,
    spec: &'a Spec,
    trace: Option<&'a TraceContext>,
    sabotage: Option<Sabotage>,
}

impl<'a> Work<'a> {
    /// The work of `spec`'s service inside `tx`, done for the request that `trace` names.
    pub(super) const fn new(
        tx: &'a Tx<'a>,
        spec: &'a Spec,
        trace: Option<&'a TraceContext>,
        sabotage: Option<Sabotage>,
    ) -> Self {
        Self {
            tx,
            spec,
            trace,
            sabotage,
        }
    }

    /// The transaction itself.
    pub(super) const fn tx(&self) -> &'a Tx<'a> {
        self.tx
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.tx.now()
    }

    /// A new id; later ones sort later.
    pub(crate) fn new_id(&self) -> Uuid {
        self.tx.new_id()
    }

    /// The defect that was planted, if any.
    pub(crate) const fn sabotage(&self) -> Option<Sabotage> {
        self.sabotage
    }

    /// Who asked for the work: the W3C trace context.
    pub(super) const fn trace(&self) -> Option<&'a TraceContext> {
        self.trace
    }

    /// Tells the others, on the service's own topic, what happened to `key`. It is sent if and only
    /// if the transaction commits. Messages of one key stay in order.
    pub(crate) fn publish<T: Serialize + ?Sized>(
        &self,
        kind: &str,
        key: &str,
        flow: Option<&str>,
        data: &T,
    ) -> Reply<()> {
        let source = format!("/{}", self.spec.name);
        let mut message = Message::new(source, self.new_id().to_string(), kind, data)?;
        message.subject = Some(key.to_owned());
        message.key = Some(key.to_owned());
        message.time = Some(self.now());
        if let Some(trace) = self.trace {
            message = message.within(trace);
        }
        if let Some(flow) = flow {
            message.extensions.insert("flow".to_owned(), flow.into());
        }
        outbox::publish(self.tx, self.spec.topic, &message)?;
        Ok(())
    }
}

impl<'a> Deref for Work<'a> {
    type Target = Tx<'a>;

    fn deref(&self) -> &Tx<'a> {
        self.tx
    }
}
