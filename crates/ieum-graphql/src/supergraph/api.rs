//! The schema that clients see.
//!
//! It is the supergraph without what is `@inaccessible` and without federation's own names; with the
//! types of introspection, the built-in scalars and directives, so that documents can be validated
//! against it. Introspection answers from it too.

use std::collections::{HashMap, HashSet};

use graphql_tools::static_graphql::schema::{
    Definition, Directive, Document, Field, InputValue, Type, TypeDefinition,
};

use super::features::Features;
use super::{Error, ErrorKind, parse_schema};

/// The clients' schema, with its types by name.
#[derive(Debug)]
pub struct ApiSchema {
    document: Document,
    /// Where a type's definition is.
    types: HashMap<String, usize>,
    /// Object types of each interface and union, in the schema's order.
    possible: HashMap<String, Vec<String>>,
    /// The names of all fields of the supergraph, those that clients must not see included.
    fields: HashSet<String>,
    query: String,
    mutation: Option<String>,
}

impl ApiSchema {
    pub(super) fn from_supergraph(supergraph: &Document) -> Result<Self, Error> {
        let mut document = prune(supergraph);
        let no_query = || Error::new(ErrorKind::NotASupergraph, "no query is accessible");
        let query = document.query_type_name().ok_or_else(no_query)?.clone();
        let mutation = document.mutation_type_name().cloned();
        let mutation = mutation.filter(|name| defines(&document, name));
        if !defines(&document, &query) {
            return Err(no_query());
        }
        add_introspection(&mut document, &query)?;
        let types: HashMap<String, usize> = document
            .definitions
            .iter()
            .enumerate()
            .filter_map(|(index, definition)| match definition {
                Definition::TypeDefinition(definition) => {
                    Some((definition.name().to_owned(), index))
                }
                _ => None,
            })
            .collect();
        let possible = possible_types(&document);
        Ok(Self {
            document,
            types,
            possible,
            fields: field_names(supergraph),
            query,
            mutation,
        })
    }

    /// The schema as a document, for validation.
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// The name of the root type of queries.
    pub fn query_type(&self) -> &str {
        &self.query
    }

    /// The name of the root type of mutations, if there are any.
    pub fn mutation_type(&self) -> Option<&str> {
        self.mutation.as_deref()
    }

    /// The definition of a type.
    pub(crate) fn type_by_name(&self, name: &str) -> Option<&TypeDefinition> {
        match self.document.definitions.get(*self.types.get(name)?) {
            Some(Definition::TypeDefinition(definition)) => Some(definition),
            _ => None,
        }
    }

    /// The definition of a field of an object or interface type.
    pub(crate) fn field(&self, type_name: &str, field: &str) -> Option<&Field> {
        self.type_by_name(type_name)?.field_by_name(field)
    }

    /// Whether any type of the supergraph has a field of this name, also one that clients must not see.
    pub(crate) fn has_field_named(&self, name: &str) -> bool {
        name == "__typename" || self.fields.contains(name)
    }

    /// The object types that a value of this abstract type can have, in the schema's order; empty for
    /// other types.
    pub(crate) fn possible_types(&self, name: &str) -> &[String] {
        self.possible.get(name).map_or(&[], Vec::as_slice)
    }
}

fn field_names(supergraph: &Document) -> HashSet<String> {
    let definitions = supergraph.definitions.iter();
    let fields = definitions.flat_map(|definition| match definition {
        Definition::TypeDefinition(TypeDefinition::Object(it)) => it.fields.as_slice(),
        Definition::TypeDefinition(TypeDefinition::Interface(it)) => it.fields.as_slice(),
        _ => &[],
    });
    fields.map(|field| field.name.clone()).collect()
}

/// Removes what clients must not see, and then what refers to it, until nothing does.
fn prune(supergraph: &Document) -> Document {
    let features = Features::of(supergraph);
    let mut document = supergraph.clone();
    document.definitions.retain(|definition| match definition {
        Definition::TypeDefinition(it) => {
            !features.own_type(it.name()) && !is_inaccessible(type_directives(it))
        }
        Definition::DirectiveDefinition(it) => !features.own(&it.name),
        Definition::SchemaDefinition(_) => true,
        Definition::TypeExtension(_) => false,
    });
    loop {
        let known: HashSet<String> = document
            .definitions
            .iter()
            .filter_map(|definition| match definition {
                Definition::TypeDefinition(it) => Some(it.name().to_owned()),
                _ => None,
            })
            .chain(BUILT_IN.iter().map(|&name| name.to_owned()))
            .collect();
        let before = document.definitions.len();
        for definition in &mut document.definitions {
            prune_definition(definition, &known);
        }
        document
            .definitions
            .retain(|definition| !is_empty(definition));
        if document.definitions.len() == before {
            return document;
        }
    }
}

