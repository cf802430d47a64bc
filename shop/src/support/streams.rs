//! Event-sourced aggregates in a service's own database: read, decide, append, in one transaction.

use http::StatusCode;
use ieum::eventstore::decider::{Context, encode_all};
use ieum::eventstore::{
    Append, Decider, Error, ErrorKind, Event, Expect, Loaded, Metadata, StreamName, Version,
};
use ieum::sql::{Reader, streams};

use super::failure::{Failure, Reply};
use super::work::Work;

/// The most events of one aggregate that are folded. An order has a few dozen.
const MOST_EVENTS: usize = 4_096;

/// What a command did to an aggregate.
pub(crate) struct Acted<D: Decider> {
    /// The aggregate after it.
    pub(crate) state: D::State,
    /// What happened; nothing, if the command had taken effect before.
    pub(crate) events: Vec<D::Event>,
}

/// The stream of the aggregate `id`. An id that cannot be one names nothing.
pub(crate) fn name(category: &str, id: &str) -> Reply<StreamName> {
    StreamName::new(category, id).map_err(|_| Failure::not_found(category))
}

/// All events of a stream, oldest first.
pub(crate) fn read(db: &Reader<'_>, stream: &StreamName) -> Reply<Vec<Event>> {
    let events = streams::read_in(db, stream, Version::default(), MOST_EVENTS);
    events.map_err(of_log)
}

/// What these events add up to.
pub(crate) fn fold<D: Decider>(decider: &D, events: &[Event]) -> Reply<Loaded<D::State>> {
    let loaded = Loaded::initial(decider).after(decider, events);
    loaded.map_err(Failure::internal)
}

/// Decides `command` and appends what happened. Nobody appends in between: the transaction that
/// reads the stream is the one that writes it, and has locked it.
pub(crate) fn act<D: Decider>(
    work: &Work<'_>,
    decider: &D,
    stream: &StreamName,
    command: &D::Command,
) -> Reply<Result<Acted<D>, D::Error>> {
    work.lock(&format!("stream {stream}"))?;
    let Loaded { state, version } = fold(decider, &read(work, stream)?)?;
    let events = match decider.decide(&state, command) {
        Ok(events) => events,
        Err(refusal) => return Ok(Err(refusal)),
    };
    append(work, stream, version, &events)?;
    let state = events
        .iter()
        .fold(state, |state, event| decider.evolve(state, event));
    Ok(Ok(Acted { state, events }))
}

fn append<E: serde::Serialize>(
    work: &Work<'_>,
    stream: &StreamName,
    version: Version,
    events: &[E],
) -> Reply<()> {
    if events.is_empty() {
        return Ok(());
    }
    let context = Context {
        clock: work.tx().clock().clone(),
        metadata: work.trace().map(Metadata::within).unwrap_or_default(),
    };
    let events = encode_all(events, &context).map_err(Failure::internal)?;
    let append = Append::to(stream.clone(), Expect::Version(version), events);
    streams::append_in(work.tx(), &append).map_err(of_log)?;
    Ok(())
}

/// A full disk and an engine that does not answer pass; everything else is our fault.
fn of_log(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::Full | ErrorKind::Unavailable => {
            tracing::warn!(%error, "an event was not written");
            let detail = "the store takes nothing at the moment: try again";
            Failure::not_yet(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
        _ => Failure::internal(error),
    }
}
