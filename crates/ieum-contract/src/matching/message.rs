//! Messages: contents like a response's body, and metadata.

use serde_json::Value;

use super::value::follows;
use super::{Context, Mismatch, body, judge, shown};
use crate::model::Message;
use crate::path::Path;

/// Compares a message that was made with the one that was expected. It may have more fields and more
/// metadata.
pub fn match_message(expected: &Message, actual: &Message) -> Vec<Mismatch> {
    let context = Context {
        rules: &expected.rules.body,
        strict: false,
        root: "$.contents",
    };
    let mut found = body::compare(
        context,
        (&expected.contents, expected.media_type().as_ref()),
        (&actual.contents, actual.media_type().as_ref()),
        false,
    );
    for (key, wanted) in &expected.metadata {
        found.extend(metadata(expected, key, wanted, actual.metadata.get(key)));
    }
    found
}

fn metadata(expected: &Message, key: &str, wanted: &Value, came: Option<&Value>) -> Vec<Mismatch> {
    let at = |text: String| Mismatch::new(format!("$.metadata.{key}"), text);
    let Some(came) = came else {
        return vec![at(format!("expected {}, but it is missing", shown(wanted)))];
    };
    if let Some(best) = expected.rules.metadata.best(&Path::root().field(key)) {
        return judge(best.list, |rule| {
            let wrong = follows(rule, wanted, came, best.cascaded).err();
            wrong.map(at).into_iter().collect()
        });
    }
    let is_type = ["contenttype", "content-type"].contains(&key.to_lowercase().as_str());
    if wanted == came || (is_type && same_type(wanted, came)) {
        return Vec::new();
    }
    vec![at(format!(
        "expected {}, was {}",
        shown(wanted),
        shown(came)
    ))]
}

/// Media types are the same without their parameters.
fn same_type(wanted: &Value, came: &Value) -> bool {
    let base = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_lowercase()
    };
    base(wanted) == base(came)
}