fn prune_definition(definition: &mut Definition<'static, String>, known: &HashSet<String>) {
    match definition {
        Definition::SchemaDefinition(schema) => {
            schema.directives.clear();
            for root in [&mut schema.mutation, &mut schema.subscription] {
                root.take_if(|name| !known.contains(name));
            }
        }
        Definition::DirectiveDefinition(it) => prune_inputs(&mut it.arguments, known),
        Definition::TypeDefinition(it) => match it {
            TypeDefinition::Object(it) => {
                keep_visible(&mut it.directives);
                it.implements_interfaces.retain(|name| known.contains(name));
                prune_fields(&mut it.fields, known);
            }
            TypeDefinition::Interface(it) => {
                keep_visible(&mut it.directives);
                it.implements_interfaces.retain(|name| known.contains(name));
                prune_fields(&mut it.fields, known);
            }
            TypeDefinition::Union(it) => {
                keep_visible(&mut it.directives);
                it.types.retain(|name| known.contains(name));
            }
            TypeDefinition::Enum(it) => {
                keep_visible(&mut it.directives);
                it.values
                    .retain(|value| !is_inaccessible(&value.directives));
                for value in &mut it.values {
                    keep_visible(&mut value.directives);
                }
            }
            TypeDefinition::InputObject(it) => {
                keep_visible(&mut it.directives);
                prune_inputs(&mut it.fields, known);
            }
            TypeDefinition::Scalar(it) => keep_visible(&mut it.directives),
        },
        Definition::TypeExtension(_) => {}
    }
}

fn prune_fields(fields: &mut Vec<Field>, known: &HashSet<String>) {
    fields.retain(|field| {
        !is_inaccessible(&field.directives) && known.contains(field.field_type.inner_type())
    });
    for field in fields {
        keep_visible(&mut field.directives);
        prune_inputs(&mut field.arguments, known);
    }
}

fn prune_inputs(values: &mut Vec<InputValue>, known: &HashSet<String>) {
    values.retain(|value| {
        !is_inaccessible(&value.directives) && known.contains(value.value_type.inner_type())
    });
    for value in values {
        keep_visible(&mut value.directives);
    }
}

/// True for a type that pruning left without any content.
fn is_empty(definition: &Definition<'static, String>) -> bool {
    match definition {
        Definition::TypeDefinition(it) => match it {
            TypeDefinition::Object(it) => it.fields.is_empty(),
            TypeDefinition::Interface(it) => it.fields.is_empty(),
            TypeDefinition::Union(it) => it.types.is_empty(),
            TypeDefinition::Enum(it) => it.values.is_empty(),
            TypeDefinition::InputObject(it) => it.fields.is_empty(),
            TypeDefinition::Scalar(_) => false,
        },
        _ => false,
    }
}

fn is_inaccessible(directives: &[Directive]) -> bool {
    directives.iter().any(|directive| {
        // Its name without an import is `@inaccessible` too: the specification's main directive.
        directive.name == "inaccessible"
    })
}

/// Only these directives mean something to a client.
fn keep_visible(directives: &mut Vec<Directive>) {
    directives.retain(|it| matches!(it.name.as_str(), "deprecated" | "specifiedBy" | "oneOf"));
}

fn type_directives(definition: &TypeDefinition) -> &[Directive] {
    match definition {
        TypeDefinition::Scalar(it) => &it.directives,
        TypeDefinition::Object(it) => &it.directives,
        TypeDefinition::Interface(it) => &it.directives,
        TypeDefinition::Union(it) => &it.directives,
        TypeDefinition::Enum(it) => &it.directives,
        TypeDefinition::InputObject(it) => &it.directives,
    }
}

fn defines(document: &Document, name: &str) -> bool {
    document.type_by_name(name).is_some()
}

/// Adds what every schema has: the types of introspection, built-in scalars and directives.
fn add_introspection(document: &mut Document, query: &str) -> Result<(), Error> {
    let introspection = parse_schema(INTROSPECTION)?;
    for definition in introspection.definitions {
        let present = match &definition {
            Definition::TypeDefinition(it) => defines(document, it.name()),
            Definition::DirectiveDefinition(it) => document.directive_by_name(&it.name).is_some(),
            _ => true,
        };
        if !present {
            document.definitions.push(definition);
        }
    }
    for definition in &mut document.definitions {
        if let Definition::TypeDefinition(TypeDefinition::Object(object)) = definition
            && object.name == query
        {
            object.fields.extend(meta_fields());
        }
    }
    Ok(())
}

/// `__schema: __Schema!` and `__type(name: String!): __Type`.
fn meta_fields() -> [Field; 2] {
    let named = |name: &str| Type::NamedType(name.to_owned());
    let field = |name: &str, arguments, field_type| Field {
        position: Default::default(),
        description: None,
        name: name.to_owned(),
        arguments,
        field_type,
        directives: Vec::new(),
    };
    let name = InputValue {
        position: Default::default(),
        description: None,
        name: "name".to_owned(),
        value_type: Type::NonNullType(Box::new(named("String"))),
        default_value: None,
        directives: Vec::new(),
    };
    [
        field(
            "__schema",
            Vec::new(),
            Type::NonNullType(Box::new(named("__Schema"))),
        ),
        field("__type", vec![name], named("__Type")),
    ]
}

fn possible_types(document: &Document) -> HashMap<String, Vec<String>> {
    let mut possible: HashMap<String, Vec<String>> = HashMap::new();
    for definition in &document.definitions {
        match definition {
            Definition::TypeDefinition(TypeDefinition::Object(object)) => {
                for interface in &object.implements_interfaces {
                    let members = possible.entry(interface.clone()).or_default();
                    members.push(object.name.clone());
                }
            }
            Definition::TypeDefinition(TypeDefinition::Union(union)) => {
                possible.insert(union.name.clone(), union.types.clone());
            }
            _ => {}
        }
    }
    possible
}

const INTROSPECTION: &str = include_str!("introspection.graphql");

/// Names of [`INTROSPECTION`] that do not begin with two underscores.
const BUILT_IN: [&str; 10] = [
    "ID",
    "String",
    "Int",
    "Float",
    "Boolean",
    "skip",
    "include",
    "deprecated",
    "specifiedBy",
    "oneOf",
];
