//! The values of an operation's variables, coerced to their types (the specification's
//! *CoerceVariableValues*).
//!
//! A wrong value is an error of the request, and says the variable and the place in it, never the value:
//! that may be a password. Variables that the operation does not have are ignored.

use std::fmt::Write;

use graphql_tools::static_graphql::query::{Type, Value as Literal, VariableDefinition};
use graphql_tools::static_graphql::schema::{InputValue, TypeDefinition};
use serde_json::{Map, Number, Value};

use crate::execute::Variables;
use crate::limits::Limits;
use crate::rejection::{Reason, Rejection};
use crate::request::{Request, scan_variables};
use crate::supergraph::ApiSchema;

/// Coerces a request's variables for an operation's definitions.
pub(crate) fn coerce(
    definitions: &[VariableDefinition],
    request: &Request,
    schema: &ApiSchema,
    limits: &Limits,
) -> Result<Variables, Rejection> {
    let given = match &request.variables {
        Some(text) => {
            scan_variables(text.get(), limits)?;
            parse(text.get())?
        }
        None => Map::new(),
    };
    let mut variables = Variables::new();
    for definition in definitions {
        let coercer = Coercer {
            schema,
            variable: definition,
        };
        let value = match given.get(&definition.name) {
            Some(value) => Some(coercer.value(value, &definition.var_type, &mut Path::new())?),
            None => coercer.default()?,
        };
        if let Some(value) = value {
            variables
                .insert(&definition.name, &value)
                .map_err(|_| coercer.wrong(&Path::new(), "has no form in JSON"))?;
        }
    }
    Ok(variables)
}

fn parse(text: &str) -> Result<Map<String, Value>, Rejection> {
    serde_json::from_str(text)
        .map_err(|_| Rejection::new(Reason::Malformed, "the variables are not an object"))
}

/// Where a value is within a variable.
type Path = Vec<Step>;

enum Step {
    Field(String),
    Element(usize),
}

struct Coercer<'a> {
    schema: &'a ApiSchema,
    variable: &'a VariableDefinition,
}

