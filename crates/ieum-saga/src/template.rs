//! Templates: how a step's call takes values from the input and from earlier answers.
//!
//! A string that is exactly one `${path}` becomes that JSON value; otherwise each `${path}` in it is
//! interpolated and must be a text, a number or a boolean. `$${` stands for a literal `${`, and a
//! path that ends in `?` may be absent: it becomes `null`, or nothing inside a text. There is no
//! logic in a template on purpose: what decides belongs into a service.

use std::fmt;

use ieum_base::Uuid;
use serde_json::Value;

use crate::events::Failure;

/// JSON with `${…}` in its strings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(Value),
    Whole(Reference),
    Text(Vec<Part>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A path and query with `${…}` in it. What is put in is percent-encoded, so that a value can
/// neither leave its segment nor add a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PathTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Hole(Reference),
}

/// What stands between `${` and `}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) root: Root,
    path: Vec<String>,
    pub(crate) optional: bool,
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// The saga's input.
    Input,
    /// The answer of the step of this name.
    Step(String),
    /// The saga's id.
    SagaId,
    /// Why the saga is being compensated.
    Failure(FailureField),
}

/// A field of the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureField {
    Step,
    Code,
    Detail,
}

/// What a template may refer to when it is rendered.
pub(crate) trait Scope {
    /// The saga's input.
    fn input(&self) -> &Value;
    /// The answer of the step of this name, if it has one.
    fn answer(&self, step: &str) -> Option<&Value>;
    /// The saga's id.
    fn saga(&self) -> Uuid;
    /// Why the saga is being compensated.
    fn failure(&self) -> Option<&Failure>;
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    #[error("`{0}` has a `${{` without its `}}`")]
    Unclosed(String),
    #[error(
        "`${{{0}}}` is not a path: begin with `input`, `steps.<name>`, `saga.id`, \
         `failure.step`, `failure.code` or `failure.detail`"
    )]
    NotAPath(String),
}

/// Why a template could not be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("`${{{0}}}` has no value")]
    Missing(String),
    #[error("`${{{0}}}` is not a text, a number or a boolean")]
    NotText(String),
    #[error("`${{{0}}}` cannot stand in a path: it is empty or made of dots")]
    NotASegment(String),
}

impl Template {
    /// Reads every string in `json` as a template.
    pub(crate) fn parse(json: &Value) -> Result<Self, ParseError> {
        parse_node(json).map(Self)
    }

    /// Fills it in.
    pub(crate) fn render(&self, scope: &dyn Scope) -> Result<Value, RenderError> {
        render_node(&self.0, scope)
    }

    /// Every reference in it.
    pub(crate) fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        collect(&self.0, &mut found);
        found
    }
}

impl PathTemplate {
    /// Reads a path.
    pub(crate) fn parse(path: &str) -> Result<Self, ParseError> {
        parse_text(path).map(Self)
    }

    /// Fills it in.
    pub(crate) fn render(&self, scope: &dyn Scope) -> Result<String, RenderError> {
        let mut path = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Hole(reference) => {
                    let value = text_of(reference, scope)?;
                    if value.trim_matches('.').is_empty() {
                        return Err(RenderError::NotASegment(reference.to_string()));
                    }
                    percent_encode(&value, &mut path);
                }
            }
        }
        Ok(path)
    }

    /// Every reference in it.
    pub(crate) fn references(&self) -> Vec<&Reference> {
        holes(&self.0).collect()
    }
}

impl Reference {
    /// The value it points to; `None` if it is absent.
    pub(crate) fn resolve(&self, scope: &dyn Scope) -> Option<Value> {
        match &self.root {
            Root::Input => descend(scope.input(), &self.path).cloned(),
            Root::Step(step) => descend(scope.answer(step)?, &self.path).cloned(),
            Root::SagaId => Some(Value::String(scope.saga().to_string())),
            Root::Failure(field) => {
                let failure = scope.failure()?;
                let text = match field {
                    FailureField::Step => failure.step.clone().unwrap_or_default(),
                    FailureField::Code => failure.code.clone(),
                    FailureField::Detail => failure.detail.clone(),
                };
                Some(Value::String(text))
            }
        }
    }

