//! Answers `__schema` and `__type` from the clients' schema, as the specification's chapter on
//! introspection says.
//!
//! No subgraph is asked: this is a small interpreter of selections over the schema's definitions. Its
//! answer is the JSON object that the executor puts at the root. Fields are validated before they come
//! here; depth and number are bounded by the limits of documents.

mod literal;

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use graphql_tools::parser::schema::Value as Literal;
use graphql_tools::static_graphql::query::{Field, FragmentDefinition, Selection, SelectionSet};
use graphql_tools::static_graphql::schema::{
    Definition, Directive, DirectiveDefinition, EnumValue, Field as FieldDefinition, InputValue,
    Type, TypeDefinition,
};
use serde::Serialize;
use serde_json::Value;

use crate::execute::Variables;
use crate::limits::Limit;
use crate::operation::{conditions_hold, variables};
use crate::rejection::{Reason, Rejection};
use crate::supergraph::ApiSchema;

/// The answers of these root fields by their response keys; `None` if there are none.
///
/// # Errors
/// If there would be more values than [`MAX_VALUES`]: types, fields, and their types again can be asked
/// for in circles, and each round multiplies.
pub(crate) fn answer(
    schema: &ApiSchema,
    fields: &[Field],
    fragments: &HashMap<String, FragmentDefinition>,
    variables: &Variables,
) -> Result<Option<Bytes>, Rejection> {
    if fields.is_empty() {
        return Ok(None);
    }
    let source = Source {
        schema,
        fragments,
        variables,
    };
    let mut writer = Writer {
        source: &source,
        out: Vec::with_capacity(1024),
        left: MAX_VALUES,
    };
    let mut by_key = Vec::new();
    for field in fields {
        source.add(&mut by_key, field);
    }
    match writer.members(by_key, &Element::Root) {
        Ok(()) => Ok(Some(writer.out.into())),
        Err(TooMany) => {
            let message = format!("more than {MAX_VALUES} values of introspection");
            Err(Rejection::new(Reason::Limit(Limit::Fields), message))
        }
    }
}

