//! The shape of the answer, compiled from what the client selected.
//!
//! For each object type that can stand at a place, the fields that the answer has there are listed once:
//! the specification's `CollectFields`, done when the plan is compiled instead of for each object. What
//! remains for the execution is to find the list by `__typename` and to write its fields in order.
//!
//! Places with the same selections share a shape, and types with the same fields share a list, so that
//! the size follows from the query and not from the number of types to the power of the depth.

use std::collections::HashMap;
use std::sync::Arc;

use super::guards::{Guard, Guards};
use super::keys::{Interner, Key};
use super::types::{Definition, TypeRef, Types, Wrapping};
use super::uncompilable::Uncompilable;
use crate::plan::{Selected, When, shown};

/// The whole answer.
#[derive(Debug)]
pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    root: ShapeId,
}

/// A place in [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShapeId(u32);

/// What stands at a place.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Objects of one type.
    Object(Fields),
    /// Objects of several types.
    Abstract {
        /// By what `__typename` may be, sorted.
        types: Vec<(Box<str>, Fields)>,
        /// For an object without `__typename`: what every type has.
        any: Fields,
    },
}

/// The fields of an object, in the order of the answer.
pub(crate) type Fields = Arc<[Field]>;

/// A field of the answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    /// The key under which the data has it.
    pub(crate) key: Key,
    /// The response key as it is written: `"name":`.
    pub(crate) name: Box<[u8]>,
    /// When it is answered.
    pub(crate) guard: Guard,
    pub(crate) wrapping: Wrapping,
    pub(crate) output: Output,
}

/// What a field holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// The name of the object's type, as JSON; `None` if the data tells which of several it is.
    Typename(Option<Box<[u8]>>),
    Leaf(Leaf),
    Composite(ShapeId),
}

/// The values that a leaf may have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Leaf {
    /// Any JSON: a custom scalar, or introspection that is answered already.
    Any,
    Boolean,
    Int,
    Float,
    String,
    /// A string; a number becomes one.
    Id,
    /// One of these, as JSON; sorted.
    Enum(Arc<[Box<[u8]>]>),
}

impl Shapes {
    /// Compiles a selection on the type `root`.
    pub(crate) fn compile(
        root: &str,
        selections: &[Selected],
        types: &Types,
        interner: &mut Interner,
        guards: &mut Guards,
    ) -> Result<Self, Uncompilable> {
        let mut compiler = Compiler {
            types,
            interner,
            guards,
            shapes: Vec::new(),
            known: HashMap::new(),
        };
        let everything = Part {
            selections,
            when: Vec::new(),
        };
        let root = compiler.shape(root, &[everything])?;
        Ok(Self {
            shapes: compiler.shapes,
            root,
        })
    }

    /// The shape of the root object.
    pub(crate) fn root(&self) -> &Shape {
        self.get(self.root)
    }

    pub(crate) fn get(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }
}

impl Shape {
    /// The fields of an object with this `__typename`; `None` if a client may not see such an object.
    pub(crate) fn fields(&self, typename: Option<&[u8]>) -> Option<&[Field]> {
        match (self, typename) {
            (Self::Object(fields), _) => Some(fields),
            (Self::Abstract { any, .. }, None) => Some(any),
            (Self::Abstract { types, .. }, Some(name)) => {
                let found = types.binary_search_by(|(known, _)| known.as_bytes().cmp(name));
                found.ok().map(|at| &*types[at].1)
            }
        }
    }

    /// The fields under a key: one of each type that has it.
    pub(crate) fn find(&self, key: Key) -> impl Iterator<Item = &Field> {
        let (one, types): (_, &[_]) = match self {
            Self::Object(fields) => (Some(fields), &[]),
            Self::Abstract { types, .. } => (None, types),
        };
        let lists = one
            .into_iter()
            .chain(types.iter().map(|(_, fields)| fields));
        lists.filter_map(move |fields| fields.iter().find(|field| field.key == key))
    }
}

/// A selection and the conditions around it.
#[derive(Clone)]
struct Part<'s> {
    selections: &'s [Selected],
    when: Vec<When>,
}

/// All that is selected of one response key of one type.
struct Collected<'s> {
    key: &'s str,
    name: &'s str,
    /// The type condition around it: where its type is declared if the object's type has no fields.
    scope: Option<&'s str>,
    parts: Vec<Part<'s>>,
}

/// A type and the parts selected of it: where they are in the plan, and their conditions.
type Place = (Box<str>, Vec<(usize, usize, Vec<When>)>);

struct Compiler<'c> {
    types: &'c Types,
    interner: &'c mut Interner,
    guards: &'c mut Guards,
    shapes: Vec<Shape>,
    known: HashMap<Place, ShapeId>,
}

