//! A message as an event of the log, and back.
//!
//! The type, the data, the trace and the four names that the log knows go to their own places; all
//! other attributes stand in the metadata beside them, so that a message comes back as it was.

use std::fmt::Write as _;

use ieum_base::Uuid;
use ieum_eventstore::{Event, Metadata, NewEvent, StreamName};
use ieum_messaging::{Error, ErrorKind, Message, Result, SpecVersion};
use serde_json::Value;
use serde_json::value::RawValue;

/// The stream of `topic` in which messages of one ordering key stand.
///
/// The key is the stream's id; what a stream's name cannot hold is percent-encoded, and a key that
/// is too long is replaced by a UUID of it.
pub fn stream_of(topic: &str, key: &str) -> Result<StreamName> {
    let mut id = String::with_capacity(key.len());
    for c in key.chars() {
        if c == '%' || c.is_control() || c.is_whitespace() {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(id, "%{byte:02X}");
            }
        } else {
            id.push(c);
        }
    }
    if topic.len() + 1 + id.len() > StreamName::MAX_LEN {
        id = format!("%{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()));
    }
    StreamName::new(topic, id).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("publishing to `{topic}`")).caused_by(error)
    })
}

/// The message as an event; its id is [`Message::event_id`].
pub fn to_event(message: &Message) -> Result<NewEvent> {
    let mut metadata = Metadata {
        traceparent: message.traceparent.clone(),
        ..Metadata::default()
    };
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            metadata.other.insert(name.to_owned(), Value::String(value));
        }
    };
    put("id", Some(message.id.clone()));
    put("source", Some(message.source.clone()));
    put("subject", message.subject.clone());
    put("time", message.time.map(|time| time.to_string()));
    put("partitionkey", message.key.clone());
    put("datacontenttype", message.datacontenttype.clone());
    for (name, value) in &message.extensions {
        match own_place(&mut metadata, name) {
            None => {
                metadata.other.insert(name.clone(), value.clone());
            }
            Some(place) => *place = Some(text_of(name, value)?),
        }
    }
    let data = match &message.data {
        Some(data) => data.clone(),
        None => RawValue::NULL.to_owned(),
    };
    Ok(NewEvent {
        id: message.event_id(),
        kind: message.kind.clone(),
        data,
        metadata,
        tags: Vec::new(),
    })
}

/// The event as a message. An event that was appended to the topic's category as an event, not
/// published, gets its stream as source and its own id.
pub fn to_message(event: &Event) -> Message {
    let mut other = event.metadata.other.clone();
    let mut take = |name: &str| match other.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(value) => {
            other.insert(name.to_owned(), value);
            None
        }
        None => None,
    };
    let (id, source) = (take("id"), take("source"));
    let is_published = id.is_some() && source.is_some();
    let mut message = Message {
        specversion: SpecVersion::V1,
        id: id.unwrap_or_else(|| event.id.to_string()),
        source: source.unwrap_or_else(|| event.stream.to_string()),
        kind: event.kind.clone(),
        subject: take("subject"),
        time: take("time").and_then(|time| time.parse().ok()),
        key: take("partitionkey"),
        traceparent: event.metadata.traceparent.clone(),
        datacontenttype: take("datacontenttype"),
        data: (event.data.get() != "null").then(|| event.data.clone()),
        extensions: other,
    };
    if !is_published {
        message.time = message.time.or(Some(event.recorded_at));
        message.key = message.key.or_else(|| Some(event.stream.id().to_owned()));
    }
    let metadata = &event.metadata;
    let named = [
        ("correlation", &metadata.correlation),
        ("causation", &metadata.causation),
        ("tenant", &metadata.tenant),
        ("actor", &metadata.actor),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            message
                .extensions
                .insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    message
}

/// The metadata field that an extension of this name belongs to.
fn own_place<'a>(metadata: &'a mut Metadata, name: &str) -> Option<&'a mut Option<String>> {
    match name {
        "correlation" => Some(&mut metadata.correlation),
        "causation" => Some(&mut metadata.causation),
        "tenant" => Some(&mut metadata.tenant),
        "actor" => Some(&mut metadata.actor),
        _ => None,
    }
}

fn text_of(name: &str, value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| {
        let why = format!("the extension `{name}` must be a text");
        Error::new(ErrorKind::Invalid, why)
    })
}

#[cfg(test)]
mod tests {
    use ieum_base::Timestamp;
    use ieum_eventstore::{Position, Version};
    use serde_json::json;

    use super::*;

    fn recorded(new: NewEvent, stream: StreamName) -> Event {
        Event {
            position: Position(1),
            stream,
            version: Version(1),
            id: new.id,
            kind: new.kind,
            data: new.data,
            metadata: new.metadata,
            tags: new.tags,
            recorded_at: Timestamp::from_micros(1),
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let full = json!({
            "specversion": "1.0", "id": "7", "source": "/orders", "type": "order.placed",
            "subject": "o 1", "time": "2026-11-01T00:00:00.000000Z", "partitionkey": "k",
            "traceparent": "00-1", "datacontenttype": "application/json", "data": {"total": 200},
            "flow": "orchestrated", "attempt": 3, "last": true,
            "correlation": "c", "causation": "d", "tenant": "t", "actor": "a",
        });
        let bare = json!({ "specversion": "1.0", "id": "7", "source": "s", "type": "t" });
        for json in [full, bare] {
            let message: Message = serde_json::from_value(json.clone()).expect("a message");
            let stream = stream_of("order.events", message.ordering_key()).expect("a name");
            let event = to_event(&message).expect("an event");
            let back = to_message(&recorded(event, stream));
            assert_eq!(serde_json::to_value(back).expect("json"), json);
        }
    }

    #[test]
    fn a_key_of_any_form_names_a_stream() {
        let id = |key: &str| stream_of("t", key).expect("a name").id().to_owned();
        assert_eq!(id("order-1"), "order-1");
        assert_eq!(id("a b%"), "a%20b%25");
        assert_eq!(id(&"x".repeat(300)).len(), 37);
        assert_ne!(id(&"x".repeat(300)), id(&"x".repeat(301)));
    }

    #[test]
    fn an_event_that_was_not_published_is_a_message_too() {
        let new = NewEvent::new(Uuid::nil(), "thing.done", &1).expect("an event");
        let stream = "things-7".parse().expect("a name");
        let message = to_message(&recorded(new, stream));
        assert_eq!(
            (&*message.source, message.ordering_key()),
            ("things-7", "7")
        );
    }
}
