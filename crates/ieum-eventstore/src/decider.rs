//! Deciders: state from events, events from commands.
//!
//! The idea and its words are Jérémie Chassaing's ("functional event sourcing decider"): `decide` and
//! `evolve` are pure, so a business rule is tested without a store, and the store's part (read, fold,
//! append with the expected version, decide again after a lost race) is written once, here.

use ieum_base::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{
    Append, Error, ErrorKind, Event, EventStore, Expect, Metadata, NewEvent, Page, Position,
    Result, StreamName, Version,
};

/// The rules of one kind of stream.
///
/// Events are an enum with serde's `#[serde(tag = "type", content = "data")]`: the tag is the
/// event's type in the log, the content its data.
pub trait Decider {
    /// What somebody wants.
    type Command;
    /// What happened.
    type Event: Serialize + DeserializeOwned;
    /// What the events amount to.
    type State;
    /// A business no.
    type Error;

    /// The state before the first event.
    fn initial(&self) -> Self::State;

    /// The events that `command` brings about in `state`; none means that nothing is to be done.
    fn decide(
        &self,
        state: &Self::State,
        command: &Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state after `event`. It cannot fail: what happened, happened.
    fn evolve(&self, state: Self::State, event: &Self::Event) -> Self::State;
}

/// A stream as its decider sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded<S> {
    /// What its events amount to.
    pub state: S,
    /// The version of the last of them.
    pub version: Version,
}

impl<S> Loaded<S> {
    /// Nothing read yet.
    pub fn initial<D: Decider<State = S>>(decider: &D) -> Self {
        Self {
            state: decider.initial(),
            version: Version::default(),
        }
    }

    /// The same after `events`, which continue the stream. `Corrupt` if one cannot be understood.
    pub fn after<D: Decider<State = S>>(self, decider: &D, events: &[Event]) -> Result<Self> {
        events.iter().try_fold(self, |loaded, event| {
            let happened = decode(event)?;
            Ok(Self {
                state: decider.evolve(loaded.state, &happened),
                version: event.version,
            })
        })
    }
}

/// What a command brought about.
#[derive(Clone, Debug)]
pub struct Executed<S, E> {
    /// The state with the new events.
    pub state: S,
    /// The new events; empty if there was nothing to do.
    pub events: Vec<E>,
    /// The stream's version after them.
    pub version: Version,
    /// The position of the last of them; `None` if there was nothing to do.
    pub position: Option<Position>,
}

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The decider said no.
    #[error("the command was refused")]
    Refused(E),
    /// The log failed, or the race was lost too often.
    #[error(transparent)]
    Log(#[from] Error),
}

/// What travels with the events of a command.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Where ids come from.
    pub clock: Clock,
    /// The metadata of each event.
    pub metadata: Metadata,
}

/// How often a command is decided again after another writer was faster.
pub const MAX_ATTEMPTS: usize = 5;

/// Reads `stream` to its end.
pub async fn load<D: Decider>(
    store: &dyn EventStore,
    decider: &D,
    stream: &StreamName,
) -> Result<Loaded<D::State>> {
    let mut loaded = Loaded::initial(decider);
    loop {
        let events = store
            .read_stream(stream, loaded.version, Page::MAX_EVENTS)
            .await?;
        if events.is_empty() {
            return Ok(loaded);
        }
        loaded = loaded.after(decider, &events)?;
    }
}

/// Loads `stream`, decides `command`, and appends the events under the version that was read.
///
/// A lost race is decided again on the new state, at most [`MAX_ATTEMPTS`] times. Not idempotent by
/// itself: after `Unavailable` the command may have been executed.
pub async fn execute<D: Decider>(
    store: &dyn EventStore,
    decider: &D,
    stream: &StreamName,
    command: &D::Command,
    context: &Context,
) -> Result<Executed<D::State, D::Event>, ExecuteError<D::Error>> {
    let mut attempt = 1;
    loop {
        let loaded = load(store, decider, stream).await?;
        match decide_and_append(store, decider, stream, (command, context), loaded).await {
            Err(ExecuteError::Log(error))
                if matches!(error.kind(), ErrorKind::Conflict { .. }) && attempt < MAX_ATTEMPTS =>
            {
                attempt += 1;
            }
            settled => return settled,
        }
    }
}

async fn decide_and_append<D: Decider>(
    store: &dyn EventStore,
    decider: &D,
    stream: &StreamName,
    (command, context): (&D::Command, &Context),
    loaded: Loaded<D::State>,
) -> Result<Executed<D::State, D::Event>, ExecuteError<D::Error>> {
    let Loaded { state, version } = loaded;
    let events = decider
        .decide(&state, command)
        .map_err(ExecuteError::Refused)?;
    if events.is_empty() {
        return Ok(Executed {
            state,
            events,
            version,
            position: None,
        });
    }
    let new = encode_all(&events, context)?;
    let append = Append::to(stream.clone(), Expect::Version(version), new);
    let appended = store.append(append).await?;
    Ok(Executed {
        state: events
            .iter()
            .fold(state, |s, event| decider.evolve(s, event)),
        version: Version(version.0 + events.len() as u64),
        position: Some(appended.position),
        events,
    })
}