impl Compiler<'_> {
    fn shape(&mut self, name: &str, parts: &[Part<'_>]) -> Result<ShapeId, Uncompilable> {
        let identity = parts.iter().map(|part| {
            let selections = part.selections;
            (
                selections.as_ptr().addr(),
                selections.len(),
                part.when.clone(),
            )
        });
        let place: Place = (name.into(), identity.collect());
        if let Some(known) = self.known.get(&place) {
            return Ok(*known);
        }
        let shape = match self.types.get(name) {
            Some(Definition::Fields { object: true, .. }) => {
                Shape::Object(self.fields(name, true, parts)?)
            }
            Some(_) => self.abstract_shape(name, parts)?,
            None => return Err(Uncompilable::unknown_type(name)),
        };
        self.shapes.push(shape);
        let id = ShapeId(u32::try_from(self.shapes.len() - 1).unwrap_or(u32::MAX));
        self.known.insert(place, id);
        Ok(id)
    }

    fn abstract_shape(&mut self, name: &str, parts: &[Part<'_>]) -> Result<Shape, Uncompilable> {
        let types = self.types;
        let any = self.fields(name, false, parts)?;
        let mut listed: Vec<(Box<str>, Fields)> = Vec::new();
        for object in types.members_of(name) {
            if !matches!(types.get(object), Some(Definition::Fields { .. })) {
                // It belongs to the type, but a client may not see it.
                continue;
            }
            let fields = self.fields(object, false, parts)?;
            let shared = listed.iter().find(|(_, known)| **known == *fields);
            let fields = shared.map_or(fields, |(_, known)| known.clone());
            listed.push((object.into(), fields));
        }
        // The data of an interface object has the name of the interface.
        for related in types.related_abstracts(name) {
            listed.push((related.into(), any.clone()));
        }
        listed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        listed.dedup_by(|(one, _), (other, _)| one == other);
        Ok(Shape::Abstract { types: listed, any })
    }

    /// The fields of one type. `alone` says that nothing else stands at the place.
    fn fields(
        &mut self,
        of: &str,
        alone: bool,
        parts: &[Part<'_>],
    ) -> Result<Fields, Uncompilable> {
        let mut collected = Vec::new();
        for part in parts {
            collect(
                self.types,
                (of, None),
                part.selections,
                &part.when,
                &mut collected,
            );
        }
        collected
            .into_iter()
            .map(|field| self.field(of, alone, field))
            .collect()
    }

    fn field(
        &mut self,
        of: &str,
        alone: bool,
        field: Collected<'_>,
    ) -> Result<Field, Uncompilable> {
        let Collected {
            key,
            name,
            scope,
            mut parts,
        } = field;
        let guard = self.guards.guard(parts.iter().map(|part| &*part.when));
        if parts.windows(2).all(|pair| pair[0].when == pair[1].when) {
            // The field's own guard says it all.
            for part in &mut parts {
                part.when.clear();
            }
        }
        let (wrapping, output) = self.output((of, alone), scope, name, &parts)?;
        Ok(Field {
            key: self.interner.key(key),
            name: format!("\"{}\":", shown(key)).into_bytes().into(),
            guard,
            wrapping,
            output,
        })
    }

    fn output(
        &mut self,
        (of, alone): (&str, bool),
        scope: Option<&str>,
        name: &str,
        parts: &[Part<'_>],
    ) -> Result<(Wrapping, Output), Uncompilable> {
        if name == "__typename" {
            let literal = alone.then(|| quoted(of));
            return Ok((
                TypeRef::parse("String!").wrapping,
                Output::Typename(literal),
            ));
        }
        if name.starts_with("__") {
            return Ok((Wrapping::default(), Output::Leaf(Leaf::Any)));
        }
        let types = self.types;
        let declared = types
            .field(of, name)
            .or_else(|| types.field(scope?, name))
            .ok_or_else(|| Uncompilable::unknown_field(of, name))?;
        let output = match self.types.get(&declared.name) {
            Some(Definition::Enum(values)) => Output::Leaf(Leaf::Enum(
                values.iter().map(|value| quoted(value)).collect(),
            )),
            Some(_) => Output::Composite(self.shape(&declared.name, parts)?),
            None => Output::Leaf(scalar(&declared.name)),
        };
        Ok((declared.wrapping, output))
    }
}

/// Adds what a selection has for objects of one type, in the order in which it is met first.
fn collect<'s>(
    types: &Types,
    (of, scope): (&str, Option<&'s str>),
    selections: &'s [Selected],
    around: &[When],
    into: &mut Vec<Collected<'s>>,
) {
    for selected in selections {
        match selected {
            Selected::Field {
                key,
                name,
                when,
                selections,
            } => {
                let part = Part {
                    selections,
                    when: both(around, when),
                };
                match into.iter_mut().find(|known| known.key == key) {
                    Some(known) => known.parts.push(part),
                    None => into.push(Collected {
                        key,
                        name,
                        scope,
                        parts: vec![part],
                    }),
                }
            }
            Selected::Fragment {
                on,
                when,
                selections,
            } => {
                if on.as_ref().is_none_or(|on| types.belongs(of, on)) {
                    let scope = on.as_deref().or(scope);
                    collect(types, (of, scope), selections, &both(around, when), into);
                }
            }
        }
    }
}

fn both(around: &[When], when: &[When]) -> Vec<When> {
    let mut all = [around, when].concat();
    all.sort_unstable();
    all.dedup();
    all
}

fn scalar(name: &str) -> Leaf {
    match name {
        "Boolean" => Leaf::Boolean,
        "Int" => Leaf::Int,
        "Float" => Leaf::Float,
        "String" => Leaf::String,
        "ID" => Leaf::Id,
        _ => Leaf::Any,
    }
}

/// A name of GraphQL as a string of JSON; such names need no escapes.
fn quoted(name: &str) -> Box<[u8]> {
    format!("\"{name}\"").into_bytes().into()
}
