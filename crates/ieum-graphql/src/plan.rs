//! What a planner answers: which subgraph is asked what, in which order, and where its answers go.
//!
//! These types are the border between planning and executing, and they are ours: a planner is somebody
//! else's library behind a trait, and its plan is translated into this one once, when it enters the
//! cache. They are plain values with names in them, so that a plan can be written by hand in a test.
//! [`Executable::compile`](crate::execute::Executable::compile) turns one into what runs fast.
//!
//! The words are those of the Federation specification: a *representation* is the object with
//! `__typename` and key fields by which a subgraph finds an *entity* (`_entities`).

/// The plan of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Query or mutation.
    pub kind: OperationKind,
    /// The fetches. `None` if no subgraph is asked at all: only `__typename`, introspection, or a
    /// selection in which everything is skipped.
    pub root: Option<Node>,
    /// What the client selected, in its order, with fragments in place. Fields that the data has only
    /// for planning's sake (keys, aliases of the planner) are not in here and are not answered.
    pub response: Vec<Selected>,
}

/// The kind of an operation. Subscriptions are not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Writes. Its root fields run in series, which the plan says by a [`Node::Sequence`].
    Mutation,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// One after the other: the next sees what the one before brought.
    Sequence(Vec<Node>),
    /// At the same time.
    Parallel(Vec<Node>),
    /// An operation on a subgraph's root.
    Fetch(Fetch),
    /// Fields of entities that are in the data already.
    Entities(Entities),
    /// Only if a variable says so.
    Condition(Condition),
}

/// An operation on a subgraph's root type.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// The name of the subgraph, as the supergraph knows it.
    pub subgraph: String,
    /// The kind of the subgraph's operation.
    pub kind: OperationKind,
    /// The text of the operation.
    pub operation: String,
    /// The client's variables that the operation uses, by name.
    pub variables: Vec<String>,
    /// The response keys of the operation's root fields. If the fetch fails, each is named by an error.
    pub fields: Vec<String>,
    /// Where the answer's data belongs; empty for the root. (A path leads somewhere else where a type has
    /// a field that leads back to the root type.)
    pub path: Vec<Segment>,
    /// What is changed in the answer's data before it is merged.
    pub output: Vec<Rewrite>,
}

/// One call of `_entities` on a subgraph, for one or several batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Entities {
    /// The name of the subgraph, as the supergraph knows it.
    pub subgraph: String,
    /// The text of the operation: one `_entities` field per batch.
    pub operation: String,
    /// The client's variables that the operation uses, by name; without those of the representations.
    pub variables: Vec<String>,
    /// At least one.
    pub batches: Vec<Batch>,
}

/// Entities that are asked for by the same selection.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The response key of this batch's `_entities` field: its alias, or `_entities`.
    pub alias: String,
    /// The operation's variable with this batch's representations.
    pub variable: String,
    /// Where the entities are. Entities of all paths with the same representation are asked for once.
    pub paths: Vec<Vec<Segment>>,
    /// The response keys that the selection brings to an entity, those of all types. If the fetch fails
    /// and the client asked for one of them only, the error names that field, otherwise the entity.
    pub fields: Vec<String>,
    /// What a representation consists of.
    pub requires: Vec<Required>,
    /// What is changed in the representations: the value of `__typename`, for an interface object.
    pub input: Vec<Rewrite>,
    /// What is changed in each entity of the answer before it is merged.
    pub output: Vec<Rewrite>,
}

/// Steps that depend on a Boolean variable. A missing variable counts as false.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The variable's name.
    pub variable: String,
    /// What to do if it is true.
    pub then: Option<Box<Node>>,
    /// What to do if it is false.
    pub otherwise: Option<Box<Node>>,
}

/// A part of a path through the data.
///
/// A list is entered wherever one is met, so that [`Segment::List`] only says that there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The value under this response key.
    Field(String),
    /// Each element of the list.
    List,
    /// Only objects of these types: object types, or abstract ones for all that belong to them.
    Types(Vec<String>),
}

/// A part of a representation.
#[derive(Clone, Debug, PartialEq)]
pub enum Required {
    /// A field.
    Field {
        /// The name under which the subgraph expects it, in the representation.
        name: String,
        /// The response key under which the data has it: another one than `name` if two fields needed
        /// the same field with other arguments. (In the planner's words: the alias is our `name`, the
        /// name our `key`.)
        key: String,
        /// The parts of its object; empty for a scalar.
        selections: Vec<Required>,
    },
    /// Fields for objects of one type only.
    Fragment {
        /// The type, object or abstract.
        on: String,
        /// Its fields.
        selections: Vec<Required>,
    },
}

/// A change of data on its way from or to a subgraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Where, from the operation's root or from the entity. Lists on the way are entered.
    pub path: Vec<RewriteSegment>,
    /// What happens there.
    pub change: Change,
}

/// A part of a rewrite's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteSegment {
    /// The value under this key.
    Key(String),
    /// Only objects of these types.
    Types(Vec<String>),
}

/// What a rewrite does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The last key of the path gets this name.
    Rename(String),
    /// The value becomes this string.
    Set(String),
}

/// A part of what the client selected.
#[derive(Clone, Debug, PartialEq)]
pub enum Selected {
    /// A field.
    Field {
        /// The key under which the data has it: its alias or its name, which is how the client calls it,
        /// or that with [`ASIDE`] before it.
        key: String,
        /// Its name in the schema of the client. Meta fields (`__typename`, `__schema`, `__type`) are
        /// known.
        name: String,
        /// When it is answered; all must hold.
        when: Vec<When>,
        /// Its selection; empty for a scalar or an enum.
        selections: Vec<Selected>,
    },
    /// An inline fragment, or a fragment put in its place.
    Fragment {
        /// Its type condition, if it has one.
        on: Option<String>,
        /// When it applies; all must hold.
        when: Vec<When>,
        /// What it selects.
        selections: Vec<Selected>,
    },
}

/// A directive `@include` or `@skip` with a variable. (One with a constant is gone after normalising.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// `@include(if: $variable)`.
    Include(String),
    /// `@skip(if: $variable)`.
    Skip(String),
}

impl Node {
    /// How many fetches the plan holds, those of conditions included.
    pub fn fetches(&self) -> usize {
        match self {
            Self::Sequence(nodes) | Self::Parallel(nodes) => nodes.iter().map(Self::fetches).sum(),
            Self::Fetch(_) | Self::Entities(_) => 1,
            Self::Condition(condition) => [&condition.then, &condition.otherwise]
                .into_iter()
                .flatten()
                .map(|node| node.fetches())
                .sum(),
        }
    }
}

/// How the client calls what the data has under a key.
pub(crate) fn shown(key: &str) -> &str {
    key.strip_prefix(ASIDE).unwrap_or(key)
}

/// Before a key that the client chose and that a field of the planner's own may need. It is in the
/// operations for subgraphs, and in no answer.
pub const ASIDE: &str = "_ieum_alias_";
