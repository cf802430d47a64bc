//! From the library's plan to ours.

use hive_router_query_planner::ast::document::Document;
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::planner::plan_nodes::{
    BatchFetchNode, ConditionNode, EntityBatchAlias, FetchNode, FetchNodePathSegment, FetchRewrite,
    FlattenNodePath, FlattenNodePathSegment, PlanNode,
};
use hive_router_query_planner::state::supergraph_state::OperationKind as LibraryKind;

use crate::plan::{
    Batch, Change, Condition, Entities, Fetch, Node, OperationKind, Required, Rewrite,
    RewriteSegment, Segment,
};
use crate::planner::PlanError;

type Result<T> = std::result::Result<T, PlanError>;

/// Translates a step and what is below it.
pub(super) fn node(node: PlanNode) -> Result<Node> {
    match node {
        PlanNode::Sequence(sequence) => Ok(Node::Sequence(nodes(sequence.nodes)?)),
        PlanNode::Parallel(parallel) => Ok(Node::Parallel(nodes(parallel.nodes)?)),
        PlanNode::Fetch(step) => fetch(step, Vec::new()),
        PlanNode::BatchFetch(step) => batch_fetch(step),
        PlanNode::Flatten(flatten) => match *flatten.node {
            PlanNode::Fetch(step) => fetch(step, path(&flatten.path)),
            _ => Err(unsupported("a path before another step than a fetch")),
        },
        PlanNode::Condition(step) => condition(step),
        PlanNode::Subscription(_) => Err(unsupported("a subscription")),
        PlanNode::Defer(_) => Err(unsupported("a deferred part")),
    }
}

fn nodes(steps: Vec<PlanNode>) -> Result<Vec<Node>> {
    steps.into_iter().map(node).collect()
}

fn condition(step: ConditionNode) -> Result<Node> {
    let clause =
        |clause: Option<Box<PlanNode>>| clause.map(|step| node(*step).map(Box::new)).transpose();
    Ok(Node::Condition(Condition {
        variable: step.condition,
        then: clause(step.if_clause)?,
        otherwise: clause(step.else_clause)?,
    }))
}

fn fetch(step: FetchNode, path: Vec<Segment>) -> Result<Node> {
    let document = &step.operation.document;
    let top = &document.operation.selection_set;
    let variables = step
        .variable_usages
        .unwrap_or_default()
        .into_iter()
        .collect();
    let Some(requires) = step.requires else {
        return Ok(Node::Fetch(Fetch {
            subgraph: step.service_name,
            kind: kind(step.operation_kind.as_ref())?,
            variables,
            fields: response_keys(document, top),
            operation: step.operation.document_str,
            path,
            output: rewrites(step.output_rewrites),
        }));
    };
    let fields = entity_fields(document, ENTITIES);
    Ok(Node::Entities(Entities {
        subgraph: step.service_name,
        operation: step.operation.document_str,
        variables,
        batches: vec![Batch {
            alias: ENTITIES.to_owned(),
            fields,
            variable: REPRESENTATIONS.to_owned(),
            paths: vec![path],
            requires: of_interface(required(&requires)?, step.input_rewrites.as_deref()),
            input: rewrites(step.input_rewrites),
            output: rewrites(step.output_rewrites),
        }],
    }))
}

fn batch_fetch(step: BatchFetchNode) -> Result<Node> {
    let batches: Vec<Batch> = step
        .entity_batch
        .aliases
        .into_iter()
        .map(|alias| batch(alias, &step.operation.document))
        .collect::<Result<_>>()?;
    let own = |name: &String| batches.iter().any(|batch| batch.variable == *name);
    let variables = step.variable_usages.unwrap_or_default();
    let variables = variables.into_iter().filter(|name| !own(name)).collect();
    Ok(Node::Entities(Entities {
        subgraph: step.service_name,
        operation: step.operation.document_str,
        variables,
        batches,
    }))
}

fn batch(alias: EntityBatchAlias, document: &Document) -> Result<Batch> {
    Ok(Batch {
        fields: entity_fields(document, &alias.alias),
        alias: alias.alias,
        variable: alias.representations_variable_name,
        paths: alias.merge_paths.iter().map(path).collect(),
        requires: of_interface(required(&alias.requires)?, alias.input_rewrites.as_deref()),
        input: rewrites(alias.input_rewrites),
        output: rewrites(alias.output_rewrites),
    })
}

/// The response keys of what an `_entities` field of this alias selects.
fn entity_fields(document: &Document, alias: &str) -> Vec<String> {
    let top = document.operation.selection_set.items.iter();
    let mut fields = top.filter_map(|item| match item {
        SelectionItem::Field(field) => Some(field),
        _ => None,
    });
    let entities = fields.find(|field| field.selection_identifier() == alias);
    entities.map_or_else(Vec::new, |field| response_keys(document, &field.selections))
}

