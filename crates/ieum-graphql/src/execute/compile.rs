//! Turns a plan into what runs: names into numbers, paths into steps, operations into bodies.

use bytes::Bytes;

use super::guards::{Flag, Guards};
use super::keys::{Interner, Key, Keys};
use super::representation::Need;
use super::shape::Shapes;
use super::types::Types;
use super::uncompilable::Uncompilable;
use crate::plan::{self, Change, Node, OperationKind, Plan, RewriteSegment, Segment};

/// A plan that is ready to run, any number of times and at once.
///
/// Compiling costs about as much as a few executions; it is done once, when the plan enters the cache.
#[derive(Debug)]
pub struct Executable {
    pub(crate) keys: Keys,
    pub(crate) guards: Guards,
    pub(crate) shapes: Shapes,
    pub(crate) steps: Vec<Step>,
    pub(crate) root: Option<StepId>,
    /// The abstract types: a subgraph with an interface object answers such a name as `__typename`.
    pub(crate) abstracts: Names,
    fetches: usize,
}

/// A place in the list of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StepId(u32);

/// A step, and the one that it is a part of.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) parent: Option<StepId>,
    pub(crate) action: Action,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Action {
    Sequence(Vec<StepId>),
    Parallel(Vec<StepId>),
    Choice {
        flag: Flag,
        then: Option<StepId>,
        otherwise: Option<StepId>,
    },
    Fetch(Fetch),
}

/// A call of a subgraph.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) subgraph: Box<str>,
    pub(crate) kind: OperationKind,
    pub(crate) body: Body,
    pub(crate) target: Target,
}

/// The body of a request: everything but the values of variables.
#[derive(Debug)]
pub(crate) struct Body {
    /// `{"query":"…"`.
    pub(crate) start: Box<[u8]>,
    /// The whole body, for an operation without variables.
    pub(crate) bare: Bytes,
    /// The client's variables: names, and names as they are written.
    pub(crate) variables: Vec<(Box<str>, Box<[u8]>)>,
}

/// What becomes of the answer.
#[derive(Debug)]
pub(crate) enum Target {
    /// Its data is merged into the objects at a path.
    Objects(Objects),
    /// Its entities are merged into those that they were asked for.
    Entities(Vec<Batch>),
}

/// Objects that get an answer's data.
#[derive(Debug)]
pub(crate) struct Objects {
    /// Empty for the root.
    pub(crate) path: Path,
    pub(crate) fields: Vec<Key>,
    pub(crate) output: Vec<Rewrite>,
}

/// Entities of one selection.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The response key in the answer.
    pub(crate) alias: Key,
    /// The variable's name as it is written: `"representations":`.
    pub(crate) variable: Box<[u8]>,
    pub(crate) paths: Vec<Path>,
    pub(crate) fields: Vec<Key>,
    pub(crate) needs: Vec<Need>,
    pub(crate) output: Vec<Rewrite>,
}

/// A way through the data. Lists on it are entered.
pub(crate) type Path = Box<[Part]>;

/// A part of a path.
#[derive(Debug)]
pub(crate) enum Part {
    Field(Key),
    /// Objects of these types, or those that do not say their type.
    Types(Names),
}

/// Names of types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names(Box<[Box<str>]>);

/// A change of an answer's data.
#[derive(Debug)]
pub(crate) struct Rewrite {
    /// To the object that has the key.
    pub(crate) path: Path,
    pub(crate) key: Key,
    pub(crate) change: Rewritten,
}

/// What a rewrite does with its key.
#[derive(Debug)]
pub(crate) enum Rewritten {
    Rename(Key),
    /// The value becomes this, as JSON.
    Set(Box<[u8]>),
}

impl Executable {
    /// Compiles a plan for a schema.
    ///
    /// # Errors
    /// If the plan does not fit the schema: a defect of whoever made the plan.
    pub fn compile(plan: &Plan, types: &Types) -> Result<Self, Uncompilable> {
        let mut interner = Interner::new();
        let mut guards = Guards::default();
        let root = types.root(plan.kind);
        let shapes = Shapes::compile(root, &plan.response, types, &mut interner, &mut guards)?;
        let mut compiler = Compiler {
            types,
            interner,
            guards,
            steps: Vec::new(),
        };
        let root = match &plan.root {
            Some(node) => Some(compiler.node(node, None)?),
            None => None,
        };
        Ok(Self {
            keys: compiler.interner.finish(),
            guards: compiler.guards,
            shapes,
            steps: compiler.steps,
            root,
            abstracts: Names(types.abstracts().map(Into::into).collect()),
            fetches: plan.root.as_ref().map_or(0, Node::fetches),
        })
    }

    /// How many fetches the plan holds, those of conditions included.
    pub fn fetches(&self) -> usize {
        self.fetches
    }

    pub(crate) fn step(&self, id: StepId) -> &Step {
        &self.steps[id.index()]
    }
}

impl StepId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl Names {
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.0
            .binary_search_by(|known| known.as_bytes().cmp(name))
            .is_ok()
    }
}

pub(super) struct Compiler<'c> {
    pub(super) types: &'c Types,
    pub(super) interner: Interner,
    guards: Guards,
    steps: Vec<Step>,
}

