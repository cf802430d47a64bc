//! The document with its spans: which key stands where.
//!
//! Serde tells where it stumbled as a range of bytes, validation tells a path such as
//! `gateway.routes[2].path`. This module translates between the two, and can take an entry out, so
//! that reading goes on behind the first error.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A parsed document.
#[derive(Clone)]
pub(super) struct Tree<'a>(Spanned<DeTable<'a>>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A key of a table.
    Key(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// A place in the document, like `gateway.routes[2].path`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Segment>);

/// An entry that was found by its place in the text.
struct Found {
    path: Path,
    size: usize,
}

impl<'a> Tree<'a> {
    /// Reads `text`; all syntax errors at once.
    pub(super) fn parse(text: &'a str) -> Result<Self, Vec<toml::de::Error>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            Ok(Self(root))
        } else {
            Err(errors)
        }
    }

    /// The document for serde.
    pub(super) fn deserializer(&self) -> toml::de::Deserializer<'a> {
        self.0.clone().into()
    }

    /// The innermost entry whose key or value covers `span`.
    pub(super) fn locate(&self, span: &Range<usize>) -> Option<Path> {
        let mut best = None;
        visit_table(
            self.0.get_ref(),
            &mut Path::default(),
            &mut |path, range| {
                let covers = range.start <= span.start && span.end <= range.end;
                let size = range.len();
                if covers && best.as_ref().is_none_or(|found: &Found| size <= found.size) {
                    best = Some(Found {
                        path: path.clone(),
                        size,
                    });
                }
            },
        );
        best.map(|found| found.path)
    }

    /// Where `path` stands, or the longest part of it that exists: the value, or the key of a table.
    pub(super) fn span_of(&self, path: &Path) -> Option<Range<usize>> {
        let mut table = Some(self.0.get_ref());
        let mut array: Option<&DeArray<'_>> = None;
        let mut span = None;
        for segment in &path.0 {
            let value = match segment {
                Segment::Key(key) => {
                    let entry = table.and_then(|t| t.iter().find(|(k, _)| k.get_ref() == key));
                    entry.map(|(key, value)| (key.span(), value))
                }
                Segment::Index(index) => {
                    let item = array.and_then(|items| items.get(*index));
                    item.map(|value| (value.span(), value))
                }
            };
            let Some((key_span, value)) = value else {
                break;
            };
            table = value.get_ref().as_table();
            array = value.get_ref().as_array();
            span = Some(if table.is_some() || array.is_some() {
                key_span
            } else {
                value.span()
            });
        }
        span
    }

    /// Takes the entry at `path` out; false if there is none.
    pub(super) fn remove(&mut self, path: &Path) -> bool {
        remove_from_table(self.0.get_mut(), &path.0)
    }
}

impl Path {
    /// Reads `gateway.routes[2].path`; quoted keys are not needed, since our keys have no dots.
    pub(super) fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, indices) = part.split_once('[').unwrap_or((part, ""));
            if !key.is_empty() {
                segments.push(Segment::Key(key.to_owned()));
            }
            let indices = indices.split(['[', ']']).filter_map(|i| i.parse().ok());
            segments.extend(indices.map(Segment::Index));
        }
        Self(segments)
    }

    /// The last key, without indices behind it.
    pub(super) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if i == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn visit_table(table: &DeTable<'_>, path: &mut Path, found: &mut dyn FnMut(&Path, &Range<usize>)) {
    for (key, value) in table {
        path.0.push(Segment::Key(key.get_ref().to_string()));
        found(path, &key.span());
        visit_value(value, path, found);
        path.0.pop();
    }
}

fn visit_value(
    value: &Spanned<DeValue<'_>>,
    path: &mut Path,
    found: &mut dyn FnMut(&Path, &Range<usize>),
) {
    found(path, &value.span());
    match value.get_ref() {
        DeValue::Table(table) => visit_table(table, path, found),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.0.push(Segment::Index(index));
                visit_value(item, path, found);
                path.0.pop();
            }
        }
        _ => {}
    }
}

fn remove_from_table(table: &mut DeTable<'_>, path: &[Segment]) -> bool {
    let Some((Segment::Key(key), rest)) = path.split_first() else {
        return false;
    };
    if rest.is_empty() {
        return table.remove(key.as_str()).is_some();
    }
    let entry = table.iter_mut().find(|(k, _)| k.get_ref() == key);
    entry.is_some_and(|(_, value)| remove_from_value(value.get_mut(), rest))
}

fn remove_from_value(value: &mut DeValue<'_>, path: &[Segment]) -> bool {
    match (value, path) {
        (DeValue::Table(table), path) => remove_from_table(table, path),
        (DeValue::Array(items), [Segment::Index(index)]) if *index < items.len() => {
            let kept = std::mem::replace(items, DeArray::new()).into_iter();
            for (i, item) in kept.enumerate() {
                if i != *index {
                    items.push(item);
                }
            }
            true
        }
        (DeValue::Array(items), [Segment::Index(index), rest @ ..]) => items
            .get_mut(*index)
            .is_some_and(|item| remove_from_value(item.get_mut(), rest)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[b]\nc = [1, { d = 2 }]\n[[e]]\nf = 3\n[[e]]\nf = 4\n";

    #[test]
    fn a_path_is_written_as_it_is_read() {
        for text in ["a", "b.c[1].d", "e[1].f"] {
            assert_eq!(Path::parse(text).to_string(), text);
        }
    }

    #[test]
    fn paths_and_spans_are_translated_into_each_other() {
        let tree = Tree::parse(TEXT).expect("valid");
        for (path, at) in [("a", "1\n[b"), ("b.c[1].d", "2 }"), ("e[1].f", "4\n")] {
            let path = Path::parse(path);
            let span = tree.span_of(&path).expect("a span");
            assert!(TEXT[span.start..].starts_with(at), "{path}");
            assert_eq!(tree.locate(&span), Some(path));
        }
        let missing = tree
            .span_of(&Path::parse("e[1].missing"))
            .expect("its table");
        assert!(missing.start > TEXT.find("f = 3").expect("there"));
    }

    #[test]
    fn an_entry_can_be_taken_out() {
        let mut tree = Tree::parse(TEXT).expect("valid");
        assert!(tree.remove(&Path::parse("b.c[0]")));
        assert!(tree.remove(&Path::parse("e[0]")));
        assert!(!tree.remove(&Path::parse("z")));
        let value: toml::Value = serde::Deserialize::deserialize(tree.deserializer()).expect("ok");
        assert_eq!(value["e"].as_array().map(Vec::len), Some(1));
        assert_eq!(value["e"][0]["f"].as_integer(), Some(4));
        assert_eq!(value["b"]["c"].as_array().map(Vec::len), Some(1));
    }
}