/// The events as the log takes them, each with a new id.
pub fn encode_all<E: Serialize>(events: &[E], context: &Context) -> Result<Vec<NewEvent>> {
    events.iter().map(|event| encode(event, context)).collect()
}

/// An event as the log takes it, with a new id.
pub fn encode<E: Serialize>(event: &E, context: &Context) -> Result<NewEvent> {
    let tagged = serde_json::to_string(event).and_then(|json| serde_json::from_str(&json));
    let Tagged { kind, data } = tagged.map_err(|error| {
        let why = "an event must be an enum with `#[serde(tag = \"type\", content = \"data\")]`";
        Error::new(ErrorKind::Invalid, why).caused_by(error)
    })?;
    Ok(NewEvent {
        id: context.clock.new_id(),
        kind,
        data: data.unwrap_or_else(|| RawValue::NULL.to_owned()),
        metadata: context.metadata.clone(),
        tags: Vec::new(),
    })
}

/// An event of the log as `E`. `Corrupt` if it cannot be understood.
pub fn decode<E: DeserializeOwned>(event: &Event) -> Result<E> {
    let tagged = Tagged {
        kind: event.kind.clone(),
        data: (event.data.get() != "null").then(|| event.data.clone()),
    };
    serde_json::to_string(&tagged)
        .and_then(|json| serde_json::from_str(&json))
        .map_err(|error| {
            let context = format!("event {} (`{}`)", event.position, event.kind);
            Error::new(ErrorKind::Corrupt, context).caused_by(error)
        })
}

#[derive(Serialize, serde::Deserialize)]
struct Tagged {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Store;
    use crate::testing::given;

    /// A door that opens and closes.
    struct Door;

    #[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Moved {
        #[serde(rename = "door.opened")]
        Opened { by: String },
        #[serde(rename = "door.closed")]
        Closed,
    }

    enum Move {
        Open(&'static str),
        Close,
    }

    impl Decider for Door {
        type Command = Move;
        type Event = Moved;
        type State = bool;
        type Error = &'static str;

        fn initial(&self) -> bool {
            false
        }

        fn decide(&self, open: &bool, command: &Move) -> Result<Vec<Moved>, &'static str> {
            match (command, open) {
                (Move::Open(_), true) => Err("it is open"),
                (Move::Open(by), false) => Ok(vec![Moved::Opened {
                    by: (*by).to_owned(),
                }]),
                (Move::Close, true) => Ok(vec![Moved::Closed]),
                (Move::Close, false) => Ok(Vec::new()),
            }
        }

        fn evolve(&self, _: bool, event: &Moved) -> bool {
            matches!(event, Moved::Opened { .. })
        }
    }

    fn opened() -> Moved {
        Moved::Opened { by: "Kim".into() }
    }

    #[test]
    fn a_rule_reads_as_given_when_then() {
        given(Door, []).when(&Move::Open("Kim")).then([opened()]);
        given(Door, [opened()])
            .when(&Move::Open("Lee"))
            .refused(&"it is open");
        given(Door, [opened(), Moved::Closed])
            .when(&Move::Close)
            .then([]);
    }

    #[tokio::test]
    async fn a_command_is_executed_on_what_was_stored() {
        let store = Store::new();
        let stream: StreamName = "door-1".parse().expect("a name");
        let context = Context::default();
        let run = |command| {
            let (store, stream, context) = (&store, &stream, &context);
            async move { execute(store, &Door, stream, &command, context).await }
        };
        let executed = run(Move::Open("Kim")).await.expect("opens");
        assert_eq!((executed.state, executed.version), (true, Version(1)));
        assert!(matches!(
            run(Move::Open("Lee")).await,
            Err(ExecuteError::Refused("it is open"))
        ));
        run(Move::Close).await.expect("closes");
        let nothing = run(Move::Close).await.expect("nothing to do");
        assert_eq!((nothing.position, nothing.version), (None, Version(2)));
        let loaded = load(&store, &Door, &stream).await.expect("loads");
        assert_eq!((loaded.state, loaded.version), (false, Version(2)));
    }

    #[tokio::test]
    async fn an_event_that_nobody_understands_is_an_error() {
        let store = Store::new();
        let stream: StreamName = "door-1".parse().expect("a name");
        let event = NewEvent::new(Clock::system().new_id(), "door.painted", &1).expect("an event");
        let append = Append::to(stream.clone(), Expect::Any, vec![event]);
        store.append(append).await.expect("appends");
        let error = load(&store, &Door, &stream).await.expect_err("unknown");
        assert_eq!(error.kind(), &ErrorKind::Corrupt);
    }
}