/// The response keys of a selection, those in its fragments included.
fn response_keys(document: &Document, set: &SelectionSet) -> Vec<String> {
    let mut keys = Vec::new();
    let mut rest = vec![set];
    while let Some(set) = rest.pop() {
        for item in &set.items {
            match item {
                SelectionItem::Field(field) => {
                    let key = field.selection_identifier();
                    if key != "__typename" && !keys.iter().any(|known| known == key) {
                        keys.push(key.to_owned());
                    }
                }
                SelectionItem::InlineFragment(fragment) => rest.push(&fragment.selections),
                SelectionItem::FragmentSpread(name) => {
                    let mut fragments = document.fragments.iter();
                    let fragment = fragments.find(|fragment| fragment.name == *name);
                    rest.extend(fragment.map(|fragment| &fragment.selection_set));
                }
            }
        }
    }
    keys
}

fn kind(kind: Option<&LibraryKind>) -> Result<OperationKind> {
    match kind {
        None | Some(LibraryKind::Query) => Ok(OperationKind::Query),
        Some(LibraryKind::Mutation) => Ok(OperationKind::Mutation),
        Some(LibraryKind::Subscription) => Err(unsupported("a subscription")),
    }
}

fn path(path: &FlattenNodePath) -> Vec<Segment> {
    let segments = path.as_slice().iter();
    segments
        .map(|segment| match segment {
            FlattenNodePathSegment::Field(name) => Segment::Field(name.clone()),
            FlattenNodePathSegment::List => Segment::List,
            FlattenNodePathSegment::TypeCondition(types) => {
                Segment::Types(types.iter().cloned().collect())
            }
        })
        .collect()
}

/// What a representation consists of, by a selection.
pub(super) fn required(set: &SelectionSet) -> Result<Vec<Required>> {
    set.items
        .iter()
        .map(|item| match item {
            // The library's alias is what the subgraph expects, its name what the data has.
            SelectionItem::Field(field) => Ok(Required::Field {
                name: field.selection_identifier().to_owned(),
                key: field.name.clone(),
                selections: required(&field.selections)?,
            }),
            SelectionItem::InlineFragment(fragment) => Ok(Required::Fragment {
                on: fragment.type_condition.clone(),
                selections: required(&fragment.selections)?,
            }),
            SelectionItem::FragmentSpread(_) => {
                Err(unsupported("a fragment spread in a representation"))
            }
        })
        .collect()
}

/// Representations that are told to be of an interface (object), made of every object of it: the library
/// merges calls for several object types and then remembers one of them.
fn of_interface(requires: Vec<Required>, input: Option<&[FetchRewrite]>) -> Vec<Required> {
    let interface = input
        .unwrap_or_default()
        .iter()
        .find_map(|rewrite| match rewrite {
            FetchRewrite::ValueSetter(setter) => match setter.path.as_slice() {
                [FetchNodePathSegment::TypenameEquals(types), _] => {
                    let is_itself = types.len() == 1 && types.contains(&setter.set_value_to);
                    is_itself.then_some(&setter.set_value_to)
                }
                _ => None,
            },
            FetchRewrite::KeyRenamer(_) => None,
        });
    let Some(interface) = interface else {
        return requires;
    };
    let mut widened: Vec<Required> = Vec::with_capacity(requires.len());
    for each in requires {
        let each = match each {
            Required::Fragment { selections, .. } => Required::Fragment {
                on: interface.clone(),
                selections,
            },
            field @ Required::Field { .. } => field,
        };
        if !widened.contains(&each) {
            widened.push(each);
        }
    }
    widened
}

fn rewrites(rewrites: Option<Vec<FetchRewrite>>) -> Vec<Rewrite> {
    let rewrites = rewrites.unwrap_or_default().into_iter();
    rewrites
        .map(|rewrite| match rewrite {
            FetchRewrite::ValueSetter(setter) => Rewrite {
                path: rewrite_path(setter.path),
                change: Change::Set(setter.set_value_to),
            },
            FetchRewrite::KeyRenamer(renamer) => Rewrite {
                path: rewrite_path(renamer.path),
                change: Change::Rename(renamer.rename_key_to),
            },
        })
        .collect()
}

fn rewrite_path(path: Vec<FetchNodePathSegment>) -> Vec<RewriteSegment> {
    path.into_iter()
        .map(|segment| match segment {
            FetchNodePathSegment::Key(key) => RewriteSegment::Key(key),
            FetchNodePathSegment::TypenameEquals(types) => {
                RewriteSegment::Types(types.into_iter().collect())
            }
        })
        .collect()
}

fn unsupported(what: &str) -> PlanError {
    PlanError::Failed(format!("the plan has {what}"))
}

/// The field and the variable of an entity call, as the library writes them.
const ENTITIES: &str = "_entities";
const REPRESENTATIONS: &str = "representations";
