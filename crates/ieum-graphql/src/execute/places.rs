//! Finds the objects that a path of the plan leads to, and remembers the way to each.
//!
//! The way is needed only when something fails, to name the place in the client's answer; it is kept as
//! small numbers in one array, so that it costs a copy of a few words for each object.

use super::compile::{Part, Path};
use super::keys::Key;
use super::tree::{ObjectId, Tree, Value};

/// A part of the way to a place in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Key(Key),
    Index(u32),
}

/// Objects, and the way to each.
#[derive(Debug, Default)]
pub(crate) struct Places {
    objects: Vec<ObjectId>,
    turns: Vec<Turn>,
    /// Where the way to each object ends in `turns`.
    ends: Vec<u32>,
}

/// There are more places than the limit allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Places {
    /// The root object only.
    pub(crate) fn root(root: ObjectId) -> Self {
        Self {
            objects: vec![root],
            turns: Vec::new(),
            ends: vec![0],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(crate) fn object(&self, place: usize) -> ObjectId {
        self.objects[place]
    }

    pub(crate) fn way(&self, place: usize) -> &[Turn] {
        let start = match place.checked_sub(1) {
            Some(before) => self.ends[before] as usize,
            None => 0,
        };
        &self.turns[start..self.ends[place] as usize]
    }

    /// Adds the objects at the end of a path. Null on the way is the end of the way.
    pub(crate) fn find(
        &mut self,
        tree: &Tree,
        root: ObjectId,
        path: &Path,
        limit: usize,
    ) -> Result<(), TooMany> {
        let mut walk = Walk {
            tree,
            limit,
            way: Vec::with_capacity(path.len() + 2),
            places: self,
        };
        walk.enter(Value::Object(root), path)
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    limit: usize,
    way: Vec<Turn>,
    places: &'a mut Places,
}

impl Walk<'_> {
    fn enter(&mut self, value: Value, path: &[Part]) -> Result<(), TooMany> {
        match value {
            Value::Object(object) => self.object(object, path),
            Value::List(list) => {
                for (index, element) in (0u32..).zip(self.tree.elements(list)) {
                    self.way.push(Turn::Index(index));
                    self.enter(*element, path)?;
                    self.way.pop();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn object(&mut self, object: ObjectId, path: &[Part]) -> Result<(), TooMany> {
        let Some((part, rest)) = path.split_first() else {
            return self.arrive(object);
        };
        match part {
            Part::Types(names) => {
                let name = self.tree.typename(object);
                if name.is_none_or(|name| names.contains(name)) {
                    self.object(object, rest)?;
                }
            }
            Part::Field(key) => {
                if let Some(value) = self.tree.get(object, *key) {
                    self.way.push(Turn::Key(*key));
                    self.enter(value, rest)?;
                    self.way.pop();
                }
            }
        }
        Ok(())
    }

    fn arrive(&mut self, object: ObjectId) -> Result<(), TooMany> {
        if self.places.objects.len() >= self.limit {
            return Err(TooMany);
        }
        self.places.objects.push(object);
        self.places.turns.extend_from_slice(&self.way);
        let end = u32::try_from(self.places.turns.len()).unwrap_or(u32::MAX);
        self.places.ends.push(end);
        Ok(())
    }
}
