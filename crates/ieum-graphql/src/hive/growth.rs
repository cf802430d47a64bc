//! How large an operation becomes when the library normalises it.
//!
//! Normalising puts fragments in place and spreads selections on interfaces and unions over their object
//! types, level by level: nested, the copies multiply. The library does not bound that; this counts it
//! beforehand, with saturating arithmetic and an upper bound where the exact rule is the library's own.

use std::collections::{HashMap, HashSet};

use graphql_tools::static_graphql::query::{
    Definition, Document, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
    TypeCondition,
};
use hive_router_query_planner::state::supergraph_state::{
    SupergraphDefinition, SupergraphInterfaceType, SupergraphState,
};

use crate::planner::PlanError;

/// Refuses a document whose operations would have more than `allowed` fields.
pub(super) fn check(
    supergraph: &SupergraphState,
    document: &Document,
    allowed: usize,
) -> Result<(), PlanError> {
    let mut growth = Growth {
        supergraph,
        fragments: HashMap::new(),
        members: HashMap::new(),
        fields: 0,
        allowed,
    };
    for definition in &document.definitions {
        if let Definition::Fragment(fragment) = definition {
            growth.fragments.insert(&fragment.name, fragment);
        }
    }
    for definition in &document.definitions {
        let Definition::Operation(operation) = definition else {
            continue;
        };
        let root = match operation {
            OperationDefinition::Mutation(_) => supergraph.mutation_type.as_ref(),
            OperationDefinition::Subscription(_) => supergraph.subscription_type.as_ref(),
            _ => Some(&supergraph.query_type),
        };
        if let Some(root) = root {
            growth.set(operation.selection_set(), root, 1)?;
        }
    }
    Ok(())
}

struct Growth<'a> {
    supergraph: &'a SupergraphState,
    fragments: HashMap<&'a str, &'a FragmentDefinition>,
    /// The number of object types of each abstract type that was met.
    members: HashMap<&'a str, usize>,
    fields: usize,
    allowed: usize,
}

impl<'a> Growth<'a> {
    fn set(&mut self, set: &'a SelectionSet, on: &'a str, copies: usize) -> Result<(), PlanError> {
        for selection in &set.items {
            match selection {
                Selection::Field(field) => {
                    let copies = copies.saturating_mul(self.spread(on, &field.name));
                    self.count(copies)?;
                    let definition = self.supergraph.definitions.get(on);
                    let inner = definition.and_then(|it| it.fields().get(&field.name));
                    if let Some(inner) = inner {
                        let inner = inner.field_type.inner_type();
                        self.set(&field.selection_set, inner, copies)?;
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let on_fragment = match &fragment.type_condition {
                        Some(TypeCondition::On(name)) => name,
                        None => on,
                    };
                    self.fragment(&fragment.selection_set, on, on_fragment, copies)?;
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.fragments.get(spread.fragment_name.as_str()) {
                        let TypeCondition::On(name) = &fragment.type_condition;
                        self.fragment(&fragment.selection_set, on, name, copies)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A fragment on an abstract type within another type is copied for each object type.
    fn fragment(
        &mut self,
        set: &'a SelectionSet,
        on: &'a str,
        condition: &'a str,
        copies: usize,
    ) -> Result<(), PlanError> {
        self.count(copies)?;
        if on == condition {
            return self.set(set, on, copies);
        }
        let object = matches!(
            self.supergraph.definitions.get(on),
            Some(SupergraphDefinition::Object(_))
        );
        let members = if object { 1 } else { self.members(condition) };
        self.set(set, condition, copies.saturating_mul(members))
    }

    fn count(&mut self, copies: usize) -> Result<(), PlanError> {
        self.fields = self.fields.saturating_add(copies);
        match self.fields > self.allowed {
            true => Err(PlanError::TooLarge {
                allowed: self.allowed,
            }),
            false => Ok(()),
        }
    }

    /// How many copies of a field the library makes: one per object type of an interface, if some of
    /// them do not resolve the field in every subgraph that knows the interface.
    fn spread(&mut self, on: &'a str, field: &str) -> usize {
        match self.supergraph.definitions.get(on) {
            Some(SupergraphDefinition::Interface(interface))
                if !is_uniform(self.supergraph, interface, field) =>
            {
                self.members(on)
            }
            _ => 1,
        }
    }

    fn members(&mut self, name: &'a str) -> usize {
        if let Some(&known) = self.members.get(name) {
            return known;
        }
        let count = match self.supergraph.definitions.get(name) {
            Some(SupergraphDefinition::Interface(_)) => self
                .supergraph
                .interface_members(name)
                .map_or(0, |it| it.len()),
            Some(SupergraphDefinition::Union(union)) => {
                let members: HashSet<&str> = union
                    .union_members
                    .iter()
                    .map(|it| it.member.as_str())
                    .collect();
                members.len()
            }
            _ => 1,
        };
        let count = count.max(1);
        self.members.insert(name, count);
        count
    }
}

/// True if a field of an interface is certainly resolved alike by all of its object types.
fn is_uniform(
    supergraph: &SupergraphState,
    interface: &SupergraphInterfaceType,
    field: &str,
) -> bool {
    let everywhere = interface
        .fields
        .get(field)
        .is_some_and(|field| field.join_field.is_empty());
    let one_graph = interface.join_type.len() <= 1;
    let Some(members) = supergraph.interface_members(&interface.name) else {
        return true;
    };
    (everywhere || one_graph)
        && members.iter().all(|member| {
            let object = supergraph.definitions.get(member);
            let field = object.and_then(|object| object.fields().get(field));
            field.is_some_and(|field| {
                let mut joins = field.join_field.iter();
                joins.all(|join| {
                    !join.external && !join.used_overridden && join.override_value.is_none()
                })
            })
        })
}
