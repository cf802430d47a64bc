//! Field sets: the selections in `key`, `requires` and `provides`.

use graphql_tools::static_graphql::query::{
    Definition, OperationDefinition, Selection, SelectionSet, TypeCondition,
};

use super::check::Types;
use crate::limits::Limits;
use crate::operation::{lexer, parser};

/// Checks that a field set is a selection without fragment spreads and that every field of it exists.
pub(super) fn check(types: &Types<'_>, type_name: &str, text: &str) -> Result<(), String> {
    let braced = format!("{{{text}}}");
    lexer::scan(&braced, &Limits::default()).map_err(|_| format!("`{text}` is no field set"))?;
    let parsed = parser::parse(&braced).map_err(|error| format!("`{text}`: {error}"))?;
    match parsed.document.definitions.as_slice() {
        [Definition::Operation(OperationDefinition::SelectionSet(set))] => {
            walk(types, type_name, set).map_err(|problem| format!("`{text}`: {problem}"))
        }
        _ => Err(format!("`{text}` is no field set")),
    }
}

fn walk(types: &Types<'_>, type_name: &str, set: &SelectionSet) -> Result<(), String> {
    for selection in &set.items {
        match selection {
            Selection::Field(field) if field.name == "__typename" => {}
            Selection::Field(field) => {
                let inner = types
                    .field_type(type_name, &field.name)
                    .ok_or_else(|| format!("`{type_name}` has no field `{}`", field.name))?;
                let composite = types.is_composite(inner);
                if composite == field.selection_set.items.is_empty() {
                    return Err(format!("the selection of `{}` does not fit", field.name));
                }
                walk(types, inner, &field.selection_set)?;
            }
            Selection::InlineFragment(fragment) => {
                let Some(TypeCondition::On(on)) = &fragment.type_condition else {
                    return Err("a fragment without a type".to_owned());
                };
                if !types.is_composite(on) {
                    return Err(format!("there is no type `{on}`"));
                }
                walk(types, on, &fragment.selection_set)?;
            }
            Selection::FragmentSpread(_) => return Err("a fragment spread".to_owned()),
        }
    }
    Ok(())
}
