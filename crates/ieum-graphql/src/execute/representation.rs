//! Representations: the objects by which a subgraph finds entities that another one brought.
//!
//! They are written straight from the tree into the body of the request. An entity that lacks a field
//! which its representation needs (the fetch that should have brought it failed, or brought null for the
//! object around it) is not asked for: a subgraph could only guess.

use super::compile::{Compiler, Names, json, name};
use super::keys::Key;
use super::tree::{ObjectId, Tree, Value};
use super::uncompilable::Uncompilable;
use crate::plan::{Change, Required, Rewrite, RewriteSegment};

/// A part of a representation.
#[derive(Debug)]
pub(crate) enum Need {
    Field {
        /// Where the data has it.
        key: Key,
        /// The name in the representation as it is written: `"name":`.
        name: Box<[u8]>,
        /// The parts of an object; empty for what is sent as it is.
        needs: Vec<Need>,
        /// What is sent instead of the data's value, for objects of some types or for all.
        instead: Vec<(Option<Names>, Box<[u8]>)>,
    },
    /// Fields of objects of some types only.
    Fragment { on: Names, needs: Vec<Need> },
}

/// A field that the data does not have.
pub(crate) struct Missing;

/// Writes representations; keeps its memory between them.
#[derive(Default)]
pub(crate) struct Writer {
    /// The names written so far, of all objects that are open.
    written: Vec<Key>,
    /// Whether the representation has a field besides `__typename`, and one that is not null.
    fields: bool,
    values: bool,
}

impl Writer {
    /// Writes the representation of one entity; `out` is as before if there is none.
    pub(crate) fn write(
        &mut self,
        tree: &Tree,
        entity: ObjectId,
        needs: &[Need],
        out: &mut Vec<u8>,
    ) -> Result<(), Missing> {
        let start = out.len();
        self.written.clear();
        (self.fields, self.values) = (false, false);
        let complete = self.object(tree, entity, needs, out);
        let empty = out.len() <= start + 2;
        if complete.is_err() || empty || (self.fields && !self.values) {
            out.truncate(start);
            return Err(Missing);
        }
        Ok(())
    }

    fn object(
        &mut self,
        tree: &Tree,
        object: ObjectId,
        needs: &[Need],
        out: &mut Vec<u8>,
    ) -> Result<(), Missing> {
        let open = self.written.len();
        out.push(b'{');
        self.fields_of(tree, object, needs, open, out)?;
        out.push(b'}');
        self.written.truncate(open);
        Ok(())
    }

    fn fields_of(
        &mut self,
        tree: &Tree,
        object: ObjectId,
        needs: &[Need],
        open: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Missing> {
        for need in needs {
            match need {
                Need::Fragment { on, needs } => {
                    if tree.typename(object).is_none_or(|name| on.contains(name)) {
                        self.fields_of(tree, object, needs, open, out)?;
                    }
                }
                Need::Field { key, .. } if self.written[open..].contains(key) => {}
                Need::Field {
                    key,
                    name,
                    needs,
                    instead,
                } => {
                    let value = tree.get(object, *key).ok_or(Missing)?;
                    if self.written.len() > open {
                        out.push(b',');
                    }
                    self.written.push(*key);
                    self.fields |= *key != Key::TYPENAME;
                    out.extend_from_slice(name);
                    match replacement(tree, object, instead) {
                        Some(value) => out.extend_from_slice(value),
                        None => self.value(tree, *key, value, needs, out)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        tree: &Tree,
        key: Key,
        value: Value,
        needs: &[Need],
        out: &mut Vec<u8>,
    ) -> Result<(), Missing> {
        match value {
            Value::Object(object) if !needs.is_empty() => {
                return self.object(tree, object, needs, out);
            }
            Value::List(list) if !needs.is_empty() => {
                out.push(b'[');
                for (index, element) in tree.elements(list).iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.value(tree, key, *element, needs, out)?;
                }
                out.push(b']');
                self.values = true;
            }
            scalar => {
                out.extend_from_slice(tree.raw(scalar));
                self.values |= scalar != Value::Null && key != Key::TYPENAME;
            }
        }
        Ok(())
    }
}

impl Compiler<'_> {
    /// Compiles what a representation consists of, and the changes of it.
    pub(super) fn needs(
        &mut self,
        required: &[Required],
        input: &[Rewrite],
    ) -> Result<Vec<Need>, Uncompilable> {
        let mut needs = self.needed(required);
        for rewrite in input {
            let Change::Set(value) = &rewrite.change else {
                return Err(Uncompilable::unsupported(
                    "a renamed key in a representation",
                ));
            };
            let (on, key) = match rewrite.path.as_slice() {
                [RewriteSegment::Key(key)] => (None, key),
                [RewriteSegment::Types(types), RewriteSegment::Key(key)] => {
                    (Some(self.names(types)), key)
                }
                _ => {
                    return Err(Uncompilable::unsupported(
                        "a change deep inside of a representation",
                    ));
                }
            };
            let key = self.interner.key(key);
            replace(&mut needs, key, on.as_ref(), &json(value));
        }
        Ok(needs)
    }

    fn needed(&mut self, required: &[Required]) -> Vec<Need> {
        required
            .iter()
            .map(|part| match part {
                Required::Field {
                    name: written,
                    key,
                    selections,
                } => Need::Field {
                    key: self.interner.key(key),
                    name: name(written),
                    needs: self.needed(selections),
                    instead: Vec::new(),
                },
                Required::Fragment { on, selections } => Need::Fragment {
                    on: self.names_both_ways(on),
                    needs: self.needed(selections),
                },
            })
            .collect()
    }
}

/// What is sent for an object instead of the data's value.
fn replacement<'a>(
    tree: &Tree,
    object: ObjectId,
    instead: &'a [(Option<Names>, Box<[u8]>)],
) -> Option<&'a [u8]> {
    if instead.is_empty() {
        return None;
    }
    let typename = tree.typename(object);
    let holds = |on: &Option<Names>| match (on, typename) {
        (Some(on), Some(typename)) => on.contains(typename),
        _ => true,
    };
    let chosen = instead.iter().find(|(on, _)| holds(on));
    chosen.map(|(_, value)| &**value)
}

/// Lets the fields under a key, outside of nested objects, be sent with another value.
fn replace(needs: &mut [Need], changed: Key, on: Option<&Names>, value: &[u8]) {
    for need in needs {
        match need {
            Need::Field { key, instead, .. } if *key == changed => {
                instead.push((on.cloned(), value.into()));
            }
            Need::Field { .. } => {}
            Need::Fragment { needs, .. } => replace(needs, changed, on, value),
        }
    }
}
