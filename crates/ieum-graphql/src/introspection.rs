//! Answers `__schema` and `__type` from the clients' schema, as the specification's chapter on
//! introspection says.
//!
//! No subgraph is asked: this is a small interpreter of selections over the schema's definitions. Its
//! answer is the JSON object that the executor puts at the root. Fields are validated before they come
//! here; depth and number are bounded by the limits of documents.

use std::cell::Cell;
use std::collections::HashMap;

use bytes::Bytes;
use graphql_tools::parser::schema::Value as Literal;
use graphql_tools::static_graphql::query::{
    Field, FragmentDefinition, Selection, SelectionSet, TypeCondition,
};
use graphql_tools::static_graphql::schema::{
    Definition, Directive, DirectiveDefinition, EnumValue, Field as FieldDefinition, InputValue,
    Type, TypeDefinition,
};
use serde_json::{Map, Value, json};

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
    let reader = Reader {
        schema,
        fragments,
        variables,
        left: Cell::new(MAX_VALUES),
    };
    let mut root = Map::new();
    let mut by_key = Vec::new();
    for field in fields {
        reader.add(&mut by_key, field);
    }
    for (key, fields) in by_key {
        let element = match fields[0].name.as_str() {
            "__schema" => Some(Element::Schema),
            _ => reader
                .argument(fields[0], "name")
                .and_then(|name| schema.type_by_name(name.as_str()?))
                .map(Element::Type),
        };
        let value = element.map_or(Value::Null, |element| reader.object(&fields, &element));
        root.insert(key.to_owned(), value);
    }
    if reader.left.get() == 0 {
        let message = format!("more than {MAX_VALUES} values of introspection");
        return Err(Rejection::new(Reason::Limit(Limit::Fields), message));
    }
    // What was built of strings and maps has a form in JSON.
    Ok(Some(serde_json::to_vec(&root).unwrap_or_default().into()))
}

