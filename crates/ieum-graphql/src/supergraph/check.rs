//! Whether a supergraph is consistent.
//!
//! Whatever is looked up by name while planning must be there: the planner's library expects it and
//! panics otherwise. So names, graphs, field sets and labels are all checked once, here, with an error
//! that says which definition is wrong.

use std::collections::{HashMap, HashSet};

use graphql_tools::static_graphql::schema::{
    Definition, Directive, Document, Field, InputValue, Type, TypeDefinition, Value,
};

use super::{Error, ErrorKind, Subgraph, fieldset};

/// Checks a supergraph and returns its subgraphs.
pub(super) fn check(document: &Document) -> Result<Vec<Subgraph>, Error> {
    version(document)?;
    let types = Types::of(document)?;
    let (subgraphs, graphs) = subgraphs(&types)?;
    root(document, &types)?;
    let checker = Checker { types, graphs };
    for definition in checker.types.0.values() {
        checker.definition(definition)?;
    }
    Ok(subgraphs)
}

/// The type definitions by name.
pub(super) struct Types<'a>(HashMap<&'a str, &'a TypeDefinition>);

impl<'a> Types<'a> {
    fn of(document: &'a Document) -> Result<Self, Error> {
        let mut types = HashMap::new();
        for definition in &document.definitions {
            match definition {
                Definition::TypeDefinition(definition)
                    if types.insert(definition.name(), definition).is_some() =>
                {
                    let name = definition.name();
                    return Err(Error::inconsistent(format!("`{name}` is defined twice")));
                }
                Definition::TypeExtension(_) => {
                    let message = "a supergraph has no `extend`; is this the SDL of a subgraph?";
                    return Err(Error::new(ErrorKind::Unsupported, message));
                }
                _ => {}
            }
        }
        Ok(Self(types))
    }

    /// The name of the type of a field, without lists and non-null.
    pub(super) fn field_type(&self, type_name: &str, field: &str) -> Option<&'a str> {
        let fields = fields(self.0.get(type_name)?);
        let found = fields.iter().find(|candidate| candidate.name == field)?;
        Some(found.field_type.inner_type())
    }

    pub(super) fn is_composite(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|it| it.is_composite_type())
    }

    fn is_known(&self, name: &str) -> bool {
        BUILT_IN_SCALARS.contains(&name) || self.0.contains_key(name)
    }
}

/// A supergraph of Federation 1 names its specifications by `@core`, and lacks what a plan needs.
fn version(document: &Document) -> Result<(), Error> {
    let first = document
        .definitions
        .iter()
        .any(|definition| match definition {
            Definition::SchemaDefinition(schema) => schema
                .directives
                .iter()
                .any(|directive| directive.name == "core"),
            _ => false,
        });
    match first {
        true => Err(Error::new(
            ErrorKind::Unsupported,
            "this supergraph was composed by Federation 1; compose it by Federation 2, which takes the \
             same subgraphs",
        )),
        false => Ok(()),
    }
}

/// The subgraphs in their order, and the names of `join__Graph`.
fn subgraphs<'a>(types: &Types<'a>) -> Result<(Vec<Subgraph>, HashSet<&'a str>), Error> {
    let Some(TypeDefinition::Enum(graph)) = types.0.get("join__Graph") else {
        return Err(Error::new(
            ErrorKind::NotASupergraph,
            "there is no enum `join__Graph`: this is not a supergraph of Apollo Federation 2",
        ));
    };
    let mut subgraphs: Vec<Subgraph> = Vec::new();
    let mut graphs = HashSet::new();
    for value in &graph.values {
        let directive = value.directives.iter().find(|it| it.name == "join__graph");
        let argument = |name| directive.and_then(|directive| text(directive, name));
        let Some(name) = argument("name").filter(|name| !name.is_empty()) else {
            let graph = &value.name;
            return Err(Error::inconsistent(format!(
                "`join__Graph.{graph}` has no name"
            )));
        };
        if subgraphs.iter().any(|other| other.name == name) || !graphs.insert(&*value.name) {
            return Err(Error::inconsistent(format!(
                "two subgraphs are named `{name}`"
            )));
        }
        subgraphs.push(Subgraph {
            name: name.to_owned(),
            url: argument("url").unwrap_or_default().to_owned(),
        });
    }
    if subgraphs.is_empty() {
        return Err(Error::new(
            ErrorKind::NotASupergraph,
            "there is no subgraph",
        ));
    }
    Ok((subgraphs, graphs))
}

