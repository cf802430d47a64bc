//! What the executor knows of the schema: the types that a client may see, and which object types
//! belong to an abstract one.
//!
//! It is filled once per supergraph. Two things are kept apart on purpose: *fields and values* are those
//! of the client's schema (an inaccessible value of an enum is unknown here and must not be answered),
//! *membership* is that of the whole supergraph (a path of the plan may lead through objects of a type
//! that no client may name).

use std::collections::{BTreeSet, HashMap};

use crate::plan::OperationKind;

/// The types of a schema, as far as answers depend on them.
#[derive(Clone, Debug, Default)]
pub struct Types {
    definitions: HashMap<Box<str>, Definition>,
    members: HashMap<Box<str>, BTreeSet<Box<str>>>,
    query: Option<Box<str>>,
    mutation: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Definition {
    /// An object type or an interface; `object` tells which.
    Fields {
        object: bool,
        fields: HashMap<Box<str>, TypeRef>,
    },
    Union,
    Enum(BTreeSet<Box<str>>),
}

/// A type with its lists and non-nulls: `[User!]!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRef {
    /// The name inside.
    pub name: Box<str>,
    /// How it is wrapped.
    pub wrapping: Wrapping,
}

/// The lists and non-nulls around a named type. At most 31 lists are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wrapping {
    /// How many lists.
    lists: u8,
    /// Bit 0 for the outermost level, bit `lists` for the named type itself: set if it is never null.
    non_null: u32,
}

impl Types {
    /// No types at all; the built-in scalars are known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object type with its fields: name, and type as the schema writes it (`[User!]!`).
    #[must_use]
    pub fn object<'a>(
        self,
        name: &str,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        self.with_fields(name, true, fields)
    }

    /// Adds an interface with its fields.
    #[must_use]
    pub fn interface<'a>(
        self,
        name: &str,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        self.with_fields(name, false, fields)
    }

    /// Adds a union; its members are named by [`Types::members`].
    #[must_use]
    pub fn union(mut self, name: &str) -> Self {
        self.definitions.insert(name.into(), Definition::Union);
        self
    }

    /// Adds an enum with the values that a client may see.
    #[must_use]
    pub fn enumeration<'a>(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.definitions
            .insert(name.into(), Definition::Enum(values));
        self
    }

    /// Says which object types belong to an interface or union, in the whole supergraph.
    #[must_use]
    pub fn members<'a>(mut self, name: &str, objects: impl IntoIterator<Item = &'a str>) -> Self {
        self.members
            .entry(name.into())
            .or_default()
            .extend(objects.into_iter().map(Into::into));
        self
    }

    /// Says which object type an operation starts at, if it is not `Query` or `Mutation`.
    #[must_use]
    pub fn root_type(mut self, kind: OperationKind, name: &str) -> Self {
        match kind {
            OperationKind::Query => self.query = Some(name.into()),
            OperationKind::Mutation => self.mutation = Some(name.into()),
        }
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }

    /// The type of a field of an object type or interface.
    pub(crate) fn field(&self, of: &str, name: &str) -> Option<&TypeRef> {
        match self.get(of)? {
            Definition::Fields { fields, .. } => fields.get(name),
            Definition::Union | Definition::Enum(_) => None,
        }
    }

    /// The object types that belong to an abstract type.
    pub(crate) fn members_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.members
            .get(name)
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
    }

    /// Whether every object of type `name` is one of type `of`: the same type, a member, or an interface
    /// all of whose members belong.
    pub(crate) fn belongs(&self, name: &str, of: &str) -> bool {
        if name == of {
            return true;
        }
        let Some(members) = self.members.get(of) else {
            return false;
        };
        members.contains(name)
            || self
                .members
                .get(name)
                .is_some_and(|inner| !inner.is_empty() && inner.is_subset(members))
    }

    /// All names that `__typename` may have where one of `conditions` is asked for: the types themselves
    /// (an interface object answers by the interface's name) and their members.
    pub(crate) fn satisfying<'a>(
        &'a self,
        conditions: impl Iterator<Item = &'a str>,
    ) -> Vec<&'a str> {
        let mut names: Vec<&str> = conditions
            .flat_map(|condition| std::iter::once(condition).chain(self.members_of(condition)))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of all abstract types, sorted.
    pub(crate) fn abstracts(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.members.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The abstract types that have a member in common with an abstract type, itself included.
    pub(crate) fn related_abstracts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.members.get(name);
        self.members
            .iter()
            .filter(move |(_, members)| own.is_some_and(|own| !own.is_disjoint(members)))
            .map(|(name, _)| name.as_ref())
    }

    /// The abstract types to which an object type belongs.
    pub(crate) fn abstracts_of<'a>(&'a self, object: &'a str) -> impl Iterator<Item = &'a str> {
        self.members
            .iter()
            .filter(move |(_, members)| members.contains(object))
            .map(|(name, _)| name.as_ref())
    }

    /// The name of the root type of an operation.
    pub(crate) fn root(&self, kind: OperationKind) -> &str {
        let (renamed, usual) = match kind {
            OperationKind::Query => (&self.query, "Query"),
            OperationKind::Mutation => (&self.mutation, "Mutation"),
        };
        renamed.as_deref().unwrap_or(usual)
    }

    fn with_fields<'a>(
        mut self,
        name: &str,
        object: bool,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let fields = fields
            .into_iter()
            .map(|(field, of)| (field.into(), TypeRef::parse(of)))
            .collect();
        self.definitions
            .insert(name.into(), Definition::Fields { object, fields });
        self
    }
}

