//! Two subgraphs by hand: they answer whatever is asked with all that they have, in one shape.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use ieum_testkit::{Reply, Request, Stub};
use serde_json::{Value, json};

/// A subgraph: its schema, its answers, and what it was asked.
pub(super) struct Subgraph {
    stub: Stub,
    sdl: Arc<Mutex<String>>,
    status: Arc<AtomicU16>,
}

pub(super) const USERS: &str = r#"
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
    type Query { user(id: ID!): User }
    type Mutation { rename(id: ID!, name: String!): User }
    type User @key(fields: "id") { id: ID! name: String! }
"#;

pub(super) const ORDERS: &str = r#"
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
    type User @key(fields: "id") { id: ID! orders: [Order!] }
    type Order { id: ID! total: Int! status: String! }
"#;

/// What a client asks most.
pub(super) const QUERY: &str = r#"{ user(id: "7") { name orders { id total status } } }"#;

/// What it is answered when all is well.
pub(super) fn answer() -> Value {
    json!({ "user": {
        "name": "Kim", "orders": [{ "id": "o-1", "total": 100, "status": "confirmed" }],
    } })
}

/// `type User`, with its name.
pub(super) fn users() -> Subgraph {
    Subgraph::start(USERS, |_| {
        let user = json!({ "__typename": "User", "id": "7", "name": "Kim" });
        json!({ "data": { "user": user, "rename": user } })
    })
}

/// The orders of each user that is asked for.
pub(super) fn orders() -> Subgraph {
    Subgraph::start(ORDERS, |asked| {
        let order = json!({ "id": "o-1", "total": 100, "status": "confirmed" });
        let entity = |_| json!({ "__typename": "User", "orders": [order] });
        let entities: Vec<Value> = representations(asked).iter().map(entity).collect();
        json!({ "data": { "_entities": entities } })
    })
}

impl Subgraph {
    pub(super) fn start(
        sdl: &str,
        answer: impl Fn(&Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        let sdl = Arc::new(Mutex::new(sdl.to_owned()));
        let status = Arc::new(AtomicU16::new(200));
        let (schema, answers) = (Arc::clone(&sdl), Arc::clone(&status));
        let stub = Stub::start(move |request| {
            let status = answers.load(Ordering::Acquire);
            if status != 200 {
                return Reply::json_of(status, &json!({ "title": "away" }));
            }
            let asked = asked(request);
            let reply = match is_schema(request) {
                true => {
                    let sdl = schema.lock().expect("not poisoned").clone();
                    json!({ "data": { "_service": { "sdl": sdl } } })
                }
                false => answer(&asked),
            };
            Reply::json_of(200, &reply)
        });
        let stub = stub.expect("a stub");
        Self { stub, sdl, status }
    }

    pub(super) fn address(&self) -> String {
        self.stub.address()
    }

    /// From now on it answers this status and nothing of GraphQL, unless the status is 200.
    pub(super) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }

    /// From now on this is its schema.
    pub(super) fn schema_is(&self, sdl: &str) {
        sdl.clone_into(&mut self.sdl.lock().expect("not poisoned"));
    }

    /// The operations that it was sent, without questions for its schema.
    pub(super) fn fetches(&self) -> Vec<Request> {
        let all = self.stub.requests().into_iter();
        all.filter(|request| !is_schema(request)).collect()
    }

    /// How often it was asked for its schema.
    pub(super) fn schemas(&self) -> usize {
        self.stub.requests().iter().filter(|r| is_schema(r)).count()
    }
}

fn asked(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn is_schema(request: &Request) -> bool {
    asked(request)["query"]
        .as_str()
        .is_some_and(|query| query.contains("_service"))
}

/// The entities that a fetch asks for.
fn representations(asked: &Value) -> Vec<Value> {
    let variables = asked["variables"]
        .as_object()
        .into_iter()
        .flat_map(|map| map.values());
    let lists = variables.filter_map(Value::as_array);
    lists
        .flatten()
        .filter(|value| value["__typename"].is_string())
        .cloned()
        .collect()
}
