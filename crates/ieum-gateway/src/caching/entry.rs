//! A kept answer as bytes. Other processes read them, also older and newer ones.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{AGE, CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::freshness::{Freshness, varies_by};

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) freshness: Freshness,
    /// The names of the request's headers that chose it.
    pub(crate) varies_by: Vec<String>,
    pub(crate) body: Bytes,
}

/// What is behind a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Answer(Entry),
    /// Several answers, chosen by these headers of the request.
    Varies(Vec<String>),
}

/// The head of what is kept; the body follows.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    varies: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    freshness: Freshness,
}

impl Entry {
    /// The head of an answer that is to be kept; `None` if it has what cannot be kept.
    pub(crate) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        freshness: Freshness,
    ) -> Option<Self> {
        let mut kept = headers.clone();
        // Of this message only, or told anew each time.
        for name in [AGE, CONNECTION, TRANSFER_ENCODING] {
            kept.remove(name);
        }
        let legible = kept.values().all(|value| value.to_str().is_ok());
        legible.then(|| Self {
            status,
            varies_by: varies_by(headers).unwrap_or_default(),
            headers: kept,
            freshness,
            body: Bytes::new(),
        })
    }
}

impl Kept {
    pub(super) fn to_bytes(&self) -> Bytes {
        let (head, body) = match self {
            Self::Varies(names) => (
                Head {
                    version: VERSION,
                    varies: Some(names.clone()),
                    answer: None,
                },
                &Bytes::new(),
            ),
            Self::Answer(entry) => (
                Head {
                    version: VERSION,
                    varies: None,
                    answer: Some(Answer::from(entry)),
                },
                &entry.body,
            ),
        };
        // Texts and numbers always have a form in JSON.
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(4 + head.len() + body.len());
        bytes.put_u32(u32::try_from(head.len()).unwrap_or(0));
        bytes.put_slice(&head);
        bytes.put_slice(body);
        bytes.freeze()
    }

    /// `None` for what another version wrote, or is damaged: it is asked for anew.
    pub(super) fn parse(bytes: &Bytes) -> Option<Self> {
        let (length, _) = bytes.split_first_chunk::<4>()?;
        let end = 4 + usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let head: Head = serde_json::from_slice(bytes.get(4..end)?).ok()?;
        if head.version != VERSION {
            return None;
        }
        if let Some(names) = head.varies {
            return Some(Self::Varies(names));
        }
        let Answer {
            status,
            headers,
            freshness,
        } = head.answer?;
        let mut read = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            let name: HeaderName = name.parse().ok()?;
            read.append(name, HeaderValue::try_from(value).ok()?);
        }
        let mut entry = Entry::new(StatusCode::from_u16(status).ok()?, &read, freshness)?;
        entry.body = bytes.slice(end..);
        Some(Self::Answer(entry))
    }
}

impl From<&Entry> for Answer {
    fn from(entry: &Entry) -> Self {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = entry.headers.iter();
        Self {
            status: entry.status.as_u16(),
            headers: headers.map(|(n, v)| (n.to_string(), text(v))).collect(),
            freshness: entry.freshness,
        }
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use ieum_base::Timestamp;

    use super::*;

    #[test]
    fn an_answer_is_written_and_read_again() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"a\""),
            ("vary", "Accept"),
            ("x", "1"),
            ("x", "2"),
            ("age", "9"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let freshness = Freshness {
            at: Timestamp::from_micros(1_763_731_629_000_000),
            age: 1,
            lifetime: 60,
        };
        let mut entry = Entry::new(StatusCode::OK, &headers, freshness).expect("kept");
        assert_eq!(entry.varies_by, ["accept"]);
        assert!(!entry.headers.contains_key("age"));
        entry.body = Bytes::from_static(&[0, 255, 10]);
        let kept = Kept::Answer(entry);
        assert_eq!(Kept::parse(&kept.to_bytes()), Some(kept.clone()));
        let varies = Kept::Varies(vec!["accept".to_owned()]);
        assert_eq!(Kept::parse(&varies.to_bytes()), Some(varies));
        let bytes = kept.to_bytes();
        for end in [0, 3, 4, 20] {
            assert_eq!(Kept::parse(&bytes.slice(..end)), None);
        }
    }

    #[test]
    fn what_another_version_wrote_is_asked_for_anew() {
        let future = br#"{"version":2,"answer":{"other":1}}"#;
        let mut bytes = BytesMut::new();
        bytes.put_u32(future.len() as u32);
        bytes.put_slice(future);
        assert_eq!(Kept::parse(&bytes.freeze()), None);
        let more = br#"{"version":1,"varies":["a"],"added":"later"}"#;
        let mut bytes = BytesMut::new();
        bytes.put_u32(more.len() as u32);
        bytes.put_slice(more);
        assert_eq!(
            Kept::parse(&bytes.freeze()),
            Some(Kept::Varies(vec!["a".to_owned()]))
        );
    }
}
