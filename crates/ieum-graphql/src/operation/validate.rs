//! Validation against the clients' schema: the rules of the specification.
//!
//! The rules are those of `graphql-tools`. It takes every name that begins with two underscores for a
//! meta field, and does not see directives of variables; both are checked here.

use graphql_tools::parser::Pos;
use graphql_tools::parser::schema::DirectiveLocation;
use graphql_tools::static_graphql::query::{
    Definition, Directive, Field, OperationDefinition, Selection, SelectionSet, TypeCondition,
};
use graphql_tools::validation::rules::default_rules_validation_plan;
use graphql_tools::validation::validate::{ValidationPlan, validate};

use super::parser::Parsed;
use crate::rejection::{Reason, Rejection};
use crate::supergraph::ApiSchema;

/// The rules, made once.
pub(crate) struct Rules(ValidationPlan);

impl Rules {
    pub(crate) fn new() -> Self {
        Self(default_rules_validation_plan())
    }

    /// Checks a document whose [complexity](super::complexity) was bounded before.
    pub(crate) fn check(&self, parsed: &Parsed, schema: &ApiSchema) -> Result<(), Rejection> {
        let mut problems = Problems(None);
        for error in validate(schema.document(), &parsed.document, &self.0) {
            problems.add(error.message, error.locations);
        }
        for definition in &parsed.document.definitions {
            let (set, on) = match definition {
                Definition::Operation(operation) => {
                    (operation.selection_set(), root_type(operation, schema))
                }
                Definition::Fragment(fragment) => {
                    let TypeCondition::On(on) = &fragment.type_condition;
                    (&fragment.selection_set, Some(on.as_str()))
                }
            };
            match on {
                Some(on) => meta_fields(set, on, schema, &mut problems),
                None => {
                    let message = "The schema has no operations of this kind.".to_owned();
                    problems.add(message, [set.span.0]);
                }
            }
        }
        for directive in &parsed.variable_directives {
            variable_directive(directive, schema, &mut problems);
        }
        match problems.0 {
            Some(rejection) => Err(rejection),
            None => Ok(()),
        }
    }
}

struct Problems(Option<Rejection>);

impl Problems {
    fn add(&mut self, message: String, places: impl IntoIterator<Item = Pos>) {
        match &mut self.0 {
            Some(rejection) => rejection.push(message, places),
            None => self.0 = Some(Rejection::at(Reason::Validation, message, places)),
        }
    }
}

/// The type that an operation begins with. Subscriptions are validated too: they are refused later, with
/// an error that says so.
pub(crate) fn root_type<'a>(
    operation: &OperationDefinition,
    schema: &'a ApiSchema,
) -> Option<&'a str> {
    match operation {
        OperationDefinition::Mutation(_) => schema.mutation_type(),
        OperationDefinition::Subscription(_) => schema
            .document()
            .subscription_type_name()
            .map(String::as_str),
        _ => Some(schema.query_type()),
    }
}

fn meta_fields(set: &SelectionSet, on: &str, schema: &ApiSchema, problems: &mut Problems) {
    for selection in &set.items {
        match selection {
            Selection::Field(field) if field.name.starts_with("__") => {
                meta_field(field, on, schema, problems);
            }
            Selection::Field(field) => {
                if let Some(definition) = schema.field(on, &field.name) {
                    let inner = definition.field_type.inner_type();
                    meta_fields(&field.selection_set, inner, schema, problems);
                }
            }
            Selection::InlineFragment(fragment) => {
                let on = match &fragment.type_condition {
                    Some(TypeCondition::On(on)) => on,
                    None => on,
                };
                meta_fields(&fragment.selection_set, on, schema, problems);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn meta_field(field: &Field, on: &str, schema: &ApiSchema, problems: &mut Problems) {
    let name = &field.name;
    match name.as_str() {
        "__schema" | "__type" if on == schema.query_type() => {
            // Its own selection is checked by the rules: the schema has the types of introspection.
        }
        "__typename" => {
            if let Some((argument, _)) = field.arguments.first() {
                let message = format!("Unknown argument \"{argument}\" on field \"__typename\".");
                problems.add(message, [field.position]);
            }
            if !field.selection_set.items.is_empty() {
                let message = "Field \"__typename\" must not have a selection.".to_owned();
                problems.add(message, [field.position]);
            }
        }
        _ => {
            let message = format!("Cannot query field \"{name}\" on type \"{on}\".");
            problems.add(message, [field.position]);
        }
    }
}

fn variable_directive(directive: &Directive, schema: &ApiSchema, problems: &mut Problems) {
    let name = &directive.name;
    let message = match schema.document().directive_by_name(name) {
        None => format!("Unknown directive \"{name}\"."),
        Some(it)
            if !it
                .locations
                .contains(&DirectiveLocation::VariableDefinition) =>
        {
            format!("Directive \"{name}\" may not be used on VARIABLE_DEFINITION")
        }
        Some(_) => return,
    };
    problems.add(message, [directive.position]);
}