/// Anything that introspection can stand on.
#[derive(Clone, Copy)]
enum Element<'a> {
    Schema,
    Type(&'a TypeDefinition),
    /// A list or non-null type.
    Wrapped(&'a Type),
    Field(&'a FieldDefinition),
    Input(&'a InputValue),
    EnumValue(&'a EnumValue),
    Directive(&'a DirectiveDefinition),
}

struct Reader<'a> {
    schema: &'a ApiSchema,
    fragments: &'a HashMap<String, FragmentDefinition>,
    variables: &'a Variables,
    /// How many values may still be answered.
    left: Cell<usize>,
}

/// Fields of one response key, in the order of the first of each.
type ByKey<'a> = Vec<(&'a str, Vec<&'a Field>)>;

impl<'a> Reader<'a> {
    fn add(&self, by_key: &mut ByKey<'a>, field: &'a Field) {
        if !conditions_hold(&field.directives, self.variables) {
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
            match selection {
                Selection::Field(field) => self.add(by_key, field),
                Selection::InlineFragment(it) => {
                    if conditions_hold(&it.directives, self.variables) {
                        self.collect(by_key, &it.selection_set);
                    }
                }
                Selection::FragmentSpread(it) => {
                    let fragment = self.fragments.get(&it.fragment_name);
                    if let Some(fragment) = fragment
                        && conditions_hold(&it.directives, self.variables)
                    {
                        self.collect(by_key, &fragment.selection_set);
                    }
                }
            }
        }
    }

    /// The object of an element with the merged selections of these fields.
    fn object(&self, parents: &[&'a Field], element: &Element<'a>) -> Value {
        let mut by_key = Vec::new();
        for parent in parents {
            self.collect(&mut by_key, &parent.selection_set);
        }
        let mut object = Map::new();
        for (key, fields) in by_key {
            let Some(left) = self.left.get().checked_sub(1) else {
                return Value::Null;
            };
            self.left.set(left);
            let value = self.value(&fields, element);
            object.insert(key.to_owned(), value);
        }
        Value::Object(object)
    }

    fn list(
        &self,
        parents: &[&'a Field],
        elements: impl IntoIterator<Item = Element<'a>>,
    ) -> Value {
        let elements = elements.into_iter();
        let objects = elements
            .take_while(|_| self.left.get() > 0)
            .map(|element| self.object(parents, &element));
        Value::Array(objects.collect())
    }

    fn value(&self, fields: &[&'a Field], element: &Element<'a>) -> Value {
        let name = fields[0].name.as_str();
        match element {
            Element::Schema => self.schema(name, fields),
            Element::Type(definition) => self.named_type(name, fields, definition),
            Element::Wrapped(wrapped) => self.wrapped_type(name, fields, wrapped),
            Element::Field(it) => match name {
                "__typename" => json!("__Field"),
                "args" => self.inputs(fields, &it.arguments),
                "type" => self.type_reference(fields, &it.field_type),
                _ => described(name, &it.name, it.description.as_ref(), &it.directives),
            },
            Element::Input(it) => match name {
                "__typename" => json!("__InputValue"),
                "type" => self.type_reference(fields, &it.value_type),
                "defaultValue" => json!(it.default_value.as_ref().map(ToString::to_string)),
                _ => described(name, &it.name, it.description.as_ref(), &it.directives),
            },
            Element::EnumValue(it) => match name {
                "__typename" => json!("__EnumValue"),
                _ => described(name, &it.name, it.description.as_ref(), &it.directives),
            },
            Element::Directive(it) => match name {
                "__typename" => json!("__Directive"),
                "isRepeatable" => json!(it.repeatable),
                "locations" => {
                    let locations = it.locations.iter().map(|location| location.as_str());
                    json!(locations.collect::<Vec<_>>())
                }
                "args" => self.inputs(fields, &it.arguments),
                _ => described(name, &it.name, it.description.as_ref(), &[]),
            },
        }
    }

    fn schema(&self, name: &str, fields: &[&'a Field]) -> Value {
        let definitions = &self.schema.document().definitions;
        let root = |name: Option<&str>| {
            let definition = name.and_then(|name| self.schema.type_by_name(name));
            definition.map_or(Value::Null, |it| self.object(fields, &Element::Type(it)))
        };
        let subscription = self.schema.document().subscription_type_name();
        match name {
            "__typename" => json!("__Schema"),
            "queryType" => root(Some(self.schema.query_type())),
            "mutationType" => root(self.schema.mutation_type()),
            "subscriptionType" => root(subscription.map(String::as_str)),
            "types" => {
                let types = definitions
                    .iter()
                    .filter_map(|definition| match definition {
                        Definition::TypeDefinition(it) => Some(Element::Type(it)),
                        _ => None,
                    });
                self.list(fields, types)
            }
            "directives" => {
                let directives = definitions
                    .iter()
                    .filter_map(|definition| match definition {
                        Definition::DirectiveDefinition(it) => Some(Element::Directive(it)),
                        _ => None,
                    });
                self.list(fields, directives)
            }
            _ => Value::Null,
        }
    }

    fn named_type(&self, name: &str, fields: &[&'a Field], it: &'a TypeDefinition) -> Value {
        match name {
            "__typename" => json!("__Type"),
            "kind" => json!(kind(it)),
            "name" => json!(it.name()),
            "description" => json!(description(it)),
            "fields" => self.fields(fields, it),
            "interfaces" => self.interfaces(fields, it),
            "possibleTypes" if it.is_abstract_type() => {
                self.types(fields, self.schema.possible_types(it.name()))
            }
            "enumValues" => match it {
                TypeDefinition::Enum(it) => {
                    let values = it.values.iter();
                    let shown = values.filter(|value| self.shown(fields, &value.directives));
                    self.list(fields, shown.map(Element::EnumValue))
                }
                _ => Value::Null,
            },
            "inputFields" => match it {
                TypeDefinition::InputObject(it) => self.inputs(fields, &it.fields),
                _ => Value::Null,
            },
            "isOneOf" => match it {
                TypeDefinition::InputObject(_) => json!(it.is_one_of()),
                _ => Value::Null,
            },
            "specifiedByURL" => match it {
                TypeDefinition::Scalar(it) => {
                    json!(text_of(&it.directives, "specifiedBy", "url"))
                }
                _ => Value::Null,
            },
            _ => Value::Null,
        }
    }

    fn fields(&self, fields: &[&'a Field], it: &'a TypeDefinition) -> Value {
        let definitions = match it {
            TypeDefinition::Object(it) => &it.fields,
            TypeDefinition::Interface(it) => &it.fields,
            _ => return Value::Null,
        };
        let shown = definitions
            .iter()
            .filter(|field| !field.name.starts_with("__") && self.shown(fields, &field.directives));
        self.list(fields, shown.map(Element::Field))
    }

    fn interfaces(&self, fields: &[&'a Field], it: &'a TypeDefinition) -> Value {
        match it {
            TypeDefinition::Object(it) => self.types(fields, &it.implements_interfaces),
            TypeDefinition::Interface(it) => self.types(fields, &it.implements_interfaces),
            _ => Value::Null,
        }
    }

    fn wrapped_type(&self, name: &str, fields: &[&'a Field], it: &'a Type) -> Value {
        let (kind, inner) = match it {
            Type::ListType(inner) => ("LIST", inner),
            Type::NonNullType(inner) => ("NON_NULL", inner),
            Type::NamedType(_) => return Value::Null,
        };
        match name {
            "__typename" => json!("__Type"),
            "kind" => json!(kind),
            "ofType" => self.type_reference(fields, inner),
            _ => Value::Null,
        }
    }

    fn type_reference(&self, fields: &[&'a Field], it: &'a Type) -> Value {
        match it {
            Type::NamedType(name) => match self.schema.type_by_name(name) {
                Some(definition) => self.object(fields, &Element::Type(definition)),
                None => Value::Null,
            },
            wrapped => self.object(fields, &Element::Wrapped(wrapped)),
        }
    }

    fn types(&self, fields: &[&'a Field], names: &'a [String]) -> Value {
        let definitions = names
            .iter()
            .filter_map(|name| self.schema.type_by_name(name));
        self.list(fields, definitions.map(Element::Type))
    }

    fn inputs(&self, fields: &[&'a Field], inputs: &'a [InputValue]) -> Value {
        let shown = inputs
            .iter()
            .filter(|input| self.shown(fields, &input.directives));
        self.list(fields, shown.map(Element::Input))
    }

    /// Deprecated elements are answered only if the argument says so.
    fn shown(&self, fields: &[&Field], directives: &[Directive]) -> bool {
        !is_deprecated(directives)
            || self.argument(fields[0], "includeDeprecated") == Some(Value::Bool(true))
    }

    /// The value of a field's argument, literal or from a variable.
    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let (_, value) = field.arguments.iter().find(|(known, _)| known == name)?;
        match value {
            Literal::Variable(variable) => serde_json::from_str(self.variables.get(variable)?).ok(),
            literal => Some(variables::json(literal)),
        }
    }
}

/// The fields that most elements have.
fn described(
    field: &str,
    name: &str,
    description: Option<&String>,
    directives: &[Directive],
) -> Value {
    match field {
        "name" => json!(name),
        "description" => json!(description),
        "isDeprecated" => json!(is_deprecated(directives)),
        "deprecationReason" if is_deprecated(directives) => {
            let reason = text_of(directives, "deprecated", "reason");
            json!(reason.unwrap_or("No longer supported"))
        }
        _ => Value::Null,
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

fn description(definition: &TypeDefinition) -> Option<&String> {
    match definition {
        TypeDefinition::Scalar(it) => it.description.as_ref(),
        TypeDefinition::Object(it) => it.description.as_ref(),
        TypeDefinition::Interface(it) => it.description.as_ref(),
        TypeDefinition::Union(it) => it.description.as_ref(),
        TypeDefinition::Enum(it) => it.description.as_ref(),
        TypeDefinition::InputObject(it) => it.description.as_ref(),
    }
}

/// Values that one operation's introspection may answer. A schema of 500 types has some 50,000 with
/// the query that tools send.
const MAX_VALUES: usize = 100_000;

#[cfg(test)]
mod tests;