impl TypeRef {
    /// Reads a type as a schema writes it. What is no type at all becomes a name that nobody defines.
    pub fn parse(text: &str) -> Self {
        let mut wrapping = Wrapping::default();
        let mut rest = text.trim();
        loop {
            if let Some(inner) = rest.strip_suffix('!') {
                wrapping.non_null |= 1 << wrapping.lists;
                rest = inner.trim_end();
            }
            let inner = rest
                .strip_prefix('[')
                .and_then(|inner| inner.strip_suffix(']'));
            match inner {
                Some(inner) if wrapping.lists < MAX_LISTS => {
                    wrapping.lists += 1;
                    rest = inner.trim();
                }
                _ => break,
            }
        }
        Self {
            name: rest.into(),
            wrapping,
        }
    }
}

impl Wrapping {
    /// Whether the value at this level may not be null; level 0 is the outermost.
    pub(crate) fn is_non_null(self, level: u8) -> bool {
        self.non_null >> level & 1 == 1
    }

    /// Whether the value at this level is a list.
    pub(crate) fn is_list(self, level: u8) -> bool {
        level < self.lists
    }
}

const MAX_LISTS: u8 = 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_from_the_outside_in() {
        let read = TypeRef::parse("[[Int]!]!");
        assert_eq!(&*read.name, "Int");
        let non_null: Vec<bool> = (0..3)
            .map(|level| read.wrapping.is_non_null(level))
            .collect();
        assert_eq!(non_null, [true, true, false]);
        let lists: Vec<bool> = (0..3).map(|level| read.wrapping.is_list(level)).collect();
        assert_eq!(lists, [true, true, false]);
        assert_eq!(TypeRef::parse("User!").wrapping.non_null, 1);
        assert_eq!(TypeRef::parse(" [ User ! ] ").wrapping.non_null, 2);
    }

    #[test]
    fn an_interface_belongs_to_a_wider_one() {
        let types = Types::new()
            .members("Node", ["User", "Order"])
            .members("Person", ["User"]);
        assert!(types.belongs("User", "User"));
        assert!(types.belongs("User", "Node"));
        assert!(types.belongs("Person", "Node"));
        assert!(!types.belongs("Node", "Person"));
        assert_eq!(
            types.satisfying(["Person", "Order"].into_iter()),
            ["Order", "Person", "User"]
        );
    }
}
