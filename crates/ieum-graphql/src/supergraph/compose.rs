//! Composing a supergraph from the subgraphs' own SDL.
//!
//! The library `graphql-composition` does the work. What it writes lacks `@join__type` on the root
//! types, so that a planner finds no way into any subgraph; that is mended here: a root type belongs to
//! every subgraph that answers one of its fields.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use graphql_tools::static_graphql::schema::{
    Directive, Document, ObjectType, TypeDefinition, Value,
};

use super::{Error, ErrorKind, astral, parse_schema};
use crate::operation::lexer::{Lexer, Token};

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
    let composed = composed.map_err(|_| failed())??;
    mend_roots(&astral::show(&composed))
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
            .ingest_str(&astral::hide(&source.sdl), &source.name, Some(&source.url))
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
///
/// Where to write it is found by tokens, what to write by the syntax tree. The tree is not printed
/// again: the library's printer damages characters beyond the basic plane.
fn mend_roots(sdl: &str) -> Result<String, Error> {
    let document = parse_schema(sdl)?;
    let failed = |_| Error::new(ErrorKind::Composition, "the composition cannot be read");
    let mut mended = String::with_capacity(sdl.len() + 256);
    let mut copied = 0;
    let mut lexer = Lexer::new(sdl);
    let (mut depth, mut after_type, mut root) = (0_usize, false, None);
    loop {
        let (token, _) = lexer.next().map_err(failed)?;
        match token {
            Token::End => break,
            // The directives of a type come after its interfaces and before its fields.
            Token::Punctuator(b'@' | b'{') if root.is_some() => {
                let at = lexer.offset() - 1;
                mended.push_str(&sdl[copied..at]);
                copied = at;
                for graph in root
                    .take()
                    .map_or_else(Vec::new, |it| missing(&document, it))
                {
                    // Writing to a string cannot fail.
                    let _ = write!(mended, "@join__type(graph: {graph}) ");
                }
            }
            _ => {}
        }
        match token {
            Token::Punctuator(b'{' | b'(' | b'[') => depth += 1,
            Token::Punctuator(b'}' | b')' | b']') => depth = depth.saturating_sub(1),
            Token::Name(name) if after_type => root = root_type(&document, name),
            _ => {}
        }
        after_type = depth == 0 && token == Token::Name("type");
    }
    mended.push_str(&sdl[copied..]);
    Ok(mended)
}

/// The definition of a root type of this name.
fn root_type<'a>(document: &'a Document, name: &str) -> Option<&'a ObjectType> {
    let names = [
        document.query_type_name(),
        document.mutation_type_name(),
        document.subscription_type_name(),
    ];
    match document.type_by_name(name) {
        Some(TypeDefinition::Object(root)) if names.contains(&Some(&root.name)) => Some(root),
        _ => None,
    }
}

/// The subgraphs that answer a field of a root type and are not named by its `@join__type`.
fn missing(document: &Document, root: &ObjectType) -> Vec<String> {
    let joined = |directives: &[Directive], name: &str, graph: &String| {
        let mut directives = directives.iter();
        directives.any(|it| it.name == name && graph_of(it) == Some(graph))
    };
    // A field without `@join__field` is answered by every subgraph of its type: here, by all.
    let everywhere = root.fields.iter().any(|field| {
        let mut directives = field.directives.iter();
        !directives.any(|directive| directive.name == "join__field")
    });
    let mut graphs = graphs(document);
    graphs.retain(|graph| {
        let mut fields = root.fields.iter();
        let answers =
            everywhere || fields.any(|field| joined(&field.directives, "join__field", graph));
        answers && !joined(&root.directives, "join__type", graph)
    });
    graphs
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
