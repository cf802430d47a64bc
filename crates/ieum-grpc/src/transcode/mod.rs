//! Transcoding: HTTP requests with JSON to messages of gRPC, and their answers back.
//!
//! A [`Transcoder`] is made once from descriptors. It finds the method that a request calls, makes
//! the message out of path, query and body, and makes JSON out of what is answered. It knows nothing
//! of connections. What comes in is bounded; what is not understood is refused with its field.

mod error;
mod json;
mod query;
mod stream;
mod weight;

pub use error::{Place, TranscodeError, TranscodeErrorKind};
pub use stream::StreamForm;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;
use http::Method;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, MethodDescriptor, Value};

use crate::descriptors::{DescriptorError, Descriptors};
use crate::fields;
use crate::http_rule::{self, BodyField, Rule};

/// How requests and answers are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Methods without an annotation answer `POST /package.Service/Method`.
    pub unannotated: bool,
    /// Fields that have their default value are written too: `0`, `""`, `false`, `[]`. Fields that
    /// may be absent, messages among them, are not.
    pub prints_defaults: bool,
    /// Unknown fields in bodies are dropped instead of refused.
    pub ignores_unknown_fields: bool,
    /// Unknown parameters in queries are dropped instead of refused.
    pub ignores_unknown_parameters: bool,
    /// Parameters in a query.
    pub most_parameters: usize,
    /// Levels of objects and arrays in a body.
    pub deepest: usize,
    /// Values in a body. What becomes a message counts as 16: it takes so much more memory.
    pub most_values: usize,
}

impl Default for Settings {
    /// 100 parameters, 64 levels, 100,000 values. Defaults are printed, as grpc-gateway does and Envoy
    /// does not: who reads JSON without the proto at hand cannot know what an absent field means.
    fn default() -> Self {
        Self {
            unannotated: false,
            prints_defaults: true,
            ignores_unknown_fields: false,
            ignores_unknown_parameters: false,
            most_parameters: 100,
            deepest: 64,
            most_values: 100_000,
        }
    }
}

/// Translates the requests to some services.
pub struct Transcoder {
    bindings: Box<[Binding]>,
    descriptors: Descriptors,
    settings: Settings,
}

/// One way to call one method.
#[derive(Debug)]
pub struct Binding {
    method: MethodDescriptor,
    rpc: Box<str>,
    rule: Rule,
    has_heavy_values: bool,
}

/// What a request calls.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    Call(Match),
    /// Nothing by its method, but something by these.
    OtherMethods(Vec<Method>),
    /// Nothing.
    Nothing,
}

/// A binding and the values of its variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Match {
    binding: usize,
    values: Vec<Option<String>>,
}

/// An answer as HTTP has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its media type.
    pub media_type: Cow<'static, str>,
    /// Its body.
    pub body: Bytes,
}

impl Transcoder {
    /// For these services, by their full names.
    ///
    /// # Errors
    /// An unknown service, a rule that makes no sense, two methods for the same requests, or no
    /// method at all.
    pub fn new(
        descriptors: Descriptors,
        services: &[String],
        settings: Settings,
    ) -> Result<Self, DescriptorError> {
        let mut bindings = Vec::new();
        for name in services {
            for method in descriptors.service(name)?.methods() {
                let rules = http_rule::rules(&method, settings.unannotated);
                let rules = rules.map_err(|error| DescriptorError::new(error.to_string()))?;
                bindings.extend(rules.into_iter().map(|rule| Binding::new(&method, rule)));
            }
        }
        if bindings.is_empty() {
            return Err(DescriptorError::new(
                "no method of the services has an annotation google.api.http",
            ));
        }
        bindings.sort_by(|one, other| one.compare(other));
        for pair in bindings.windows(2) {
            if let [one, other] = pair
                && one.compare(other) == Ordering::Equal
            {
                let (a, b) = (one.method.full_name(), other.method.full_name());
                let why = format!("`{a}` and `{b}` answer the same requests: {one}");
                return Err(DescriptorError::new(why));
            }
        }
        Ok(Self {
            bindings: bindings.into(),
            descriptors,
            settings,
        })
    }

    /// What a request calls, by its method and path (without its query).
    pub fn find(&self, method: &Method, path: &str) -> Found {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let mut others = Vec::new();
        for (binding, candidate) in self.bindings.iter().enumerate() {
            let Some(values) = candidate.rule.template.matches(&segments) else {
                continue;
            };
            match &candidate.rule.verb {
                Some(verb) if verb != method => others.push(verb.clone()),
                _ => return Found::Call(Match { binding, values }),
            }
        }
        if others.is_empty() {
            Found::Nothing
        } else {
            Found::OtherMethods(others)
        }
    }

    /// The binding that was found.
    pub fn binding(&self, found: &Match) -> &Binding {
        &self.bindings[found.binding]
    }

