//! A way round where the library finds none: fields that require others.
//!
//! The library fails on a field with `@requires` whose service is reached over a third one, or which
//! stands below a list of its own service ("expected a single parent", "path cannot be found"). Such a
//! field is taken out of the operation, and a key and what it requires are selected in its place. The rest
//! is planned as usual; then the field is asked for as an entity, by what the data now has. That is one
//! call more per service than the best plan at worst, and it is asked only when there is no other.

use std::collections::BTreeSet;

use hive_router_query_planner::ast::operation::{OperationDefinition, VariableDefinition};
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{
    FieldSelection, InlineFragmentSelection, SelectionSet,
};
use hive_router_query_planner::state::supergraph_state::{
    SupergraphDefinition, SupergraphField, SupergraphState,
};

use super::translate;
use crate::operation::parser;
use crate::plan::{Batch, Entities, Node, Required, Segment};

/// An operation without the fields that the library cannot plan.
pub(super) struct Detour {
    /// What is left to be planned.
    pub(super) operation: OperationDefinition,
    taken: Vec<Taken>,
    variables: Vec<VariableDefinition>,
}

/// Fields of one place that one service resolves.
struct Taken {
    path: Vec<Segment>,
    on: String,
    subgraph: String,
    fields: Vec<FieldSelection>,
    requires: Vec<Required>,
}

impl Detour {
    /// Takes out what requires other fields; `None` if nothing does.
    pub(super) fn around(
        supergraph: &SupergraphState,
        operation: &OperationDefinition,
    ) -> Option<Self> {
        let root = supergraph.expect_root_type_name(operation.operation_kind.as_ref());
        let mut walk = Walk {
            supergraph,
            taken: Vec::new(),
            path: Vec::new(),
            aliases: 0,
        };
        let selection_set = walk.selection(&operation.selection_set, root);
        let operation = OperationDefinition {
            selection_set,
            ..operation.clone()
        };
        (!walk.taken.is_empty()).then(|| Self {
            variables: operation.variable_definitions.clone().unwrap_or_default(),
            operation,
            taken: walk.taken,
        })
    }

    /// The plan of what was left, and after it what was taken out: one call for each service.
    pub(super) fn complete(self, rest: Node) -> Node {
        let subgraphs: BTreeSet<&str> = self.taken.iter().map(|t| t.subgraph.as_str()).collect();
        let calls: Vec<Node> = subgraphs
            .into_iter()
            .map(|subgraph| {
                let taken = self.taken.iter().filter(|taken| taken.subgraph == subgraph);
                Node::Entities(entities(subgraph, taken.collect(), &self.variables))
            })
            .collect();
        Node::Sequence(vec![rest, Node::Parallel(calls)])
    }
}

/// A walk through a selection, from place to place.
struct Walk<'a> {
    supergraph: &'a SupergraphState,
    taken: Vec<Taken>,
    path: Vec<Segment>,
    aliases: usize,
}