    fn parse(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::NotAPath(text.to_owned());
        let (bare, optional) = text
            .strip_suffix('?')
            .map_or((text, false), |bare| (bare, true));
        let mut segments = bare.split('.').map(str::to_owned);
        let root = match (segments.next().as_deref(), bare) {
            (Some("input"), _) => Root::Input,
            (Some("steps"), _) => Root::Step(segments.next().ok_or_else(refuse)?),
            (_, "saga.id") => Root::SagaId,
            (_, "failure.step") => Root::Failure(FailureField::Step),
            (_, "failure.code") => Root::Failure(FailureField::Code),
            (_, "failure.detail") => Root::Failure(FailureField::Detail),
            _ => return Err(refuse()),
        };
        let path: Vec<String> = match root {
            Root::Input | Root::Step(_) => segments.collect(),
            Root::SagaId | Root::Failure(_) => Vec::new(),
        };
        if path.iter().any(String::is_empty) {
            return Err(refuse());
        }
        Ok(Self {
            root,
            path,
            optional,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Input => f.write_str("input")?,
            Root::Step(step) => write!(f, "steps.{step}")?,
            Root::SagaId => f.write_str("saga.id")?,
            Root::Failure(FailureField::Step) => f.write_str("failure.step")?,
            Root::Failure(FailureField::Code) => f.write_str("failure.code")?,
            Root::Failure(FailureField::Detail) => f.write_str("failure.detail")?,
        }
        for segment in &self.path {
            write!(f, ".{segment}")?;
        }
        f.write_str(if self.optional { "?" } else { "" })
    }
}

fn parse_node(json: &Value) -> Result<Node, ParseError> {
    match json {
        Value::String(text) => parse_string(text),
        Value::Array(items) => {
            let items: Result<_, _> = items.iter().map(parse_node).collect();
            items.map(Node::Array)
        }
        Value::Object(members) => {
            let members: Result<_, ParseError> = members
                .iter()
                .map(|(name, value)| Ok((name.clone(), parse_node(value)?)))
                .collect();
            members.map(Node::Object)
        }
        other => Ok(Node::Literal(other.clone())),
    }
}

fn parse_string(text: &str) -> Result<Node, ParseError> {
    let mut parts = parse_text(text)?;
    Ok(match parts.pop() {
        None => Node::Literal(Value::String(String::new())),
        Some(Part::Hole(reference)) if parts.is_empty() => Node::Whole(reference),
        Some(Part::Text(text)) if parts.is_empty() => Node::Literal(Value::String(text)),
        Some(last) => {
            parts.push(last);
            Node::Text(parts)
        }
    })
}

fn parse_text(text: &str) -> Result<Vec<Part>, ParseError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, behind) = rest.split_at(at);
        let behind = &behind[2..];
        if let Some(escaped) = before.strip_suffix('$') {
            literal.push_str(escaped);
            literal.push_str("${");
            rest = behind;
            continue;
        }
        literal.push_str(before);
        let (path, tail) = behind
            .split_once('}')
            .ok_or_else(|| ParseError::Unclosed(text.to_owned()))?;
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(Part::Hole(Reference::parse(path)?));
        rest = tail;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

fn render_node(node: &Node, scope: &dyn Scope) -> Result<Value, RenderError> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Whole(reference) => match reference.resolve(scope) {
            Some(value) => Ok(value),
            None if reference.optional => Ok(Value::Null),
            None => Err(RenderError::Missing(reference.to_string())),
        },
        Node::Text(parts) => {
            let mut text = String::new();
            for part in parts {
                match part {
                    Part::Text(literal) => text.push_str(literal),
                    Part::Hole(reference) => text.push_str(&text_of(reference, scope)?),
                }
            }
            Ok(Value::String(text))
        }
        Node::Array(items) => items.iter().map(|item| render_node(item, scope)).collect(),
        Node::Object(members) => {
            let members: Result<serde_json::Map<_, _>, _> = members
                .iter()
                .map(|(name, node)| Ok((name.clone(), render_node(node, scope)?)))
                .collect();
            members.map(Value::Object)
        }
    }
}

fn text_of(reference: &Reference, scope: &dyn Scope) -> Result<String, RenderError> {
    match reference.resolve(scope) {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(truth)) => Ok(truth.to_string()),
        None | Some(Value::Null) if reference.optional => Ok(String::new()),
        None => Err(RenderError::Missing(reference.to_string())),
        Some(_) => Err(RenderError::NotText(reference.to_string())),
    }
}

