//! The version of a definition: a hash of its canonical JSON.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use ieum_base::Uuid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Definition;

/// What a saga in flight is pinned to. It is the UUID (version 5) of the definition's canonical
/// JSON, members sorted, written as 32 hex digits: the same definition has the same hash, however
/// it was spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(Uuid);

impl Hash {
    pub(super) fn of(definition: &Definition) -> Result<Self, serde_json::Error> {
        let mut canonical = String::new();
        write_canonical(&serde_json::to_value(definition)?, &mut canonical);
        Ok(Self(Uuid::new_v5(&NAMESPACE, canonical.as_bytes())))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 32;
        let parsed = digits.then(|| Uuid::try_parse(text).ok()).flatten();
        parsed
            .map(Self)
            .ok_or("the hash of a definition has 32 hex digits")
    }
}

/// JSON without spaces, with the members of every object sorted by name. It does not rely on the
/// order in which `serde_json` keeps members, which a feature of some other crate can change.
fn write_canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|&(name, _)| name);
            into.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                let _infallible = write!(into, "{comma}{}:", Value::String(name.clone()));
                write_canonical(value, into);
            }
            into.push('}');
        }
        Value::Array(items) => {
            into.push('[');
            for (index, item) in items.iter().enumerate() {
                into.push_str(if index > 0 { "," } else { "" });
                write_canonical(item, into);
            }
            into.push(']');
        }
        scalar => {
            let _infallible = write!(into, "{scalar}");
        }
    }
}

const NAMESPACE: Uuid = Uuid::from_u128(0x8d1f_6b0e_52a4_4c1d_9a37_0b5e_3f60_21c7);

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(json: &str) -> Hash {
        Hash::of(&serde_json::from_str(json).expect("a definition")).expect("json")
    }

    #[test]
    fn spelling_does_not_change_the_hash_and_meaning_does() {
        let plain = r#"{"name":"a","steps":[{"name":"s","call":{"service":"x","path":"/"}}]}"#;
        let spelled = r#"{"steps":[{"call":{"path":"/","method":"POST","service":"x"},
            "pivot":false,"name":"s"}],"name":"a"}"#;
        let other = r#"{"name":"a","steps":[{"name":"s","call":{"service":"x","path":"/y"}}]}"#;
        assert_eq!(hash(plain), hash(spelled));
        assert_ne!(hash(plain), hash(other));
        assert_eq!(hash(plain).to_string().parse(), Ok(hash(plain)));
    }

    /// A change here orphans every saga in flight: their definitions would get other hashes.
    #[test]
    fn the_hash_of_a_definition_never_changes() {
        let json = r#"{"name":"a","on":{"topic":"t","type":"k","where":{"b":1,"a":"x"}},
            "deadline":"10m","steps":[{"name":"s","call":{"service":"x","path":"/"},"undo":"none"}]}"#;
        assert_eq!(hash(json).to_string(), "e57077bc59115ca9968be6292022b0b8");
    }
}