impl Coercer<'_> {
    /// The value of a variable that was not given.
    fn default(&self) -> Result<Option<Value>, Rejection> {
        match &self.variable.default_value {
            Some(literal) => {
                let value = json(literal);
                let coerced = self.value(&value, &self.variable.var_type, &mut Path::new())?;
                Ok(Some(coerced))
            }
            None if self.variable.var_type.is_non_null() => {
                Err(self.wrong(&Path::new(), "is required, and was not provided"))
            }
            None => Ok(None),
        }
    }

    fn value(&self, value: &Value, of: &Type, path: &mut Path) -> Result<Value, Rejection> {
        match of {
            Type::NonNullType(_) if value.is_null() => Err(self.wrong(path, "must not be null")),
            Type::NonNullType(inner) => self.value(value, inner, path),
            _ if value.is_null() => Ok(Value::Null),
            Type::ListType(inner) => match value {
                Value::Array(elements) => {
                    let mut list = Vec::with_capacity(elements.len());
                    for (index, element) in elements.iter().enumerate() {
                        path.push(Step::Element(index));
                        list.push(self.value(element, inner, path)?);
                        path.pop();
                    }
                    Ok(Value::Array(list))
                }
                // One value stands for a list of it.
                single => Ok(Value::Array(vec![self.value(single, inner, path)?])),
            },
            Type::NamedType(name) => self.named(value, name, path),
        }
    }

    fn named(&self, value: &Value, name: &str, path: &mut Path) -> Result<Value, Rejection> {
        let expected = |what: &str| self.wrong(path, &format!("must be {what}"));
        match name {
            "Int" => match value {
                Value::Number(number) => small_integer(number).map(Value::from),
                _ => None,
            }
            .ok_or_else(|| expected("a whole number of 32 bits")),
            "Float" => match value {
                Value::Number(_) => Ok(value.clone()),
                _ => Err(expected("a number")),
            },
            "String" => match value {
                Value::String(_) => Ok(value.clone()),
                _ => Err(expected("a string")),
            },
            "Boolean" => match value {
                Value::Bool(_) => Ok(value.clone()),
                _ => Err(expected("true or false")),
            },
            "ID" => match value {
                Value::String(_) => Ok(value.clone()),
                Value::Number(number) if number.is_i64() || number.is_u64() => {
                    Ok(Value::String(number.to_string()))
                }
                _ => Err(expected("a string or a whole number")),
            },
            _ => match self.schema.type_by_name(name) {
                Some(TypeDefinition::Enum(definition)) => match value {
                    Value::String(given)
                        if definition.values.iter().any(|known| known.name == *given) =>
                    {
                        Ok(value.clone())
                    }
                    _ => Err(expected(&format!("a value of the enum \"{name}\""))),
                },
                Some(TypeDefinition::InputObject(definition)) => match value {
                    Value::Object(given) => {
                        let one_of = definition.directives.iter().any(|it| it.name == "oneOf");
                        self.object(given, &definition.fields, name, one_of, path)
                    }
                    _ => Err(expected(&format!("an object of type \"{name}\""))),
                },
                // Custom scalars mean what their service says.
                _ => Ok(value.clone()),
            },
        }
    }

    fn object(
        &self,
        given: &Map<String, Value>,
        fields: &[InputValue],
        name: &str,
        one_of: bool,
        path: &mut Path,
    ) -> Result<Value, Rejection> {
        for key in given.keys() {
            if !fields.iter().any(|field| field.name == *key) {
                let problem = format!("has a field that \"{name}\" does not have: \"{key}\"");
                return Err(self.wrong(path, &problem));
            }
        }
        if one_of && (given.len() != 1 || given.values().any(Value::is_null)) {
            let problem = format!("must have exactly one field of \"{name}\", and not null");
            return Err(self.wrong(path, &problem));
        }
        let mut object = Map::new();
        for field in fields {
            path.push(Step::Field(field.name.clone()));
            let value = match (given.get(&field.name), &field.default_value) {
                (Some(value), _) => Some(self.value(value, &field.value_type, path)?),
                // As the schema has it: the service fills in what that lacks. A default may lack itself,
                // and filling that in here would have no end.
                (None, Some(default)) => Some(json(default)),
                (None, None) if field.value_type.is_non_null() => {
                    return Err(self.wrong(path, "is required, and was not provided"));
                }
                (None, None) => None,
            };
            path.pop();
            object.extend(value.map(|value| (field.name.clone(), value)));
        }
        Ok(Value::Object(object))
    }

    fn wrong(&self, path: &Path, problem: &str) -> Rejection {
        let mut place = format!("${}", self.variable.name);
        for step in path {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Field(name) => write!(place, ".{name}"),
                Step::Element(index) => write!(place, "[{index}]"),
            };
        }
        let message = format!("Variable \"{place}\" {problem}.");
        Rejection::at(Reason::Variables, message, [self.variable.position])
    }
}

/// A whole number within 32 bits, also if it is written as `1.0`.
fn small_integer(number: &Number) -> Option<i32> {
    if let Some(integer) = number.as_i64() {
        return i32::try_from(integer).ok();
    }
    let float = number.as_f64()?;
    let fits = float.fract() == 0.0 && float.abs() <= f64::from(i32::MAX);
    // Whole and within the range, so the conversion is exact.
    #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
    fits.then_some(float as i32)
}

/// A constant of the document or the schema as JSON. It has no variables.
pub(crate) fn json(literal: &Literal) -> Value {
    match literal {
        Literal::Null | Literal::Variable(_) => Value::Null,
        Literal::Int(number) => number.as_i64().map_or(Value::Null, Value::from),
        Literal::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Literal::String(text) | Literal::Enum(text) => Value::String(text.clone()),
        Literal::Boolean(value) => Value::Bool(*value),
        Literal::List(elements) => Value::Array(elements.iter().map(json).collect()),
        Literal::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), json(value)));
            Value::Object(fields.collect())
        }
    }
}

#[cfg(test)]
mod tests;
