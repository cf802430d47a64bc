//! Composing a supergraph from the subgraphs' own SDL.
//!
//! The library `graphql-composition` does the work. What it writes lacks `@join__type` on the root
//! types, so that a planner finds no way into any subgraph; that is mended here on the syntax tree: a
//! root type belongs to every subgraph that answers one of its fields.

use std::panic::{AssertUnwindSafe, catch_unwind};

use graphql_tools::static_graphql::schema::{
    Definition, Directive, Document, ObjectType, TypeDefinition, Value,
};

use super::{Error, ErrorKind, parse_schema};

/// One subgraph to compose.
#[derive(Clone, Debug)]
pub struct SubgraphSource {
    /// Its name: the service's. Letters, digits, `-` and `_`; it begins with a letter.
    pub name: String,
    /// Its address, which is written into the supergraph.
    pub url: String,
    /// Its schema as `_service { sdl }` answers it, of Federation 1 or 2.
    pub sdl: String,
}

/// Composes subgraphs into a supergraph's SDL, which [`Supergraph::parse`](super::Supergraph::parse)
/// reads.
///
/// # Errors
/// If a subgraph's SDL is wrong, or if the subgraphs contradict each other: the message names which.
pub fn compose(sources: &[SubgraphSource]) -> Result<String, Error> {
    check_names(sources)?;
    let failed = || Error::new(ErrorKind::Composition, "the composition failed");
    let composed = catch_unwind(AssertUnwindSafe(|| compose_by_library(sources)));
    let mut document = parse_schema(&composed.map_err(|_| failed())??)?;
    mend_roots(&mut document);
    Ok(document.to_string())
}

fn check_names(sources: &[SubgraphSource]) -> Result<(), Error> {
    let wrong = |message| Err(Error::new(ErrorKind::Composition, message));
    for (index, source) in sources.iter().enumerate() {
        let name = &source.name;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(word) {
            return wrong(format!("`{name}` cannot be the name of a subgraph"));
        }
        let same = |other: &SubgraphSource| graph_name(&other.name) == graph_name(name);
        if sources[..index].iter().any(same) {
            return wrong(format!("two subgraphs are named `{name}`"));
        }
    }
    Ok(())
}

/// The name as a composer writes it into `join__Graph`.
fn graph_name(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

fn compose_by_library(sources: &[SubgraphSource]) -> Result<String, Error> {
    let wrong = |message: String| Error::new(ErrorKind::Composition, message);
    let mut subgraphs = graphql_composition::Subgraphs::default();
    for source in sources {
        subgraphs
            .ingest_str(&source.sdl, &source.name, Some(&source.url))
            .map_err(|error| wrong(format!("subgraph `{}`: {error}", source.name)))?;
    }
    let result = graphql_composition::compose(&mut subgraphs);
    let problems: Vec<String> = result
        .diagnostics()
        .iter_errors()
        .map(str::to_owned)
        .collect();
    let graph = result
        .into_result()
        .map_err(|_| wrong(problems.join("; ")))?;
    graphql_composition::render_federated_sdl(&graph)
        .map_err(|_| wrong("the composition cannot be written".to_owned()))
}

/// Gives each root type a `@join__type` for every subgraph that answers one of its fields.
fn mend_roots(document: &mut Document) {
    let roots: Vec<String> = [
        document.query_type_name(),
        document.mutation_type_name(),
        document.subscription_type_name(),
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect();
    let all = graphs(document);
    for definition in &mut document.definitions {
        if let Definition::TypeDefinition(TypeDefinition::Object(object)) = definition
            && roots.contains(&object.name)
        {
            mend_root(object, &all);
        }
    }
}

fn mend_root(root: &mut ObjectType, all: &[String]) {
    // A field without `@join__field` is answered by every subgraph of its type: here, by all.
    let everywhere = root.fields.iter().any(|field| {
        let mut directives = field.directives.iter();
        !directives.any(|directive| directive.name == "join__field")
    });
    for graph in all {
        let joined = |directives: &[Directive], name: &str| {
            directives
                .iter()
                .any(|it| it.name == name && graph_of(it) == Some(graph))
        };
        let answers = everywhere
            || root
                .fields
                .iter()
                .any(|field| joined(&field.directives, "join__field"));
        if answers && !joined(&root.directives, "join__type") {
            root.directives.push(join_type(graph));
        }
    }
}

fn join_type(graph: &str) -> Directive {
    Directive {
        position: Default::default(),
        name: "join__type".to_owned(),
        arguments: vec![("graph".to_owned(), Value::Enum(graph.to_owned()))],
    }
}

fn graph_of(directive: &Directive) -> Option<&String> {
    directive
        .arguments
        .iter()
        .find_map(|(name, value)| match value {
            Value::Enum(graph) if name == "graph" => Some(graph),
            _ => None,
        })
}

fn graphs(document: &Document) -> Vec<String> {
    match document.type_by_name("join__Graph") {
        Some(TypeDefinition::Enum(graph)) => graph
            .values
            .iter()
            .map(|value| value.name.clone())
            .collect(),
        _ => Vec::new(),
    }
}
