//! The reader of answers, beside `serde_json`.

use proptest::prelude::*;

use crate::execute::json::{Reader, Unreadable};
use crate::execute::keys::{Interner, Keys};
use crate::execute::tree::{Field, Tree, Value};

const DEPTH: usize = 20;

fn keys() -> Keys {
    let mut interner = Interner::new();
    for name in ["a", "b", "key", "a_rather_long_name_of_a_field"] {
        interner.key(name);
    }
    interner.finish()
}

fn read(text: &[u8]) -> Result<(Tree, Value), Unreadable> {
    let keys = keys();
    let mut tree = Tree::default();
    let value = Reader::new(&keys, DEPTH, 1_000).read(&mut tree, text.to_vec().into())?;
    Ok((tree, value))
}

/// The value as `serde_json` would have it, without fields that nobody knows.
fn value_of(tree: &Tree, value: Value) -> serde_json::Value {
    match value {
        Value::Object(object) => {
            let keys = keys();
            let fields = tree.fields(object).iter().rev();
            let field = |(key, value): &Field| (keys.name(*key).into(), value_of(tree, *value));
            serde_json::Value::Object(fields.map(field).collect())
        }
        Value::List(list) => {
            let elements = tree.elements(list).iter();
            elements.map(|value| value_of(tree, *value)).collect()
        }
        scalar => serde_json::from_slice(tree.raw(scalar)).expect("a scalar"),
    }
}

fn known(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| keys().find(name.as_bytes()).is_some())
            .map(|(name, value)| (name, known(value)))
            .collect(),
        serde_json::Value::Array(elements) => elements.into_iter().map(known).collect(),
        scalar => scalar,
    }
}

/// Values of every kind, with known and unknown names.
fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9f64).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[a-z\"\\\\\n\u{1F600}é]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        let name = prop_oneof!["a|b|key|data|a_rather_long_name_of_a_field", "[a-z\"]{0,9}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::hash_map(name, inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_is_read_as_others_read_it(value in values(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        let text = text.expect("text");
        let (tree, read) = read(text.as_bytes()).expect("readable");
        prop_assert_eq!(value_of(&tree, read), known(serde_json::from_str(&text).expect("JSON")));
    }

    #[test]
    fn what_others_refuse_is_refused(
        value in values(),
        at in any::<prop::sample::Index>(),
        with in prop_oneof![any::<u8>(), prop::sample::select(b"{}[],:\"\\0-.eE+u \x1f".to_vec())],
        how in 0..3,
    ) {
        let mut text = serde_json::to_vec(&value).expect("text");
        let at = at.index(text.len());
        match how {
            0 => text[at] = with,
            1 => text.insert(at, with),
            _ => text.truncate(at),
        }
        let theirs: Result<&serde_json::value::RawValue, _> = serde_json::from_slice(&text);
        let full: Result<serde_json::Value, _> = serde_json::from_slice(&text);
        match read(&text) {
            Ok((tree, read)) => {
                prop_assert!(theirs.is_ok(), "{}", String::from_utf8_lossy(&text));
                // A number beyond a double is JSON, but no value of theirs.
                if let Ok(full) = full {
                    prop_assert_eq!(value_of(&tree, read), known(full));
                }
            }
            Err(why) => {
                prop_assert_eq!(why, Unreadable::Malformed);
                prop_assert!(full.is_err(), "{}", String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn no_bytes_at_all_make_it_fail(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let theirs: Result<serde_json::Value, _> = serde_json::from_slice(&text);
        prop_assert!(read(&text).is_ok() || theirs.is_err());
    }
}

#[test]
fn the_grammar_is_kept_to_the_letter() {
    let good = [
        "0",
        "-0",
        "-0.5e-10",
        "1E+2",
        "[]",
        "{}",
        " [ 1 , 2 ] ",
        r#""\u00e9\uD83D\uDE00""#,
        "\"\u{7f}\"",
        "1e999",
    ];
    for text in good {
        assert!(read(text.as_bytes()).is_ok(), "{text}");
    }
    let bad = [
        "",
        " ",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\"}",
        "[",
        "]",
        "{",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        r#""\uD83D""#,
        r#""\uDE00""#,
        r#""\uD83D\u0041""#,
        "\"\n\"",
        "tru",
        "nul",
        "NaN",
        "1 2",
        "[1}",
        "{\"a\":1]",
        "\u{feff}1",
    ];
    for text in bad {
        assert_eq!(
            read(text.as_bytes()).err(),
            Some(Unreadable::Malformed),
            "{text}"
        );
    }
    assert_eq!(read(b"\"\xff\"").err(), Some(Unreadable::Malformed));
}

#[test]
fn depth_and_size_are_bounded_also_where_nothing_is_kept() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(DEPTH).as_bytes()).is_ok());
    assert_eq!(
        read(nested(DEPTH + 1).as_bytes()).err(),
        Some(Unreadable::TooDeep)
    );
    let unknown = format!("{{\"zzz\":{}}}", nested(DEPTH));
    assert_eq!(read(unknown.as_bytes()).err(), Some(Unreadable::TooDeep));
    let open = "[".repeat(1_000_000);
    assert_eq!(read(open.as_bytes()).err(), Some(Unreadable::TooDeep));
    let many = format!("[{}0]", "0,".repeat(1_000));
    assert_eq!(read(many.as_bytes()).err(), Some(Unreadable::TooMany));
}

#[test]
fn an_object_has_no_more_fields_than_there_are_names() {
    let of = |fields: usize| format!("{{{}}}", vec![r#""data":1"#; fields].join(","));
    let names = keys().len();
    assert!(read(of(names).as_bytes()).is_ok());
    let refused = read(of(names + 1).as_bytes());
    assert_eq!(refused.err(), Some(Unreadable::Malformed));
}

#[test]
fn a_name_with_escapes_is_the_same_name() {
    let (tree, value) = read(br#"[{"k\u0065y":1},{"key":2},{"k\u0065y":3}]"#).expect("JSON");
    assert_eq!(
        value_of(&tree, value),
        serde_json::json!([{"key": 1}, {"key": 2}, {"key": 3}])
    );
}
