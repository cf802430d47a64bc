//! The one operation of a document that is executed, in the forms that others need.
//!
//! The planner gets a document with that operation alone, without meta fields at its root: they are
//! answered here. What the client selected goes to the executor as it was written, fragments put in their
//! place, so that the answer's fields come in the order of the query, whatever the planner reorders.

use std::collections::HashMap;

use graphql_tools::parser::Pos;
use graphql_tools::static_graphql::query::{
    Definition, Directive, Document, Field, FragmentDefinition, InlineFragment,
    OperationDefinition, Selection as Item, SelectionSet, TypeCondition, Value, VariableDefinition,
};

use super::aliases::{set_apart, set_apart_in};
use super::conditions::{Decisions, Given, prune};
use crate::plan::{OperationKind, Selected, When};
use crate::rejection::{Reason, Rejection};
use crate::supergraph::ApiSchema;

/// A checked operation.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) kind: OperationKind,
    pub(crate) name: Option<String>,
    pub(crate) variables: Vec<VariableDefinition>,
    /// What the client selected.
    pub(crate) response: Vec<Selected>,
    /// For the planner; `None` if no subgraph has to be asked.
    pub(crate) planned: Option<Document>,
    /// The fields `__schema` and `__type` at the root, in their order, with their arguments and
    /// selections.
    pub(crate) introspection: Vec<Field>,
    /// The fragments that introspection may spread.
    pub(crate) fragments: HashMap<String, FragmentDefinition>,
}

impl Selection {
    /// Chooses the operation of a valid document.
    pub(super) fn of(
        document: Document,
        name: Option<&str>,
        schema: &ApiSchema,
        given: &Given,
    ) -> Result<Self, Rejection> {
        let (mut operation, mut fragments) = choose(document, name)?;
        let decisions = Decisions::new(given, operation.variable_definitions());
        decisions.decide(selection_set_mut(&mut operation));
        decisions.decide_all(&mut fragments);
        set_apart(selection_set_mut(&mut operation), schema);
        for fragment in fragments.values_mut() {
            set_apart_in(fragment, schema);
        }
        let (kind, root) = match &operation {
            OperationDefinition::Subscription(it) => {
                let message = "subscriptions are not supported";
                return Err(Rejection::at(Reason::Subscription, message, [it.position]));
            }
            OperationDefinition::Mutation(_) => (
                OperationKind::Mutation,
                schema.mutation_type().unwrap_or_default(),
            ),
            _ => (OperationKind::Query, schema.query_type()),
        };
        let expander = Expander {
            fragments: &fragments,
        };
        let response = expander.selected(operation.selection_set(), true)?;
        prune(selection_set_mut(&mut operation));
        for fragment in fragments.values_mut() {
            prune(&mut fragment.selection_set);
        }
        let expander = Expander {
            fragments: &fragments,
        };
        let mut introspection = Vec::new();
        let items = expander.root(operation.selection_set(), root, &mut introspection);
        let variables = operation.variable_definitions().to_vec();
        let name = operation_name(&operation).map(str::to_owned);
        let kept = match introspection.is_empty() {
            true => HashMap::new(),
            false => fragments.clone(),
        };
        let planned = (!items.is_empty()).then(|| {
            let mut planned = operation;
            selection_set_mut(&mut planned).items = items;
            let mut definitions = vec![Definition::Operation(planned)];
            definitions.extend(fragments.into_values().map(Definition::Fragment));
            Document { definitions }
        });
        Ok(Self {
            kind,
            name,
            variables,
            response,
            planned,
            introspection,
            fragments: kept,
        })
    }
}

type Fragments = HashMap<String, FragmentDefinition>;

/// The operation of this name, or the only one; and all fragments.
fn choose(
    document: Document,
    name: Option<&str>,
) -> Result<(OperationDefinition, Fragments), Rejection> {
    let wrong = |message: String| Rejection::new(Reason::Operation, message);
    let mut fragments = HashMap::new();
    let mut operations = Vec::new();
    for definition in document.definitions {
        match definition {
            Definition::Fragment(it) => {
                fragments.insert(it.name.clone(), it);
            }
            Definition::Operation(it) => operations.push(it),
        }
    }
    match name {
        Some(name) => {
            let found = operations
                .into_iter()
                .find(|operation| operation_name(operation) == Some(name));
            found.ok_or_else(|| wrong(format!("Unknown operation named \"{name}\".")))
        }
        None if operations.len() > 1 => Err(wrong(
            "Must provide operation name if query contains multiple operations.".to_owned(),
        )),
        None => operations
            .pop()
            .ok_or_else(|| wrong("Must provide an operation.".to_owned())),
    }
    .map(|operation| (operation, fragments))
}

fn operation_name(operation: &OperationDefinition) -> Option<&str> {
    match operation {
        OperationDefinition::Query(it) => it.name.as_deref(),
        OperationDefinition::Mutation(it) => it.name.as_deref(),
        OperationDefinition::Subscription(it) => it.name.as_deref(),
        OperationDefinition::SelectionSet(_) => None,
    }
}