impl Compiler<'_> {
    fn node(&mut self, node: &Node, parent: Option<StepId>) -> Result<StepId, Uncompilable> {
        let id = StepId(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        // The place is taken before its parts take theirs, which name it as their parent.
        self.steps.push(Step {
            parent,
            action: Action::Sequence(Vec::new()),
        });
        let action = match node {
            Node::Sequence(nodes) => Action::Sequence(self.nodes(nodes, id)?),
            Node::Parallel(nodes) => Action::Parallel(self.nodes(nodes, id)?),
            Node::Condition(condition) => Action::Choice {
                flag: self.guards.flag(&condition.variable),
                then: self.optional(condition.then.as_deref(), id)?,
                otherwise: self.optional(condition.otherwise.as_deref(), id)?,
            },
            Node::Fetch(fetch) => Action::Fetch(self.fetch(fetch)?),
            Node::Entities(entities) => Action::Fetch(self.entities(entities)?),
        };
        self.steps[id.index()].action = action;
        Ok(id)
    }

    fn nodes(&mut self, nodes: &[Node], parent: StepId) -> Result<Vec<StepId>, Uncompilable> {
        nodes
            .iter()
            .map(|node| self.node(node, Some(parent)))
            .collect()
    }

    fn optional(
        &mut self,
        node: Option<&Node>,
        parent: StepId,
    ) -> Result<Option<StepId>, Uncompilable> {
        node.map(|node| self.node(node, Some(parent))).transpose()
    }

    fn fetch(&mut self, fetch: &plan::Fetch) -> Result<Fetch, Uncompilable> {
        Ok(Fetch {
            subgraph: fetch.subgraph.as_str().into(),
            kind: fetch.kind,
            body: body(&fetch.operation, &fetch.variables),
            target: Target::Objects(Objects {
                path: self.path(&fetch.path),
                fields: self.fields(&fetch.fields),
                output: self.rewrites(&fetch.output)?,
            }),
        })
    }

    fn entities(&mut self, entities: &plan::Entities) -> Result<Fetch, Uncompilable> {
        let batches = entities.batches.iter().map(|batch| self.batch(batch));
        let batches = batches.collect::<Result<Vec<Batch>, Uncompilable>>()?;
        Ok(Fetch {
            subgraph: entities.subgraph.as_str().into(),
            kind: OperationKind::Query,
            body: body(&entities.operation, &entities.variables),
            target: Target::Entities(batches),
        })
    }

    fn batch(&mut self, batch: &plan::Batch) -> Result<Batch, Uncompilable> {
        Ok(Batch {
            alias: self.interner.key(&batch.alias),
            variable: name(&batch.variable),
            paths: batch.paths.iter().map(|path| self.path(path)).collect(),
            fields: self.fields(&batch.fields),
            needs: self.needs(&batch.requires, &batch.input)?,
            output: self.rewrites(&batch.output)?,
        })
    }

    fn fields(&mut self, names: &[String]) -> Vec<Key> {
        names.iter().map(|name| self.interner.key(name)).collect()
    }

    fn path(&mut self, path: &[Segment]) -> Path {
        path.iter()
            .filter_map(|segment| match segment {
                Segment::Field(name) => Some(Part::Field(self.interner.key(name))),
                Segment::List => None,
                Segment::Types(types) => Some(Part::Types(self.names(types))),
            })
            .collect()
    }

    pub(super) fn names(&self, types: &[String]) -> Names {
        let names = self.types.satisfying(types.iter().map(String::as_str));
        Names(names.into_iter().map(Into::into).collect())
    }

    /// As `names`, and the abstract types that a type belongs to: an interface object has such a name.
    pub(super) fn names_both_ways(&self, of: &str) -> Names {
        let mut names = self.types.satisfying(std::iter::once(of));
        names.extend(self.types.abstracts_of(of));
        names.sort_unstable();
        names.dedup();
        Names(names.into_iter().map(Into::into).collect())
    }

    fn rewrites(&mut self, rewrites: &[plan::Rewrite]) -> Result<Vec<Rewrite>, Uncompilable> {
        rewrites
            .iter()
            .map(|rewrite| {
                let Some((RewriteSegment::Key(last), path)) = rewrite.path.split_last() else {
                    return Err(Uncompilable::unsupported("a rewrite that ends at no key"));
                };
                Ok(Rewrite {
                    path: path.iter().map(|segment| self.part(segment)).collect(),
                    key: self.interner.key(last),
                    change: match &rewrite.change {
                        Change::Rename(to) => Rewritten::Rename(self.interner.key(to)),
                        Change::Set(value) => Rewritten::Set(json(value)),
                    },
                })
            })
            .collect()
    }

    fn part(&mut self, segment: &RewriteSegment) -> Part {
        match segment {
            RewriteSegment::Key(name) => Part::Field(self.interner.key(name)),
            RewriteSegment::Types(types) => Part::Types(self.names(types)),
        }
    }
}

fn body(operation: &str, variables: &[String]) -> Body {
    let mut start = b"{\"query\":".to_vec();
    start.extend_from_slice(&json(operation));
    let bare = [&start, &b"}"[..]].concat();
    Body {
        start: start.into(),
        bare: bare.into(),
        variables: variables
            .iter()
            .map(|variable| (variable.as_str().into(), name(variable)))
            .collect(),
    }
}

/// A string as JSON.
pub(super) fn json(text: &str) -> Box<[u8]> {
    serde_json::Value::from(text)
        .to_string()
        .into_bytes()
        .into()
}

/// A name as the key of a field: `"name":`.
pub(super) fn name(name: &str) -> Box<[u8]> {
    let mut written = json(name).into_vec();
    written.push(b':');
    written.into()
}