/// The root types must be objects, and there must be one for queries.
fn root(document: &Document, types: &Types<'_>) -> Result<(), Error> {
    let named = [
        ("query", document.query_type_name()),
        ("mutation", document.mutation_type_name()),
        ("subscription", document.subscription_type_name()),
    ];
    for (operation, name) in named {
        let Some(name) = name else {
            if operation == "query" {
                return Err(Error::new(
                    ErrorKind::NotASupergraph,
                    "there is no query type",
                ));
            }
            continue;
        };
        if !matches!(types.0.get(name.as_str()), Some(TypeDefinition::Object(_))) {
            return Err(Error::inconsistent(format!(
                "the {operation} type `{name}` is no object type"
            )));
        }
    }
    Ok(())
}

struct Checker<'a> {
    types: Types<'a>,
    graphs: HashSet<&'a str>,
}

impl Checker<'_> {
    fn definition(&self, definition: &TypeDefinition) -> Result<(), Error> {
        let name = definition.name();
        let wrong = |problem: String| Error::inconsistent(format!("`{name}`: {problem}"));
        for directive in directives(definition) {
            self.type_directive(definition, directive).map_err(wrong)?;
        }
        for interface in interfaces(definition) {
            if !matches!(
                self.types.0.get(interface.as_str()),
                Some(TypeDefinition::Interface(_))
            ) {
                return Err(wrong(format!("there is no interface `{interface}`")));
            }
        }
        for field in fields(definition) {
            let place = |problem| wrong(format!("field `{}`: {problem}", field.name));
            self.field(name, field).map_err(place)?;
        }
        match definition {
            TypeDefinition::InputObject(input) => {
                for value in &input.fields {
                    let place = |problem| wrong(format!("field `{}`: {problem}", value.name));
                    self.input(value).map_err(place)?;
                }
            }
            TypeDefinition::Union(union) => {
                for member in &union.types {
                    if !matches!(
                        self.types.0.get(member.as_str()),
                        Some(TypeDefinition::Object(_))
                    ) {
                        return Err(wrong(format!("there is no object type `{member}`")));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn type_directive(&self, definition: &TypeDefinition, it: &Directive) -> Result<(), String> {
        self.graph(it)?;
        match it.name.as_str() {
            "join__type" => {
                let key = text(it, "key");
                if let Some(key) = key {
                    fieldset::check(&self.types, definition.name(), key)?;
                }
                if flag(it, "isInterfaceObject") && key.is_none() {
                    return Err("an interface object needs a key".to_owned());
                }
                required(it, "graph")
            }
            "join__implements" => match text(it, "interface") {
                Some(name) if interfaces(definition).iter().any(|it| it == name) => Ok(()),
                _ => Err("`@join__implements` names no interface of the type".to_owned()),
            },
            "join__unionMember" => match (definition, text(it, "member")) {
                (TypeDefinition::Union(union), Some(member))
                    if union.types.iter().any(|it| it == member) =>
                {
                    Ok(())
                }
                _ => Err("`@join__unionMember` names no member of the union".to_owned()),
            },
            _ => cost(it),
        }
    }

    fn field(&self, type_name: &str, field: &Field) -> Result<(), String> {
        self.reference(&field.field_type)?;
        for argument in &field.arguments {
            let place = |problem| format!("argument `{}`: {problem}", argument.name);
            self.input(argument).map_err(place)?;
        }
        for directive in &field.directives {
            self.graph(directive)?;
            cost(directive)?;
            if directive.name != "join__field" {
                continue;
            }
            if argument(directive, "contextArguments").is_some() {
                return Err("arguments from a context are not supported".to_owned());
            }
            if let Some(requires) = text(directive, "requires") {
                required(directive, "graph")?;
                fieldset::check(&self.types, type_name, requires)?;
            }
            if let Some(provides) = text(directive, "provides") {
                required(directive, "graph")?;
                fieldset::check(&self.types, field.field_type.inner_type(), provides)?;
            }
            if let Some(reference) = text(directive, "type") {
                self.type_text(reference)?;
            }
            if let Some(label) = text(directive, "overrideLabel") {
                label_is_valid(label)?;
            }
        }
        Ok(())
    }

    fn input(&self, value: &InputValue) -> Result<(), String> {
        self.reference(&value.value_type)?;
        for directive in &value.directives {
            self.graph(directive)?;
            cost(directive)?;
            if let (Some(reference), "join__field") =
                (text(directive, "type"), directive.name.as_str())
            {
                self.type_text(reference)?;
            }
        }
        Ok(())
    }

    fn reference(&self, reference: &Type) -> Result<(), String> {
        let name = reference.inner_type();
        match self.types.is_known(name) {
            true => Ok(()),
            false => Err(format!("there is no type `{name}`")),
        }
    }

    /// A type in a string, such as `[Int!]!`.
    fn type_text(&self, text: &str) -> Result<(), String> {
        let mut inner = text.trim();
        loop {
            inner = inner.strip_suffix('!').unwrap_or(inner);
            match inner.strip_prefix('[') {
                Some(list) => {
                    let invalid = || format!("`{text}` is no type");
                    inner = list.strip_suffix(']').ok_or_else(invalid)?;
                }
                None if self.types.is_known(inner) => return Ok(()),
                None => return Err(format!("there is no type `{inner}`")),
            }
        }
    }

    /// The graph that a directive of the join specification names must exist.
    fn graph(&self, directive: &Directive) -> Result<(), String> {
        if !directive.name.starts_with("join__") {
            return Ok(());
        }
        match argument(directive, "graph") {
            Some(Value::Enum(graph) | Value::String(graph))
                if !self.graphs.contains(graph.as_str()) =>
            {
                Err(format!("there is no subgraph `{graph}`"))
            }
            _ => Ok(()),
        }
    }
}

fn required(directive: &Directive, name: &str) -> Result<(), String> {
    match argument(directive, name) {
        Some(_) => Ok(()),
        None => Err(format!("`@{}` names no {name}", directive.name)),
    }
}

/// Weights and sizes of demand control may not be negative.
fn cost(directive: &Directive) -> Result<(), String> {
    if !matches!(directive.name.as_str(), "cost" | "listSize") {
        return Ok(());
    }
    let negative = |value: &Value| matches!(value, Value::Int(number) if number.as_i64().is_none_or(i64::is_negative));
    let wrong = directive.arguments.iter().any(|(_, value)| negative(value));
    let weightless =
        directive.name == "cost" && !matches!(argument(directive, "weight"), Some(Value::Int(_)));
    match wrong || weightless {
        true => Err(format!(
            "`@{}` needs numbers that are not negative",
            directive.name
        )),
        false => Ok(()),
    }
}

/// A label of a progressive override: any name, or `percent(…)` of 0 to 100 with up to 8 decimals.
fn label_is_valid(label: &str) -> Result<(), String> {
    let Some(share) = label
        .strip_prefix("percent(")
        .and_then(|it| it.strip_suffix(')'))
    else {
        return Ok(());
    };
    let decimals = share
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    match share.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) && decimals <= 8 => Ok(()),
        _ => Err(format!("`{label}` is no share of 0 to 100 percent")),
    }
}

fn argument<'a>(directive: &'a Directive, name: &str) -> Option<&'a Value> {
    let found = directive.arguments.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value)
}

fn text<'a>(directive: &'a Directive, name: &str) -> Option<&'a str> {
    match argument(directive, name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn flag(directive: &Directive, name: &str) -> bool {
    matches!(argument(directive, name), Some(Value::Boolean(true)))
}

fn fields(definition: &TypeDefinition) -> &[Field] {
    match definition {
        TypeDefinition::Object(object) => &object.fields,
        TypeDefinition::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

fn interfaces(definition: &TypeDefinition) -> &[String] {
    match definition {
        TypeDefinition::Object(object) => &object.implements_interfaces,
        TypeDefinition::Interface(interface) => &interface.implements_interfaces,
        _ => &[],
    }
}

fn directives(definition: &TypeDefinition) -> &[Directive] {
    match definition {
        TypeDefinition::Scalar(it) => &it.directives,
        TypeDefinition::Object(it) => &it.directives,
        TypeDefinition::Interface(it) => &it.directives,
        TypeDefinition::Union(it) => &it.directives,
        TypeDefinition::Enum(it) => &it.directives,
        TypeDefinition::InputObject(it) => &it.directives,
    }
}

const BUILT_IN_SCALARS: [&str; 5] = ["ID", "String", "Int", "Float", "Boolean"];
