//! What the executor has to know of the schema.

use graphql_tools::static_graphql::schema::{Definition, Document, Field, TypeDefinition};

use crate::execute::Types;
use crate::plan::OperationKind;
use crate::supergraph::{ApiSchema, Supergraph};

/// Fields and values as clients may see them; membership of abstract types in the whole supergraph.
pub(super) fn types(supergraph: &Supergraph) -> Types {
    let api = supergraph.api();
    let mut types = visible(api);
    types = types.root_type(OperationKind::Query, api.query_type());
    if let Some(mutation) = api.mutation_type() {
        types = types.root_type(OperationKind::Mutation, mutation);
    }
    membership(types, supergraph.document())
}

fn visible(api: &ApiSchema) -> Types {
    let mut types = Types::new();
    for definition in &api.document().definitions {
        let Definition::TypeDefinition(definition) = definition else {
            continue;
        };
        types = match definition {
            TypeDefinition::Object(it) => {
                let fields = written(&it.fields);
                types.object(&it.name, borrowed(&fields))
            }
            TypeDefinition::Interface(it) => {
                let fields = written(&it.fields);
                types.interface(&it.name, borrowed(&fields))
            }
            TypeDefinition::Union(it) => types.union(&it.name),
            TypeDefinition::Enum(it) => {
                types.enumeration(&it.name, it.values.iter().map(|value| value.name.as_str()))
            }
            TypeDefinition::Scalar(_) | TypeDefinition::InputObject(_) => types,
        };
    }
    types
}

fn written(fields: &[Field]) -> Vec<(&str, String)> {
    let fields = fields.iter();
    fields
        .map(|field| (field.name.as_str(), field.field_type.to_string()))
        .collect()
}

fn borrowed<'a>(fields: &'a [(&'a str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    fields.iter().map(|(name, of)| (*name, of.as_str()))
}

fn membership(mut types: Types, supergraph: &Document) -> Types {
    for definition in &supergraph.definitions {
        match definition {
            Definition::TypeDefinition(TypeDefinition::Object(it)) => {
                for interface in &it.implements_interfaces {
                    types = types.members(interface, [it.name.as_str()]);
                }
            }
            Definition::TypeDefinition(TypeDefinition::Union(it)) => {
                types = types.members(&it.name, it.types.iter().map(String::as_str));
            }
            _ => {}
        }
    }
    types
}
