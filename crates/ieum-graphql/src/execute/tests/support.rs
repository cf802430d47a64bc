//! What the tests of the executor share: plans in a few words, and subgraphs that answer by script.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::execute::{Answer, Config, Executable, Types, Variables, execute};
use crate::plan::{
    Batch, Change, Entities, Fetch, Node, OperationKind, Plan, Required, Rewrite, RewriteSegment,
    Segment, Selected, When,
};
use crate::transport::{Call, FetchError, FetchErrorKind, Fetched, Subgraphs};

/// Subgraphs that answer what they were told, in that order, and remember what they were asked.
#[derive(Default)]
pub(super) struct Script {
    answers: Mutex<HashMap<String, VecDeque<Result<Bytes, FetchErrorKind>>>>,
    calls: Mutex<Vec<(String, String)>>,
}

impl Script {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn answer(self, subgraph: &str, body: impl Into<Bytes>) -> Self {
        self.push(subgraph, Ok(body.into()))
    }

    pub(super) fn fail(self, subgraph: &str, kind: FetchErrorKind) -> Self {
        self.push(subgraph, Err(kind))
    }

    fn push(self, subgraph: &str, answer: Result<Bytes, FetchErrorKind>) -> Self {
        lock(&self.answers)
            .entry(subgraph.to_owned())
            .or_default()
            .push_back(answer);
        self
    }

    /// What was asked: subgraph, and the variables of the body.
    pub(super) fn variables(&self) -> Vec<(String, serde_json::Value)> {
        lock(&self.calls)
            .iter()
            .map(|(subgraph, body)| {
                let body: serde_json::Value = serde_json::from_str(body).expect("a body of JSON");
                (subgraph.clone(), body["variables"].clone())
            })
            .collect()
    }

    /// The bodies as they were sent.
    pub(super) fn bodies(&self) -> Vec<String> {
        lock(&self.calls)
            .iter()
            .map(|(_, body)| body.clone())
            .collect()
    }
}

impl Subgraphs for Script {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        let body = String::from_utf8(call.body.to_vec()).expect("a body of UTF-8");
        lock(&self.calls).push((call.subgraph.to_owned(), body));
        let answer = lock(&self.answers)
            .get_mut(call.subgraph)
            .and_then(VecDeque::pop_front)
            .unwrap_or(Err(FetchErrorKind::Refused));
        answer
            .map(|body| Fetched { body })
            .map_err(|kind| FetchError::new(kind, "no answer"))
    }
}

/// A query with its plan.
pub(super) fn query(root: Node, response: &str) -> Plan {
    Plan {
        kind: OperationKind::Query,
        root: Some(root),
        response: selected(response),
    }
}

pub(super) fn fetch(subgraph: &str, fields: &str) -> Node {
    Node::Fetch(root_fetch(subgraph, fields))
}

pub(super) fn root_fetch(subgraph: &str, fields: &str) -> Fetch {
    Fetch {
        subgraph: subgraph.to_owned(),
        kind: OperationKind::Query,
        operation: format!("{{{fields}}}"),
        variables: Vec::new(),
        fields: words(fields),
        path: Vec::new(),
        output: Vec::new(),
    }
}

pub(super) fn entities(subgraph: &str, at: &str, requires: &str, fields: &str) -> Node {
    Node::Entities(entity_fetch(
        subgraph,
        vec![batch("_entities", at, requires, fields)],
    ))
}

pub(super) fn entity_fetch(subgraph: &str, batches: Vec<Batch>) -> Entities {
    Entities {
        subgraph: subgraph.to_owned(),
        operation: "query($representations:[_Any!]!){_entities(representations:$representations)}"
            .to_owned(),
        variables: Vec::new(),
        batches,
    }
}

pub(super) fn batch(alias: &str, at: &str, requires: &str, fields: &str) -> Batch {
    let variable = match alias.strip_prefix("_e") {
        Some(number) if alias != "_entities" => format!("representations{number}"),
        _ => "representations".to_owned(),
    };
    Batch {
        alias: alias.to_owned(),
        variable,
        paths: at.split(' ').map(path).collect(),
        fields: words(fields),
        requires: required(&mut tokens(requires).into_iter()),
        input: Vec::new(),
        output: Vec::new(),
    }
}

pub(super) fn rewrite(path: &str, change: Change) -> Rewrite {
    let segment = |part: &str| match part.strip_prefix('|') {
        Some(types) => RewriteSegment::Types(types.split('|').map(Into::into).collect()),
        None => RewriteSegment::Key(part.to_owned()),
    };
    Rewrite {
        path: path.split('.').map(segment).collect(),
        change,
    }
}

/// `users.@.|User|Admin.team`
pub(super) fn path(text: &str) -> Vec<Segment> {
    text.split('.')
        .filter(|part| !part.is_empty())
        .map(|part| match part.strip_prefix('|') {
            Some(types) => Segment::Types(types.split('|').map(Into::into).collect()),
            None if part == "@" => Segment::List,
            None => Segment::Field(part.to_owned()),
        })
        .collect()
}