fn selection_set_mut(operation: &mut OperationDefinition) -> &mut SelectionSet {
    match operation {
        OperationDefinition::Query(it) => &mut it.selection_set,
        OperationDefinition::Mutation(it) => &mut it.selection_set,
        OperationDefinition::Subscription(it) => &mut it.selection_set,
        OperationDefinition::SelectionSet(it) => it,
    }
}

struct Expander<'a> {
    fragments: &'a Fragments,
}

impl Expander<'_> {
    /// The selection as the executor needs it. `root` is true at the root of the operation.
    fn selected(&self, set: &SelectionSet, root: bool) -> Result<Vec<Selected>, Rejection> {
        let mut selected = Vec::with_capacity(set.items.len());
        for item in &set.items {
            let (directives, pos) = directives(item);
            let Some(when) = conditions(directives) else {
                continue;
            };
            match item {
                Item::Field(field) => {
                    let introspection = matches!(field.name.as_str(), "__schema" | "__type");
                    if introspection && !root {
                        return Err(not_at_the_root(&field.name, pos));
                    }
                    // Its selection is answered as a whole, elsewhere.
                    let selections = match introspection {
                        true => Vec::new(),
                        false => self.selected(&field.selection_set, false)?,
                    };
                    selected.push(Selected::Field {
                        key: field.alias.as_ref().unwrap_or(&field.name).clone(),
                        name: field.name.clone(),
                        when,
                        selections,
                    });
                }
                Item::InlineFragment(fragment) => {
                    let on = fragment
                        .type_condition
                        .as_ref()
                        .map(|TypeCondition::On(it)| it);
                    selected.push(Selected::Fragment {
                        on: on.cloned(),
                        when,
                        selections: self.selected(&fragment.selection_set, root)?,
                    });
                }
                Item::FragmentSpread(spread) => {
                    let Some(fragment) = self.fragments.get(&spread.fragment_name) else {
                        continue;
                    };
                    let TypeCondition::On(on) = &fragment.type_condition;
                    selected.push(Selected::Fragment {
                        on: Some(on.clone()),
                        when,
                        selections: self.selected(&fragment.selection_set, root)?,
                    });
                }
            }
        }
        Ok(selected)
    }

    /// The root selection for the planner: fragments in place, meta fields taken out. `__schema` and
    /// `__type` are collected.
    fn root(&self, set: &SelectionSet, root: &str, introspection: &mut Vec<Field>) -> Vec<Item> {
        let mut items = Vec::with_capacity(set.items.len());
        for item in &set.items {
            let (directives, position) = directives(item);
            if conditions(directives).is_none() {
                continue;
            }
            let (condition, inner) = match item {
                Item::Field(field) if field.name.starts_with("__") => {
                    if field.name != "__typename" {
                        introspection.push(field.clone());
                    }
                    continue;
                }
                Item::Field(_) => {
                    items.push(item.clone());
                    continue;
                }
                Item::InlineFragment(it) => (it.type_condition.clone(), &it.selection_set),
                Item::FragmentSpread(spread) => match self.fragments.get(&spread.fragment_name) {
                    Some(it) => (Some(it.type_condition.clone()), &it.selection_set),
                    None => continue,
                },
            };
            let inner_items = self.root(inner, root, introspection);
            if !inner_items.is_empty() {
                // On the root type itself a condition says nothing; an interface of it is rare, and kept.
                let condition = condition.filter(|TypeCondition::On(on)| on != root);
                items.push(Item::InlineFragment(InlineFragment {
                    position,
                    type_condition: condition,
                    directives: directives.to_vec(),
                    selection_set: SelectionSet {
                        span: inner.span,
                        items: inner_items,
                    },
                }));
            }
        }
        items
    }
}

fn directives(item: &Item) -> (&[Directive], Pos) {
    match item {
        Item::Field(it) => (&it.directives, it.position),
        Item::InlineFragment(it) => (&it.directives, it.position),
        Item::FragmentSpread(it) => (&it.directives, it.position),
    }
}

/// When the item applies; `None` if it never does, because a constant says so.
fn conditions(directives: &[Directive]) -> Option<Vec<When>> {
    let mut when = Vec::new();
    for directive in directives {
        let skip = match directive.name.as_str() {
            "skip" => true,
            "include" => false,
            _ => continue,
        };
        match directive.arguments.iter().find(|(name, _)| name == "if") {
            Some((_, Value::Boolean(value))) if *value == skip => return None,
            Some((_, Value::Variable(name))) if skip => when.push(When::Skip(name.clone())),
            Some((_, Value::Variable(name))) => when.push(When::Include(name.clone())),
            _ => {}
        }
    }
    Some(when)
}

/// Whether an item with these directives is answered; their variables are decided.
pub(crate) fn conditions_hold(directives: &[Directive]) -> bool {
    conditions(directives).is_some()
}

fn not_at_the_root(field: &str, pos: Pos) -> Rejection {
    let message = format!("Field \"{field}\" is answered at the root of an operation only.");
    Rejection::at(Reason::Validation, message, [pos])
}