impl Walk<'_> {
    fn selection(&mut self, set: &SelectionSet, on: &str) -> SelectionSet {
        let from = self.taken.len();
        let mut items = Vec::with_capacity(set.items.len());
        for item in &set.items {
            match item {
                SelectionItem::Field(field) => self.field(field, on, from, &mut items),
                SelectionItem::InlineFragment(fragment) => {
                    items.push(SelectionItem::InlineFragment(self.fragment(fragment)));
                }
                SelectionItem::FragmentSpread(_) => items.push(item.clone()),
            }
        }
        SelectionSet { items }
    }

    fn fragment(&mut self, fragment: &InlineFragmentSelection) -> InlineFragmentSelection {
        let on = &fragment.type_condition;
        self.path.push(Segment::Types(vec![on.clone()]));
        let selections = self.selection(&fragment.selections, on);
        self.path.pop();
        InlineFragmentSelection {
            selections,
            ..fragment.clone()
        }
    }

    /// Takes a field, or keeps it with what is below it. What this selection took before begins at
    /// `from`.
    fn field(
        &mut self,
        field: &FieldSelection,
        on: &str,
        from: usize,
        items: &mut Vec<SelectionItem>,
    ) {
        let supergraph = self.supergraph;
        let definition = supergraph.definitions.get(on);
        let known = definition.and_then(|definition| definition.fields().get(&field.name));
        let (Some(definition), Some(known)) = (definition, known) else {
            items.push(SelectionItem::Field(field.clone()));
            return;
        };
        if let Some((graph, requires)) = self.requirement(definition, known)
            && self.is_whole_in(&field.selections, known.field_type.inner_type(), graph)
            && let Some(key) = self.key(definition, graph)
        {
            self.take(field, on, from, [key, requires], graph, items);
            return;
        }
        let depth = self.path.len();
        self.path
            .push(Segment::Field(field.selection_identifier().to_owned()));
        if known.field_type.is_list() {
            self.path.push(Segment::List);
        }
        let selections = self.selection(&field.selections, known.field_type.inner_type());
        self.path.truncate(depth);
        items.push(SelectionItem::Field(field.with_new_selections(selections)));
    }

    /// The only service of a field of an object, and what it requires there.
    fn requirement<'s>(
        &self,
        definition: &SupergraphDefinition,
        field: &'s SupergraphField,
    ) -> Option<(&'s str, &'s str)> {
        let SupergraphDefinition::Object(_) = definition else {
            return None;
        };
        let mut offered = field
            .join_field
            .iter()
            .filter(|join| !join.external && !join.used_overridden);
        match (offered.next(), offered.next()) {
            (Some(only), None) => Some((only.graph_id.as_deref()?, only.requires.as_deref()?)),
            _ => None,
        }
    }

    /// True if the service resolves all of the selection by itself.
    fn is_whole_in(&self, set: &SelectionSet, on: &str, graph: &str) -> bool {
        let definition = self.supergraph.definitions.get(on);
        set.items.iter().all(|item| match item {
            SelectionItem::Field(field) if field.is_introspection_field() => true,
            SelectionItem::Field(field) => definition.is_some_and(|definition| {
                definition.fields().get(&field.name).is_some_and(|known| {
                    let inner = known.field_type.inner_type();
                    let requires = known.join_field.iter().any(|join| join.requires.is_some());
                    known.resolvable_in_graphs(definition).contains(graph)
                        && !requires
                        && self.is_whole_in(&field.selections, inner, graph)
                })
            }),
            SelectionItem::InlineFragment(fragment) => {
                let on = &fragment.type_condition;
                let known = self.supergraph.definitions.get(on);
                known.is_some_and(|known| known.is_defined_in_subgraph(graph))
                    && self.is_whole_in(&fragment.selections, on, graph)
            }
            SelectionItem::FragmentSpread(_) => false,
        })
    }

    /// A key by which the service finds an object; best one that others know too.
    fn key<'s>(&self, definition: &'s SupergraphDefinition, graph: &str) -> Option<&'s str> {
        let keys = || {
            let joins = definition.join_types().iter();
            joins
                .filter(|join| {
                    join.graph_id == graph && join.resolvable && !join.is_interface_object
                })
                .filter_map(|join| join.key.as_deref())
        };
        let is_known_elsewhere = |key: &&str| {
            let others = definition.join_types().iter();
            others
                .filter(|join| join.graph_id != graph)
                .any(|join| join.key.as_deref() == Some(*key))
        };
        keys().find(is_known_elsewhere).or_else(|| keys().next())
    }

    /// Selects what the field needs in its place, under names that no client uses.
    fn take(
        &mut self,
        field: &FieldSelection,
        on: &str,
        from: usize,
        needs: [&str; 2],
        graph: &str,
        items: &mut Vec<SelectionItem>,
    ) {
        let Some(subgraph) = self.supergraph.known_subgraphs.get(graph) else {
            items.push(SelectionItem::Field(field.clone()));
            return;
        };
        let mut requires = vec![required("__typename", "__typename", Vec::new())];
        items.push(SelectionItem::Field(FieldSelection::new_typename()));
        for needed in needs
            .into_iter()
            .filter_map(field_set)
            .flat_map(|set| set.items)
        {
            let SelectionItem::Field(needed) = needed else {
                continue;
            };
            let alias = format!("_ieum{}", self.aliases);
            self.aliases += 1;
            let below = translate::required(&needed.selections).unwrap_or_default();
            requires.push(required(&needed.name, &alias, below));
            items.push(SelectionItem::Field(FieldSelection {
                alias: Some(alias),
                ..needed
            }));
        }
        let here = self.taken[from..]
            .iter_mut()
            .find(|taken| taken.path == self.path && taken.subgraph == *subgraph);
        match here {
            // The key's fields are there twice, which is harmless: a representation has each name once.
            Some(taken) => {
                taken.fields.push(field.clone());
                let known: BTreeSet<&str> = taken.requires.iter().filter_map(name).collect();
                requires.retain(|each| name(each).is_none_or(|name| !known.contains(name)));
                taken.requires.append(&mut requires);
            }
            None => self.taken.push(Taken {
                path: self.path.clone(),
                on: on.to_owned(),
                subgraph: subgraph.clone(),
                fields: vec![field.clone()],
                requires,
            }),
        }
    }
}

