//! Aliases that are names of fields, set apart from those fields.
//!
//! A planner selects fields of its own beside the client's: keys, and what other fields require. In
//! `{ user { id: name orders { id } } }` the client has given the name of one to something else, and the
//! data would have two values under it: the orders would be asked for by whatever the user calls itself.
//! Such an alias gets a prefix before the operation is planned, which it loses where an answer is written.

use graphql_tools::static_graphql::query::{
    FragmentDefinition, Selection as Item, SelectionSet, TypeCondition,
};

use crate::plan::ASIDE;
use crate::supergraph::ApiSchema;

/// Sets apart the aliases of a selection.
pub(super) fn set_apart(set: &mut SelectionSet, schema: &ApiSchema) {
    for item in &mut set.items {
        match item {
            // It is answered here, selection and all, by the client's own names.
            Item::Field(field) if matches!(field.name.as_str(), "__schema" | "__type") => {}
            Item::Field(field) => {
                let key = field.alias.as_ref().unwrap_or(&field.name);
                let is_taken = *key != field.name && schema.has_field_named(key);
                if is_taken || key.starts_with(ASIDE) {
                    field.alias = Some(format!("{ASIDE}{key}"));
                }
                set_apart(&mut field.selection_set, schema);
            }
            Item::InlineFragment(fragment) => set_apart(&mut fragment.selection_set, schema),
            Item::FragmentSpread(_) => {}
        }
    }
}

/// The same for a fragment, unless it is one of introspection.
pub(super) fn set_apart_in(fragment: &mut FragmentDefinition, schema: &ApiSchema) {
    let TypeCondition::On(on) = &fragment.type_condition;
    if !on.starts_with("__") {
        set_apart(&mut fragment.selection_set, schema);
    }
}
