//! Subgraphs made of data: each answers whatever operation a real plan sends it.
//!
//! An object of the data answers its fields by name; `name(value)` is the answer for one value of the
//! first argument. An entity is found by the fields of its representation; `{"$from": "price"}` is a
//! field that is computed from what a representation brings (`@requires`).

use std::sync::Mutex;

use graphql_tools::parser::parse_query;
use graphql_tools::static_graphql::query::{
    Definition, Document, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
    TypeCondition, Value as Argument,
};
use serde_json::{Map, Value, json};

use crate::engine::{Config, Engine};
use crate::request::Request;
use crate::supergraph::{SubgraphSource, Supergraph, compose};
use crate::transport::{Call, FetchError, FetchErrorKind, Fetched, Subgraphs};

/// Some subgraphs and the engine over them.
pub(super) struct World {
    engine: Engine,
    subgraphs: Vec<Subgraph>,
}

/// A subgraph: `data` has the root types by name, and a list `entities`.
pub(super) struct Subgraph {
    pub(super) name: &'static str,
    pub(super) sdl: &'static str,
    pub(super) data: Value,
    /// Interfaces and unions with their members.
    pub(super) abstracts: &'static [(&'static str, &'static [&'static str])],
}

/// The subgraphs during one request.
struct Serving<'w> {
    world: &'w World,
    down: &'w [&'w str],
    asked: Mutex<Vec<String>>,
}

impl World {
    pub(super) fn new(subgraphs: Vec<Subgraph>) -> Self {
        let sources: Vec<SubgraphSource> = subgraphs
            .iter()
            .map(|subgraph| SubgraphSource {
                name: subgraph.name.to_owned(),
                url: format!("http://{}", subgraph.name),
                sdl: format!("{LINK}{}", subgraph.sdl),
            })
            .collect();
        let sdl = compose(&sources).expect("subgraphs that compose");
        let supergraph = Supergraph::parse(&sdl).expect("a supergraph");
        let engine = Engine::new(supergraph, Config::default()).expect("an engine");
        Self { engine, subgraphs }
    }

    /// The answer, and the subgraphs in the order in which they were asked. Those in `down` fail.
    pub(super) async fn ask(
        &self,
        query: &str,
        variables: Value,
        down: &[&str],
    ) -> (Value, Vec<String>) {
        let body = json!({"query": query, "variables": variables}).to_string();
        let request = Request::from_json(body.as_bytes()).expect("a request");
        let prepared = self.engine.prepare(&request).expect("a plan");
        let variables = self
            .engine
            .variables(&prepared, &request)
            .expect("variables");
        let serving = Serving {
            world: self,
            down,
            asked: Mutex::default(),
        };
        let answer = self.engine.execute(&prepared, &variables, &serving).await;
        let asked = serving.asked.into_inner().expect("nobody panicked");
        (serde_json::from_slice(&answer.body).expect("JSON"), asked)
    }
}

impl Subgraphs for Serving<'_> {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        let mut asked = self.asked.lock().expect("nobody panicked");
        asked.push(call.subgraph.to_owned());
        if self.down.contains(&call.subgraph) {
            return Err(FetchError::new(FetchErrorKind::Unreachable, "it is down"));
        }
        let mut subgraphs = self.world.subgraphs.iter();
        let subgraph = subgraphs.find(|subgraph| subgraph.name == call.subgraph);
        let body: Value = serde_json::from_slice(&call.body).expect("a body of JSON");
        let answer = subgraph.expect("a subgraph of that name").answer(&body);
        let body = answer.to_string().into();
        Ok(Fetched { body })
    }
}

/// One operation on a subgraph.
struct Run<'a> {
    subgraph: &'a Subgraph,
    fragments: Vec<&'a FragmentDefinition>,
    variables: &'a Value,
}

impl Subgraph {
    fn answer(&self, body: &Value) -> Value {
        let text = body["query"].as_str().expect("an operation");
        let document: Document = parse_query(text)
            .expect("an operation that parses")
            .into_static();
        let (mut fragments, mut root) = (Vec::new(), None);
        for definition in &document.definitions {
            match definition {
                Definition::Fragment(fragment) => fragments.push(fragment),
                Definition::Operation(OperationDefinition::SelectionSet(set)) => {
                    root = Some(("Query", set));
                }
                Definition::Operation(OperationDefinition::Query(query)) => {
                    root = Some(("Query", &query.selection_set));
                }
                Definition::Operation(OperationDefinition::Mutation(mutation)) => {
                    root = Some(("Mutation", &mutation.selection_set));
                }
                Definition::Operation(OperationDefinition::Subscription(_)) => {}
            }
        }
        let (name, set) = root.expect("a query or a mutation");
        let run = Run {
            subgraph: self,
            fragments,
            variables: &body["variables"],
        };
        let mut object = self.data[name].clone();
        object["__typename"] = name.into();
        json!({"data": run.object(&object, &Value::Null, set)})
    }
}