fn descend<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, segment| match value {
        Value::Object(members) => members.get(segment),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

fn collect<'a>(node: &'a Node, found: &mut Vec<&'a Reference>) {
    match node {
        Node::Literal(_) => {}
        Node::Whole(reference) => found.push(reference),
        Node::Text(parts) => found.extend(holes(parts)),
        Node::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Node::Object(members) => members.iter().for_each(|(_, node)| collect(node, found)),
    }
}

fn holes(parts: &[Part]) -> impl Iterator<Item = &Reference> {
    parts.iter().filter_map(|part| match part {
        Part::Hole(reference) => Some(reference),
        Part::Text(_) => None,
    })
}

/// Keeps RFC 3986's unreserved characters and encodes every other byte.
fn percent_encode(text: &str, into: &mut String) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(DIGITS[usize::from(byte >> 4)]);
            into.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Fixture {
        input: Value,
        reserve: Value,
        failure: Failure,
    }

    impl Scope for Fixture {
        fn input(&self) -> &Value {
            &self.input
        }
        fn answer(&self, step: &str) -> Option<&Value> {
            (step == "reserve").then_some(&self.reserve)
        }
        fn saga(&self) -> Uuid {
            Uuid::nil()
        }
        fn failure(&self) -> Option<&Failure> {
            Some(&self.failure)
        }
    }

    fn fixture() -> Fixture {
        Fixture {
            input: json!({"orderId": "o-1", "items": [{"quantity": 2}], "evil": "../a?b=c"}),
            reserve: json!({"reservation": {"id": 7}}),
            failure: Failure {
                step: Some("charge".to_owned()),
                code: "declined".to_owned(),
                detail: "no funds".to_owned(),
            },
        }
    }

    fn rendered(template: &Value) -> Result<Value, String> {
        let template = Template::parse(template).map_err(|error| error.to_string())?;
        template
            .render(&fixture())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_lone_reference_keeps_its_type_and_others_are_interpolated() {
        let cases = [
            (json!("${input.items}"), json!([{"quantity": 2}])),
            (json!("${input.items.0.quantity}"), json!(2)),
            (
                json!({"a": ["${steps.reserve.reservation.id}", true]}),
                json!({"a": [7, true]}),
            ),
            (
                json!("order ${input.orderId}: ${failure.code}"),
                json!("order o-1: declined"),
            ),
            (json!("costs $${5}, 5$"), json!("costs ${5}, 5$")),
            (json!("${input.gift?}"), json!(null)),
            (json!("[${input.gift?}]"), json!("[]")),
            (
                json!("${saga.id}"),
                json!("00000000-0000-0000-0000-000000000000"),
            ),
            (json!(""), json!("")),
        ];
        for (template, expected) in cases {
            assert_eq!(rendered(&template), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        for (template, part) in [
            ("${input.gift}", "no value"),
            ("a ${input.items}", "not a text"),
            ("${input.", "without its"),
            ("${inputs.x}", "is not a path"),
            ("${steps}", "is not a path"),
            ("${input..x}", "is not a path"),
            ("${failure}", "is not a path"),
        ] {
            let error = rendered(&json!(template)).expect_err(template);
            assert!(error.contains(part), "{template}: {error}");
        }
    }

    #[test]
    fn a_value_cannot_leave_its_path_segment() {
        let render = |path: &str| {
            PathTemplate::parse(path)
                .expect("valid")
                .render(&fixture())
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            render("/orders/${input.evil}/x"),
            Ok("/orders/..%2Fa%3Fb%3Dc/x".to_owned())
        );
        assert!(render("/orders/${input.gift?}").is_err());
        assert_eq!(
            render("/o/${input.orderId}?n=1"),
            Ok("/o/o-1?n=1".to_owned())
        );
    }

    #[test]
    fn references_are_listed_as_written() {
        let template = json!({"a": "${input.x?}", "b": ["x ${steps.reserve.id}"]});
        let template = Template::parse(&template).expect("valid");
        let names: Vec<String> = template
            .references()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["input.x?", "steps.reserve.id"]);
    }
}
