//! Writes the answer's `data`: the tree in the shape that the client asked for.
//!
//! One pass, into one buffer. Scalars are copied as they came, checked only for their kind. Null where
//! none may be goes up to the next place that may be null (specification, "Handling Execution Errors"):
//! what was written of that place is cut off again.

use super::compile::Executable;
use super::errors::{Errors, Report, Text};
use super::guards::Flags;
use super::keys::Key;
use super::places::Turn;
use super::shape::{Field, Leaf, Output, Shape};
use super::tree::{ObjectId, Tree, Value};

/// The answer would be larger than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Writes the data of an execution.
pub(crate) struct Projection<'a> {
    pub(crate) plan: &'a Executable,
    pub(crate) tree: &'a Tree,
    pub(crate) flags: &'a Flags,
    pub(crate) errors: &'a mut Errors,
    /// Bytes that may be written.
    pub(crate) limit: usize,
    pub(crate) out: &'a mut Vec<u8>,
    /// The way to where we are.
    pub(crate) way: Vec<Turn>,
}

/// Why a value was not written.
enum Stop {
    /// There is null here: the place above decides.
    Null,
    TooLarge,
}

impl Projection<'_> {
    /// Writes the root object, or null.
    pub(crate) fn root(mut self, root: ObjectId) -> Result<(), TooLarge> {
        let start = self.out.len();
        let plan = self.plan;
        match self.object(plan.shapes.root(), root) {
            Ok(()) => Ok(()),
            Err(Stop::Null) => {
                self.out.truncate(start);
                self.out.extend_from_slice(b"null");
                Ok(())
            }
            Err(Stop::TooLarge) => Err(TooLarge),
        }
    }

    fn object(&mut self, shape: &Shape, object: ObjectId) -> Result<(), Stop> {
        let typename = match shape {
            Shape::Object(_) => None,
            Shape::Abstract { .. } => self.tree.typename(object),
        };
        let Some(fields) = shape.fields(typename) else {
            self.report(
                "the object's type is not part of the schema",
                "UNKNOWN_TYPE",
            );
            return Err(Stop::Null);
        };
        let tree = self.tree;
        let data = tree.fields(object);
        let mut next = 0;
        self.out.push(b'{');
        let open = self.out.len();
        for field in fields {
            if !field.guard.holds(self.flags) {
                continue;
            }
            if self.out.len() > open {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.name);
            if let Output::Typename(Some(name)) = &field.output {
                self.out.extend_from_slice(name);
                continue;
            }
            let value = look_up(data, field, &mut next);
            self.way.push(Turn::Key(field.key));
            self.value(field, 0, value)?;
            self.way.pop();
            if self.out.len() > self.limit {
                return Err(Stop::TooLarge);
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a value, or null if it may be null.
    fn value(&mut self, field: &Field, level: u8, value: Value) -> Result<(), Stop> {
        let start = self.out.len();
        let depth = self.way.len();
        let stop = match value {
            Value::Null if field.wrapping.is_non_null(level) => {
                self.unexpected_null();
                return Err(Stop::Null);
            }
            Value::Null => Stop::Null,
            value => match self.present(field, level, value) {
                Ok(()) => return Ok(()),
                Err(stop) => stop,
            },
        };
        match stop {
            Stop::Null if !field.wrapping.is_non_null(level) => {
                self.out.truncate(start);
                self.way.truncate(depth);
                self.out.extend_from_slice(b"null");
                Ok(())
            }
            stop => Err(stop),
        }
    }

    fn present(&mut self, field: &Field, level: u8, value: Value) -> Result<(), Stop> {
        if field.wrapping.is_list(level) {
            return self.list(field, level, value);
        }
        match (&field.output, value) {
            (Output::Composite(shape), Value::Object(object)) => {
                let plan = self.plan;
                self.object(plan.shapes.get(*shape), object)
            }
            (Output::Composite(_), _) => self.wrong("an object was expected"),
            (Output::Leaf(leaf), value) => self.leaf(leaf, value),
            (Output::Typename(_), value) => self.leaf(&Leaf::String, value),
        }
    }

    fn list(&mut self, field: &Field, level: u8, value: Value) -> Result<(), Stop> {
        let Value::List(list) = value else {
            return self.wrong("a list was expected");
        };
        let tree = self.tree;
        self.out.push(b'[');
        for (index, element) in (0u32..).zip(tree.elements(list)) {
            if index > 0 {
                self.out.push(b',');
            }
            self.way.push(Turn::Index(index));
            self.value(field, level + 1, *element)?;
            self.way.pop();
        }
        self.out.push(b']');
        if self.out.len() > self.limit {
            return Err(Stop::TooLarge);
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: &Leaf, value: Value) -> Result<(), Stop> {
        let text = self.tree.raw(value);
        match (leaf, value) {
            (Leaf::Any, _)
            | (Leaf::String | Leaf::Id, Value::String(_))
            | (Leaf::Int | Leaf::Float, Value::Number(_))
            | (Leaf::Boolean, Value::Boolean(_)) => self.out.extend_from_slice(text),
            (Leaf::Id, Value::Number(_)) => {
                self.out.push(b'"');
                self.out.extend_from_slice(text);
                self.out.push(b'"');
            }
            (Leaf::Enum(values), Value::String(_)) => {
                if values
                    .binary_search_by(|known| (**known).cmp(text))
                    .is_err()
                {
                    return self.wrong("the value is not one of the enum");
                }
                self.out.extend_from_slice(text);
            }
            _ => return self.wrong("the scalar has another type in the schema"),
        }
        Ok(())
    }

    fn wrong(&mut self, message: &str) -> Result<(), Stop> {
        self.report(message, "WRONG_TYPE");
        Err(Stop::Null)
    }

    fn unexpected_null(&mut self) {
        if !self.errors.explain(&self.way) {
            self.report("null where the schema promises a value", "UNEXPECTED_NULL");
        }
    }

    fn report(&mut self, message: &str, code: &str) {
        let report = Report {
            message: Text::Ours(message),
            code: Text::Ours(code),
            service: None,
            path: &self.way,
        };
        self.errors.report(&self.plan.keys, report);
    }
}

/// The value of a field. Fields mostly come in the order in which they are answered, so that the search
/// begins behind the one found last.
fn look_up(data: &[(Key, Value)], field: &Field, next: &mut usize) -> Value {
    let key = match field.output {
        Output::Typename(_) => Key::TYPENAME,
        _ => field.key,
    };
    let (before, after) = data.split_at(*next);
    for (at, (known, value)) in (*next..).zip(after).chain((0..).zip(before)) {
        if *known == key {
            *next = at + 1;
            return *value;
        }
    }
    Value::Null
}