impl Run<'_> {
    fn object(&self, object: &Value, given: &Value, set: &SelectionSet) -> Value {
        let mut out = Map::new();
        self.select(object, given, set, &mut out);
        Value::Object(out)
    }

    fn select(
        &self,
        object: &Value,
        given: &Value,
        set: &SelectionSet,
        out: &mut Map<String, Value>,
    ) {
        for selection in &set.items {
            match selection {
                Selection::Field(field) => {
                    let key = field.alias.as_ref().unwrap_or(&field.name);
                    let value = self.field(object, given, field);
                    merge(out.entry(key.clone()).or_insert(Value::Null), value);
                }
                Selection::InlineFragment(fragment) => {
                    if self.applies(object, fragment.type_condition.as_ref()) {
                        self.select(object, given, &fragment.selection_set, out);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let mut fragments = self.fragments.iter();
                    let fragment = fragments.find(|known| known.name == spread.fragment_name);
                    let fragment = fragment.expect("a fragment of that name");
                    if self.applies(object, Some(&fragment.type_condition)) {
                        self.select(object, given, &fragment.selection_set, out);
                    }
                }
            }
        }
    }

    fn applies(&self, object: &Value, on: Option<&TypeCondition>) -> bool {
        let Some(TypeCondition::On(on)) = on else {
            return true;
        };
        let name = object["__typename"].as_str().expect("a type's name");
        let of = |(known, members): &(&str, &[&str])| known == on && members.contains(&name);
        on == name || self.subgraph.abstracts.iter().any(of)
    }

    fn field(&self, object: &Value, given: &Value, field: &Field) -> Value {
        if field.name == "_entities" {
            return self.entities(field);
        }
        let argument = field.arguments.first().map(|(_, value)| self.text(value));
        let special = argument.and_then(|value| object.get(format!("{}({value})", field.name)));
        let value = special.unwrap_or(&object[field.name.as_str()]);
        self.value(value, given, &field.selection_set)
    }

    fn value(&self, value: &Value, given: &Value, set: &SelectionSet) -> Value {
        match value {
            Value::Array(elements) => {
                let elements = elements.iter();
                elements
                    .map(|value| self.value(value, given, set))
                    .collect()
            }
            Value::Object(fields) => match fields.get("$from") {
                Some(from) => given[from.as_str().expect("a name")].clone(),
                None => self.object(value, given, set),
            },
            scalar => scalar.clone(),
        }
    }

    fn entities(&self, field: &Field) -> Value {
        let [(_, Argument::Variable(variable))] = &field.arguments[..] else {
            panic!("representations come by a variable");
        };
        let asked = self.variables[variable.as_str()].as_array();
        let asked = asked.expect("a list of representations").iter();
        asked
            .map(|given| {
                let entities = self.subgraph.data["entities"].as_array();
                let mut entities = entities.into_iter().flatten();
                match entities.find(|entity| is_meant(entity, given)) {
                    Some(entity) => self.object(entity, given, &field.selection_set),
                    None => Value::Null,
                }
            })
            .collect()
    }

    fn text(&self, value: &Argument) -> String {
        match value {
            Argument::Variable(name) => self.variables[name.as_str()].to_string().replace('"', ""),
            other => other.to_string().replace('"', ""),
        }
    }
}

/// Whether a representation means an entity: the type and a key agree, and no other key disagrees.
fn is_meant(entity: &Value, given: &Value) -> bool {
    let fields = given.as_object().expect("a representation");
    let mut known = fields
        .iter()
        .filter(|(name, value)| value.is_string() && entity[name.as_str()].is_string())
        .peekable();
    entity["__typename"] == given["__typename"]
        && known.clone().count() > 1
        && known.all(|(name, value)| entity[name] == *value)
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if into.len() == from.len() => {
            into.iter_mut()
                .zip(from)
                .for_each(|(into, from)| merge(into, from));
        }
        (into, from) => *into = from,
    }
}

const LINK: &str = r#"extend schema @link(url: "https://specs.apollo.dev/federation/v2.3",
    import: ["@key", "@shareable", "@external", "@requires", "@provides", "@interfaceObject", "@inaccessible"])
"#;