/// One call for all that was taken out of one service's reach.
fn entities(subgraph: &str, taken: Vec<&Taken>, variables: &[VariableDefinition]) -> Entities {
    let usages: BTreeSet<String> = taken
        .iter()
        .flat_map(|taken| {
            taken
                .fields
                .iter()
                .flat_map(FieldSelection::variable_usages)
        })
        .collect();
    let used = variables.iter().filter(|v| usages.contains(&v.name));
    let mut heads: Vec<String> = used.map(ToString::to_string).collect();
    let mut calls = Vec::new();
    let mut batches = Vec::new();
    for (n, taken) in taken.into_iter().enumerate() {
        let (alias, variable) = (format!("_e{n}"), format!("_r{n}"));
        let fields: Vec<String> = taken.fields.iter().map(ToString::to_string).collect();
        heads.push(format!("${variable}:[_Any!]!"));
        calls.push(format!(
            "{alias}: _entities(representations: ${variable}){{...on {}{{{}}}}}",
            taken.on,
            fields.join(" ")
        ));
        let keys = taken.fields.iter();
        batches.push(Batch {
            fields: keys.map(|f| f.selection_identifier().to_owned()).collect(),
            alias,
            variable,
            paths: vec![taken.path.clone()],
            requires: vec![Required::Fragment {
                on: taken.on.clone(),
                selections: taken.requires.clone(),
            }],
            input: Vec::new(),
            output: Vec::new(),
        });
    }
    Entities {
        subgraph: subgraph.to_owned(),
        operation: format!("query({}){{{}}}", heads.join(","), calls.join(" ")),
        variables: usages.into_iter().collect(),
        batches,
    }
}

fn required(name: &str, key: &str, selections: Vec<Required>) -> Required {
    Required::Field {
        name: name.to_owned(),
        key: key.to_owned(),
        selections,
    }
}

fn name(required: &Required) -> Option<&str> {
    match required {
        Required::Field { name, .. } => Some(name),
        Required::Fragment { .. } => None,
    }
}

/// The selection of a checked field set.
fn field_set(text: &str) -> Option<SelectionSet> {
    let parsed = parser::parse(&format!("{{{text}}}")).ok()?;
    let definition = parsed.document.definitions.into_iter().next()?;
    match definition {
        graphql_tools::static_graphql::query::Definition::Operation(operation) => {
            Some(OperationDefinition::from(operation).selection_set)
        }
        graphql_tools::static_graphql::query::Definition::Fragment(_) => None,
    }
}
