//! `google.api.http`: which HTTP requests call a method.
//!
//! The annotation is an extension of a method's options. It is read from the options' bytes by the
//! numbers that google/api/http.proto fixes, so that it is found whether or not the descriptors
//! bring that file along. What it means is checked against the method's messages once, so that a
//! request can only fail by what the client sent.

mod template;

pub use template::{Template, TemplateError, Variable};

use http::Method;
use prost::Message;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::fields;

/// A rule that makes no sense, or none that can be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the HTTP rule of `{method}` {why}")]
pub struct RuleError {
    /// The full name of the method.
    pub method: String,
    why: String,
}

/// One way to call a method over HTTP.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The HTTP method; `None` for any (a custom pattern of kind `*`).
    pub verb: Option<Method>,
    /// The path.
    pub template: Template,
    /// The fields of the template's variables, in their order.
    pub variables: Vec<Vec<FieldDescriptor>>,
    /// What the body of the request is.
    pub body: BodyField,
    /// The field of the answer that is answered, instead of all of it.
    pub response_body: Option<FieldDescriptor>,
    /// True if the method was bound to GET: by the annotation's own words it only reads.
    pub reads: bool,
}

/// What the body of a request is.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyField {
    /// There is none; fields that the path does not give come from the query.
    None,
    /// All fields that the path does not give; nothing comes from the query.
    Whole,
    /// This field; the others come from the query.
    Field(FieldDescriptor),
}

/// The rules of a method: those that its annotation gives, the first one with its additional
/// bindings. Without an annotation none, or `POST /package.Service/Method` with the whole message as
/// the body if `unannotated` says so.
///
/// # Errors
/// A template that breaks the grammar, a variable or body that names no suitable field.
pub fn rules(method: &MethodDescriptor, unannotated: bool) -> Result<Vec<Rule>, RuleError> {
    let error = |why: String| RuleError {
        method: method.full_name().to_owned(),
        why,
    };
    let options = Options::decode(method.options().encode_to_vec().as_slice());
    let options = options.map_err(|e| error(format!("cannot be read: {e}")))?;
    let Some(first) = options.http else {
        let rule = unannotated.then(|| by_name(method));
        return rule.into_iter().map(|rule| rule.map_err(error)).collect();
    };
    if first.additional_bindings.len() >= MOST_BINDINGS {
        let most = MOST_BINDINGS;
        return Err(error(format!("has more than {most} bindings")));
    }
    let mut rules = Vec::new();
    for wire in std::iter::once(&first).chain(&first.additional_bindings) {
        if !std::ptr::eq(wire, &first) && !wire.additional_bindings.is_empty() {
            return Err(error(
                "has additional bindings inside one of them".to_owned(),
            ));
        }
        rules.push(wire.read(method).map_err(error)?);
    }
    Ok(rules)
}

/// The rule of a method that nobody annotated: the path that gRPC itself uses.
fn by_name(method: &MethodDescriptor) -> Result<Rule, String> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    Ok(Rule {
        verb: Some(Method::POST),
        template: Template::parse(&path).map_err(|error| error.to_string())?,
        variables: Vec::new(),
        body: BodyField::Whole,
        response_body: None,
        reads: false,
    })
}

impl WireRule {
    fn read(&self, method: &MethodDescriptor) -> Result<Rule, String> {
        let (verb, path) = match self.pattern.as_ref().ok_or("has no pattern")? {
            Pattern::Get(path) => (Some(Method::GET), path),
            Pattern::Put(path) => (Some(Method::PUT), path),
            Pattern::Post(path) => (Some(Method::POST), path),
            Pattern::Delete(path) => (Some(Method::DELETE), path),
            Pattern::Patch(path) => (Some(Method::PATCH), path),
            Pattern::Custom(custom) => (custom.verb()?, &custom.path),
        };
        let template = Template::parse(path).map_err(|error| format!("is wrong: {error}"))?;
        let input = method.input();
        let variables = template.variables().iter();
        let variables: Result<Vec<_>, String> =
            variables.map(|v| variable(&input, &v.field)).collect();
        Ok(Rule {
            reads: verb == Some(Method::GET),
            verb,
            template,
            variables: variables?,
            body: body(&input, &self.body)?,
            response_body: match &*self.response_body {
                "" => None,
                name => Some(field(&method.output(), name, "response_body")?),
            },
        })
    }
}

impl CustomPattern {
    fn verb(&self) -> Result<Option<Method>, String> {
        if self.kind == "*" {
            return Ok(None);
        }
        let verb = Method::from_bytes(self.kind.as_bytes());
        let verb = verb.map_err(|_| format!("has the kind `{}`, which is no method", self.kind));
        verb.map(Some)
    }
}

fn variable(input: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, String> {
    let found = fields::resolve(input, path)
        .map_err(|why| format!("has the variable `{path}`, but {why}"))?;
    let is_one_value = found
        .last()
        .is_some_and(|leaf| !leaf.is_list() && fields::is_text_like(leaf));
    if is_one_value {
        Ok(found)
    } else {
        Err(format!(
            "has the variable `{path}`, which is not one value that a path can spell"
        ))
    }
}

fn body(input: &MessageDescriptor, text: &str) -> Result<BodyField, String> {
    match text {
        "" => Ok(BodyField::None),
        "*" => Ok(BodyField::Whole),
        name => field(input, name, "body").map(BodyField::Field),
    }
}

/// A field of the message itself: bodies are not taken from deeper down.
fn field(message: &MessageDescriptor, name: &str, of: &str) -> Result<FieldDescriptor, String> {
    let found = message.get_field_by_name(name);
    found.ok_or_else(|| {
        let message = message.full_name();
        format!("has the {of} `{name}`, which is no field of `{message}`")
    })
}

/// True for a message that stands for a body of any media type.
pub fn is_http_body(kind: &MessageDescriptor) -> bool {
    kind.full_name() == "google.api.HttpBody"
        && matches!(kind.get_field(1).map(|f| f.kind()), Some(Kind::String))
        && matches!(kind.get_field(2).map(|f| f.kind()), Some(Kind::Bytes))
}

/// Bindings of one method.
const MOST_BINDINGS: usize = 64;

/// `google.protobuf.MethodOptions`, as far as it is read here.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(message, optional, tag = "72295728")]
    http: Option<WireRule>,
}

/// `google.api.HttpRule`.
#[derive(Clone, PartialEq, Message)]
struct WireRule {
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pattern: Option<Pattern>,
    #[prost(string, tag = "7")]
    body: String,
    #[prost(string, tag = "12")]
    response_body: String,
    #[prost(message, repeated, tag = "11")]
    additional_bindings: Vec<WireRule>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Pattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(CustomPattern),
}

/// `google.api.CustomHttpPattern`.
#[derive(Clone, PartialEq, Message)]
struct CustomPattern {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    path: String,
}