/// `alias:name field @include:flag { … } ...Type { … }`
pub(super) fn selected(text: &str) -> Vec<Selected> {
    selections(&mut tokens(text).into_iter().peekable())
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<String>>;

fn selections(tokens: &mut Tokens) -> Vec<Selected> {
    let mut selections = Vec::new();
    while let Some(token) = tokens.next() {
        if token == "}" {
            break;
        }
        let mut when = Vec::new();
        while let Some(condition) = tokens.next_if(|token| token.starts_with('@')) {
            when.push(match condition.split_once(':') {
                Some(("@include", flag)) => When::Include(flag.to_owned()),
                Some((_, flag)) => When::Skip(flag.to_owned()),
                None => panic!("a condition needs a flag"),
            });
        }
        let inner = match tokens.next_if(|token| token == "{") {
            Some(_) => self::selections(tokens),
            None => Vec::new(),
        };
        selections.push(match token.strip_prefix("...") {
            Some(on) => Selected::Fragment {
                on: (!on.is_empty()).then(|| on.to_owned()),
                when,
                selections: inner,
            },
            None => {
                let (key, name) = token.split_once(':').unwrap_or((&token, &token));
                Selected::Field {
                    key: key.to_owned(),
                    name: name.to_owned(),
                    when,
                    selections: inner,
                }
            }
        });
    }
    selections
}

fn required(tokens: &mut impl Iterator<Item = String>) -> Vec<Required> {
    let mut parts: Vec<Required> = Vec::new();
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "}" => break,
            "{" => {
                let inner = required(tokens);
                match parts.last_mut() {
                    Some(
                        Required::Field { selections, .. } | Required::Fragment { selections, .. },
                    ) => *selections = inner,
                    None => panic!("braces without a field"),
                }
            }
            token => parts.push(match token.strip_prefix("...") {
                Some(on) => Required::Fragment {
                    on: on.to_owned(),
                    selections: Vec::new(),
                },
                None => {
                    let (name, key) = token.split_once(':').unwrap_or((token, token));
                    Required::Field {
                        name: name.to_owned(),
                        key: key.to_owned(),
                        selections: Vec::new(),
                    }
                }
            }),
        }
    }
    parts
}

fn tokens(text: &str) -> Vec<String> {
    words(&text.replace('{', " { ").replace('}', " } "))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Runs a plan without variables under the default limits, and gives the answer's text.
pub(super) async fn run(types: &Types, plan: &Plan, subgraphs: &Script) -> String {
    run_with(types, plan, &[], subgraphs).await
}

pub(super) async fn run_with(
    types: &Types,
    plan: &Plan,
    variables: &[(&str, serde_json::Value)],
    subgraphs: &Script,
) -> String {
    let answer = answer(types, plan, variables, subgraphs, &Config::default()).await;
    String::from_utf8(answer.body.to_vec()).expect("an answer of UTF-8")
}

pub(super) async fn answer(
    types: &Types,
    plan: &Plan,
    variables: &[(&str, serde_json::Value)],
    subgraphs: &impl Subgraphs,
    config: &Config,
) -> Answer {
    let plan = Executable::compile(plan, types).expect("a plan that fits the types");
    let mut given = Variables::new();
    for (name, value) in variables {
        given.insert(name, value).expect("a value");
    }
    let answer = execute(&plan, &given, None, subgraphs, config).await;
    let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&answer.body);
    assert!(parsed.is_ok(), "not JSON: {:?}", answer.body);
    answer
}

/// Users, and then their orders from a subgraph of their own.
pub(super) fn users_with_orders() -> Plan {
    query(
        Node::Sequence(vec![
            fetch("users", "users"),
            entities("orders", "users.@", "...User{__typename id}", "orders"),
        ]),
        "users { id orders { total } }",
    )
}

pub(super) const TWO_USERS: &str =
    r#"{"data":{"users":[{"__typename":"User","id":"1"},{"__typename":"User","id":"2"}]}}"#;

/// Users with orders of products, some of them digital.
pub(super) fn shop() -> Types {
    Types::new()
        .object(
            "Query",
            [
                ("user", "User"),
                ("users", "[User!]"),
                ("first", "User!"),
                ("product", "Product"),
                ("media", "[Media]"),
                ("search", "[Found!]!"),
                ("blob", "JSON"),
            ],
        )
        .object("Mutation", [("add", "User"), ("remove", "User")])
        .object(
            "User",
            [
                ("id", "ID!"),
                ("name", "String"),
                ("email", "String!"),
                ("age", "Int"),
                ("score", "Float"),
                ("role", "Role"),
                ("roles", "[Role!]!"),
                ("active", "Boolean"),
                ("orders", "[Order!]"),
                ("friends", "[[User]]"),
                ("best", "User"),
            ],
        )
        .object(
            "Order",
            [("id", "ID!"), ("total", "Float!"), ("items", "[Product]")],
        )
        .object(
            "Product",
            [
                ("upc", "ID!"),
                ("sku", "String"),
                ("name", "String"),
                ("price", "Float"),
                ("estimate", "Float"),
                ("maker", "Maker"),
            ],
        )
        .object("Maker", [("id", "ID!"), ("name", "String")])
        .interface("Media", [("id", "ID!"), ("title", "String")])
        .object(
            "Book",
            [("id", "ID!"), ("title", "String"), ("pages", "Int")],
        )
        .object(
            "Film",
            [("id", "ID!"), ("title", "String"), ("minutes", "Int!")],
        )
        .members("Media", ["Book", "Film", "Secret"])
        .union("Found")
        .members("Found", ["User", "Book", "Secret"])
        .enumeration("Role", ["ADMIN", "GUEST"])
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