/// Anything that introspection can stand on.
#[derive(Clone, Copy)]
enum Element<'a> {
    /// The root of the operation.
    Root,
    Schema,
    Type(&'a TypeDefinition),
    /// A list or non-null type.
    Wrapped(&'a Type),
    Field(&'a FieldDefinition),
    Input(&'a InputValue),
    EnumValue(&'a EnumValue),
    Directive(&'a DirectiveDefinition),
}

/// What is read: the schema, and the rest of the operation.
struct Source<'a> {
    schema: &'a ApiSchema,
    fragments: &'a HashMap<String, FragmentDefinition>,
    variables: &'a Variables,
}

/// Fields of one response key, in the order of the first of each.
type ByKey<'a> = Vec<(&'a str, Vec<&'a Field>)>;

impl<'a> Source<'a> {
    fn add(&self, by_key: &mut ByKey<'a>, field: &'a Field) {
        if !conditions_hold(&field.directives) {
            return;
        }
        let key = field.alias.as_ref().unwrap_or(&field.name);
        match by_key.iter_mut().find(|(known, _)| known == key) {
            Some((_, fields)) => fields.push(field),
            None => by_key.push((key, vec![field])),
        }
    }

    fn collect(&self, by_key: &mut ByKey<'a>, set: &'a SelectionSet) {
        for selection in &set.items {
            // A valid fragment on a type of introspection is on that very type: they are all objects.
            let (directives, inner) = match selection {
                Selection::Field(field) => {
                    self.add(by_key, field);
                    continue;
                }
                Selection::InlineFragment(it) => (&it.directives, &it.selection_set),
                Selection::FragmentSpread(it) => match self.fragments.get(&it.fragment_name) {
                    Some(fragment) => (&it.directives, &fragment.selection_set),
                    None => continue,
                },
            };
            if conditions_hold(directives) {
                self.collect(by_key, inner);
            }
        }
    }

    /// The value of a field's argument, literal or from a variable.
    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let (_, value) = field.arguments.iter().find(|(known, _)| known == name)?;
        match value {
            Literal::Variable(variable) => serde_json::from_str(self.variables.get(variable)?).ok(),
            literal => Some(variables::json(literal)),
        }
    }

    /// Deprecated elements are answered only if the argument says so.
    fn shown(&self, field: &Field, directives: &[Directive]) -> bool {
        !is_deprecated(directives)
            || self.argument(field, "includeDeprecated") == Some(Value::Bool(true))
    }

    fn types(&self, names: &'a [String]) -> Vec<Element<'a>> {
        let definitions = names
            .iter()
            .filter_map(|name| self.schema.type_by_name(name));
        definitions.map(Element::Type).collect()
    }

    fn inputs(&self, field: &Field, inputs: &'a [InputValue]) -> Vec<Element<'a>> {
        let shown = inputs
            .iter()
            .filter(|input| self.shown(field, &input.directives));
        shown.map(Element::Input).collect()
    }

    /// What a field of an element is.
    fn answer(&self, field: &Field, element: &Element<'a>) -> Found<'a> {
        let name = field.name.as_str();
        match element {
            Element::Root => match name {
                "__schema" => Found::One(Element::Schema),
                _ => {
                    let wanted = self.argument(field, "name");
                    let wanted = wanted.as_ref().and_then(Value::as_str);
                    self.named(wanted)
                }
            },
            Element::Schema => self.schema(name),
            Element::Type(it) => self.type_field(field, it),
            Element::Wrapped(it) => self.wrapped(name, it),
            Element::Field(it) => match name {
                "__typename" => Found::text("__Field"),
                "args" => Found::Many(self.inputs(field, &it.arguments)),
                "type" => self.reference(&it.field_type),
                _ => described(name, &it.name, it.description.as_deref(), &it.directives),
            },
            Element::Input(it) => match name {
                "__typename" => Found::text("__InputValue"),
                "type" => self.reference(&it.value_type),
                "defaultValue" => match &it.default_value {
                    Some(value) => Found::Text(literal::print(value).into()),
                    None => Found::Null,
                },
                _ => described(name, &it.name, it.description.as_deref(), &it.directives),
            },
            Element::EnumValue(it) => match name {
                "__typename" => Found::text("__EnumValue"),
                _ => described(name, &it.name, it.description.as_deref(), &it.directives),
            },
            Element::Directive(it) => match name {
                "__typename" => Found::text("__Directive"),
                "isRepeatable" => Found::Flag(it.repeatable),
                "locations" => Found::Texts(
                    it.locations
                        .iter()
                        .map(|location| location.as_str())
                        .collect(),
                ),
                "args" => Found::Many(self.inputs(field, &it.arguments)),
                _ => described(name, &it.name, it.description.as_deref(), &[]),
            },
        }
    }

    fn named(&self, name: Option<&str>) -> Found<'a> {
        match name.and_then(|name| self.schema.type_by_name(name)) {
            Some(definition) => Found::One(Element::Type(definition)),
            None => Found::Null,
        }
    }

    fn schema(&self, name: &str) -> Found<'a> {
        let document = self.schema.document();
        let definitions = document.definitions.iter();
        match name {
            "__typename" => Found::text("__Schema"),
            "queryType" => self.named(Some(self.schema.query_type())),
            "mutationType" => self.named(self.schema.mutation_type()),
            "subscriptionType" => self.named(document.subscription_type_name().map(String::as_str)),
            "types" => Found::Many(
                definitions
                    .filter_map(|definition| match definition {
                        Definition::TypeDefinition(it) => Some(Element::Type(it)),
                        _ => None,
                    })
                    .collect(),
            ),
            "directives" => Found::Many(
                definitions
                    .filter_map(|definition| match definition {
                        Definition::DirectiveDefinition(it) => Some(Element::Directive(it)),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => Found::Null,
        }
    }

    fn type_field(&self, field: &Field, it: &'a TypeDefinition) -> Found<'a> {
        match (field.name.as_str(), it) {
            ("__typename", _) => Found::text("__Type"),
            ("kind", _) => Found::text(kind(it)),
            ("name", _) => Found::text(it.name()),
            ("description", _) => Found::maybe(description(it)),
            ("fields", TypeDefinition::Object(it)) => self.fields(field, &it.fields),
            ("fields", TypeDefinition::Interface(it)) => self.fields(field, &it.fields),
            ("interfaces", TypeDefinition::Object(it)) => {
                Found::Many(self.types(&it.implements_interfaces))
            }
            ("interfaces", TypeDefinition::Interface(it)) => {
                Found::Many(self.types(&it.implements_interfaces))
            }
            ("possibleTypes", TypeDefinition::Interface(_) | TypeDefinition::Union(_)) => {
                Found::Many(self.types(self.schema.possible_types(it.name())))
            }
            ("enumValues", TypeDefinition::Enum(it)) => {
                let values = it.values.iter();
                let shown = values.filter(|value| self.shown(field, &value.directives));
                Found::Many(shown.map(Element::EnumValue).collect())
            }
            ("inputFields", TypeDefinition::InputObject(it)) => {
                Found::Many(self.inputs(field, &it.fields))
            }
            ("isOneOf", TypeDefinition::InputObject(_)) => Found::Flag(it.is_one_of()),
            ("specifiedByURL", TypeDefinition::Scalar(it)) => {
                Found::maybe(text_of(&it.directives, "specifiedBy", "url"))
            }
            _ => Found::Null,
        }
    }

    fn fields(&self, field: &Field, definitions: &'a [FieldDefinition]) -> Found<'a> {
        let shown = definitions
            .iter()
            .filter(|it| !it.name.starts_with("__") && self.shown(field, &it.directives));
        Found::Many(shown.map(Element::Field).collect())
    }

    fn wrapped(&self, name: &str, it: &'a Type) -> Found<'a> {
        let (kind, inner) = match it {
            Type::ListType(inner) => ("LIST", inner),
            Type::NonNullType(inner) => ("NON_NULL", inner),
            Type::NamedType(_) => return Found::Null,
        };
        match name {
            "__typename" => Found::text("__Type"),
            "kind" => Found::text(kind),
            "ofType" => self.reference(inner),
            _ => Found::Null,
        }
    }

    fn reference(&self, it: &'a Type) -> Found<'a> {
        match it {
            Type::NamedType(name) => self.named(Some(name)),
            wrapped => Found::One(Element::Wrapped(wrapped)),
        }
    }
}

/// The answer of one field.
enum Found<'a> {
    Null,
    Flag(bool),
    Text(Cow<'a, str>),
    Texts(Vec<&'static str>),
    One(Element<'a>),
    Many(Vec<Element<'a>>),
}

impl<'a> Found<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn maybe(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }
}

/// There would be more values than allowed.
struct TooMany;

/// Writes JSON, in the order of the selections.
struct Writer<'s, 'a> {
    source: &'s Source<'a>,
    out: Vec<u8>,
    left: usize,
}

impl<'a> Writer<'_, 'a> {
    /// The object of an element with the merged selections of these fields.
    fn object(&mut self, parents: &[&'a Field], element: &Element<'a>) -> Result<(), TooMany> {
        let mut by_key = Vec::new();
        for parent in parents {
            self.source.collect(&mut by_key, &parent.selection_set);
        }
        self.members(by_key, element)
    }

    fn members(&mut self, by_key: ByKey<'a>, element: &Element<'a>) -> Result<(), TooMany> {
        self.out.push(b'{');
        for (index, (key, fields)) in by_key.into_iter().enumerate() {
            self.left = self.left.checked_sub(1).ok_or(TooMany)?;
            self.separate(index);
            self.json(key);
            self.out.push(b':');
            match self.source.answer(fields[0], element) {
                Found::Null => self.out.extend_from_slice(b"null"),
                Found::Flag(flag) => self.json(&flag),
                Found::Text(text) => self.json(&text),
                Found::Texts(texts) => self.json(&texts),
                Found::One(element) => self.object(&fields, &element)?,
                Found::Many(elements) => {
                    self.out.push(b'[');
                    for (index, element) in elements.iter().enumerate() {
                        self.separate(index);
                        self.object(&fields, element)?;
                    }
                    self.out.push(b']');
                }
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push(b',');
        }
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        // Neither texts nor flags can fail, nor can writing to memory.
        let _ = serde_json::to_writer(&mut self.out, value);
    }
}

/// The fields that most elements have.
fn described<'a>(
    field: &str,
    name: &'a str,
    description: Option<&'a str>,
    directives: &'a [Directive],
) -> Found<'a> {
    match field {
        "name" => Found::text(name),
        "description" => Found::maybe(description),
        "isDeprecated" => Found::Flag(is_deprecated(directives)),
        "deprecationReason" if is_deprecated(directives) => {
            let reason = text_of(directives, "deprecated", "reason");
            Found::text(reason.unwrap_or("No longer supported"))
        }
        _ => Found::Null,
    }
}

fn is_deprecated(directives: &[Directive]) -> bool {
    directives
        .iter()
        .any(|directive| directive.name == "deprecated")
}

fn text_of<'d>(directives: &'d [Directive], directive: &str, argument: &str) -> Option<&'d str> {
    let directive = directives.iter().find(|it| it.name == directive)?;
    match directive
        .arguments
        .iter()
        .find(|(name, _)| name == argument)?
    {
        (_, Literal::String(text)) => Some(text),
        _ => None,
    }
}

fn kind(definition: &TypeDefinition) -> &'static str {
    match definition {
        TypeDefinition::Scalar(_) => "SCALAR",
        TypeDefinition::Object(_) => "OBJECT",
        TypeDefinition::Interface(_) => "INTERFACE",
        TypeDefinition::Union(_) => "UNION",
        TypeDefinition::Enum(_) => "ENUM",
        TypeDefinition::InputObject(_) => "INPUT_OBJECT",
    }
}

fn description(definition: &TypeDefinition) -> Option<&str> {
    match definition {
        TypeDefinition::Scalar(it) => it.description.as_deref(),
        TypeDefinition::Object(it) => it.description.as_deref(),
        TypeDefinition::Interface(it) => it.description.as_deref(),
        TypeDefinition::Union(it) => it.description.as_deref(),
        TypeDefinition::Enum(it) => it.description.as_deref(),
        TypeDefinition::InputObject(it) => it.description.as_deref(),
    }
}

/// Values that one operation's introspection may answer. A schema of 500 types has some 50,000 with
/// the query that tools send.
const MAX_VALUES: usize = 100_000;

#[cfg(test)]
mod tests;