    /// All bindings, in the order in which they are asked.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// What the services' messages look like.
    pub const fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// The message that a request means. The path wins over the body.
    ///
    /// # Errors
    /// Names the field, the parameter or the place that is wrong.
    pub fn request(
        &self,
        found: &Match,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<u8>, TranscodeError> {
        let binding = self.binding(found);
        let rule = &binding.rule;
        let input = binding.method.input();
        let bounds = json::Bounds {
            deepest: self.settings.deepest,
            most_values: self.settings.most_values,
            has_heavy_values: binding.has_heavy_values,
            ignores_unknown: self.settings.ignores_unknown_fields,
        };
        let mut message = match &rule.body {
            BodyField::Whole => json::read(input, body, bounds)?,
            BodyField::Field(field) => json::read_field(input, field, body, bounds)?,
            BodyField::None if body.is_empty() => DynamicMessage::new(input),
            BodyField::None => {
                let detail = "this method takes no body";
                return Err(TranscodeError::new(TranscodeErrorKind::Body, detail));
            }
        };
        for (path, value) in rule.variables.iter().zip(&found.values) {
            bind(&mut message, path, value.as_deref())?;
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            self.parameters(rule, &mut message, query)?;
        }
        Ok(message.encode_to_vec())
    }

    fn parameters(
        &self,
        rule: &Rule,
        message: &mut DynamicMessage,
        query: &str,
    ) -> Result<(), TranscodeError> {
        let bounds = query::Bounds {
            most: self.settings.most_parameters,
            ignores_unknown: self.settings.ignores_unknown_parameters,
        };
        let body;
        let mut taken: Vec<&[FieldDescriptor]> = rule.variables.iter().map(Vec::as_slice).collect();
        match &rule.body {
            BodyField::None => {}
            // Everything begins with the empty path.
            BodyField::Whole => taken.push(&[]),
            BodyField::Field(field) => {
                body = [field.clone()];
                taken.push(&body);
            }
        }
        query::read(message, query, &taken, bounds)
    }

    /// The answer that a message is.
    ///
    /// # Errors
    /// The message is not what the descriptors say.
    pub fn answer(&self, found: &Match, message: &[u8]) -> Result<Answer, TranscodeError> {
        let binding = self.binding(found);
        let output = binding.method.output();
        let is_raw = http_rule::is_http_body(&output) && !binding.is_server_streaming();
        let message = DynamicMessage::decode(output, message);
        let message = message.map_err(|error| {
            let name = binding.method.output();
            let detail = format!("the answer is no `{}`: {error}", name.full_name());
            TranscodeError::new(TranscodeErrorKind::Answer, detail)
        })?;
        if is_raw {
            return Ok(raw(&message));
        }
        let prints_defaults = self.settings.prints_defaults;
        let body = match &binding.rule.response_body {
            None => json::write(&message, prints_defaults)?,
            Some(field) => json::write_field(&message, field, prints_defaults)?,
        };
        Ok(Answer {
            media_type: Cow::Borrowed("application/json"),
            body: body.into(),
        })
    }
}

impl Binding {
    fn new(method: &MethodDescriptor, rule: Rule) -> Self {
        let service = method.parent_service();
        Self {
            rpc: format!("/{}/{}", service.full_name(), method.name()).into(),
            has_heavy_values: weight::has_heavy_values(&method.input()),
            method: method.clone(),
            rule,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let verb = |binding: &Self| binding.rule.verb.as_ref().map(|v| v.as_str().to_owned());
        let templates = self.rule.template.compare(&other.rule.template);
        // Any method comes behind those that are named.
        let any = verb(self).is_none().cmp(&verb(other).is_none());
        templates
            .then(any)
            .then_with(|| verb(self).cmp(&verb(other)))
    }

    /// The path of the method in gRPC: `/package.Service/Method`.
    pub fn rpc(&self) -> &str {
        &self.rpc
    }

    /// True if one request is answered by any number of messages.
    pub fn is_server_streaming(&self) -> bool {
        self.method.is_server_streaming()
    }

    /// True if a request is any number of messages, which one HTTP request cannot be.
    pub fn is_client_streaming(&self) -> bool {
        self.method.is_client_streaming()
    }

    /// True if its annotation binds it to GET, so that it may be repeated.
    pub const fn reads(&self) -> bool {
        self.rule.reads
    }
}

/// `GET /v1/users/{id=*}`.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.rule.verb.as_ref().map_or("*", Method::as_str);
        write!(f, "{verb} {}", self.rule.template)
    }
}

impl fmt::Debug for Transcoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bindings = self.bindings.iter().map(ToString::to_string);
        f.debug_list().entries(bindings).finish()
    }
}

fn bind(
    message: &mut DynamicMessage,
    path: &[FieldDescriptor],
    value: Option<&str>,
) -> Result<(), TranscodeError> {
    let names: Vec<&str> = path.iter().map(FieldDescriptor::name).collect();
    let name = names.join(".");
    let set = match value {
        Some(text) => fields::set(message, path, text),
        None => Err("is not UTF-8".to_owned()),
    };
    set.map_err(|why| {
        let detail = format!("`{name}` in the path {why}");
        TranscodeError::new(TranscodeErrorKind::Path, detail).of_field(name)
    })
}

/// `google.api.HttpBody`: a body of its own kind.
fn raw(message: &DynamicMessage) -> Answer {
    let field = |number| message.get_field_by_number(number).map(Cow::into_owned);
    let media_type = match field(1) {
        Some(Value::String(text)) if !text.is_empty() => Cow::Owned(text),
        _ => Cow::Borrowed("application/octet-stream"),
    };
    let body = match field(2) {
        Some(Value::Bytes(bytes)) => bytes,
        _ => Bytes::new(),
    };
    Answer { media_type, body }
}
