//! Path templates: the grammar that the comments of google/api/http.proto give.
//!
//! ```text
//! Template  = "/" Segments [ ":" LITERAL ]
//! Segments  = Segment { "/" Segment }
//! Segment   = "*" | "**" | LITERAL | Variable
//! Variable  = "{" FieldPath [ "=" Segments ] "}"
//! FieldPath = IDENT { "." IDENT }
//! ```
//!
//! `*` is one segment, which is never empty; `**` is any number of them and must come last. A
//! variable of one segment is percent-decoded whole; in one of several `%2F` stays as it is, because
//! there a slash separates.

use std::cmp::Ordering;
use std::fmt;

use percent_encoding::percent_decode_str;

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// Percent-decoded.
    Literal(Box<str>),
    One,
    Rest,
}

/// A field that a part of the path is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The path of the field, as it is written: `user.id`.
    pub field: Box<str>,
    first: usize,
    last: usize,
    is_plain: bool,
}

/// Why a template cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the template `{template}` {why}")]
pub struct TemplateError {
    template: Box<str>,
    why: Box<str>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what of the grammar it breaks.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Parser::default()
            .template(text)
            .map_err(|why| TemplateError {
                template: text.into(),
                why: why.into(),
            })
    }

    /// The fields that the path gives.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The values of the variables, in their order, if the template matches the segments of a path:
    /// what stands between its slashes, still percent-encoded. `None` inside for a value that is
    /// not UTF-8.
    pub fn matches(&self, path: &[&str]) -> Option<Vec<Option<String>>> {
        let (last, before) = path.split_last()?;
        let last = match &self.verb {
            Some(verb) => last.strip_suffix(&**verb)?.strip_suffix(':')?,
            None => last,
        };
        let at = |index: usize| match before.get(index) {
            Some(segment) => Some(*segment),
            None => (index == before.len()).then_some(last),
        };
        let has_rest = self.segments.last() == Some(&Segment::Rest);
        let fixed = self.segments.len() - usize::from(has_rest);
        let is_as_long = path.len() == fixed || has_rest && path.len() > fixed;
        let fits = |(index, segment): (usize, &Segment)| match segment {
            Segment::Literal(text) => at(index).is_some_and(|part| is_same(part, text)),
            Segment::One => at(index).is_some_and(|part| !part.is_empty()),
            Segment::Rest => true,
        };
        if !is_as_long || !self.segments.iter().enumerate().all(fits) {
            return None;
        }
        let value = |variable: &Variable| {
            let ends_open = has_rest && variable.last == self.segments.len();
            let last = if ends_open { path.len() } else { variable.last };
            let parts: Vec<&str> = (variable.first..last).filter_map(at).collect();
            decode(&parts.join("/"), variable.is_plain)
        };
        Some(self.variables.iter().map(value).collect())
    }

    /// Which of two templates is asked first: the one that says more, from the left; `Equal` for
    /// two that match the same paths.
    pub fn compare(&self, other: &Self) -> Ordering {
        let verbs = (other.verb.is_some()).cmp(&self.verb.is_some());
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 0,
            Segment::One => 1,
            Segment::Rest => 2,
        };
        let ranks = |template: &Self| template.segments.iter().map(rank).collect::<Vec<_>>();
        // A template that goes on says more than one that has ended.
        let ranks = ranks(self).cmp(&ranks(other));
        verbs
            .then(ranks)
            .then_with(|| self.verb.cmp(&other.verb))
            .then_with(|| self.segments.cmp(&other.segments))
    }
}

/// A segment as it came is the literal, however it is escaped.
fn is_same(part: &str, literal: &str) -> bool {
    if !part.contains('%') {
        return part == literal;
    }
    percent_decode_str(part).eq(literal.bytes())
}

/// A variable's value. `is_plain`: of one segment.
fn decode(raw: &str, is_plain: bool) -> Option<String> {
    if !raw.contains('%') {
        return Some(raw.to_owned());
    }
    if is_plain {
        let decoded = percent_decode_str(raw).decode_utf8().ok()?;
        return Some(decoded.into_owned());
    }
    // What an encoded slash would mean after decoding is not what the client wrote.
    let escaped = raw.replace("%2F", "%252F").replace("%2f", "%252f");
    let decoded = percent_decode_str(&escaped).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            f.write_str("/")?;
            let opens = self.variables.iter().find(|v| v.first == index);
            if let Some(variable) = opens {
                write!(f, "{{{}=", variable.field)?;
            }
            match segment {
                Segment::Literal(text) => f.write_str(text)?,
                Segment::One => f.write_str("*")?,
                Segment::Rest => f.write_str("**")?,
            }
            if self.variables.iter().any(|v| v.last == index + 1) {
                f.write_str("}")?;
            }
        }
        match &self.verb {
            Some(verb) => write!(f, ":{verb}"),
            None => Ok(()),
        }
    }
}

#[derive(Default)]
struct Parser {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
}

impl Parser {
    fn template(mut self, text: &str) -> Result<Template, String> {
        let inner = text.strip_prefix('/').ok_or("does not begin with `/`")?;
        // A colon inside braces is no verb's.
        let behind = inner.rfind(['/', '}']).map_or(0, |at| at + 1);
        let colon = inner[behind..].rfind(':').map(|at| behind + at);
        let (inner, verb) = match colon {
            Some(at) => (&inner[..at], Some(literal(&inner[at + 1..])?)),
            None => (inner, None),
        };
        let mut rest = inner;
        loop {
            rest = self.segment_or_variable(rest)?;
            match rest.strip_prefix('/') {
                Some(next) => rest = next,
                None if rest.is_empty() => break,
                None => return Err(format!("has `{rest}` where a `/` is due")),
            }
        }
        let rests = self.segments.iter().filter(|s| **s == Segment::Rest);
        let is_last = self.segments.last() == Some(&Segment::Rest);
        if rests.count() > usize::from(is_last) {
            return Err("has something behind `**`, which must be last".to_owned());
        }
        Ok(Template {
            segments: self.segments,
            variables: self.variables,
            verb,
        })
    }

    /// Takes one from the front; what is left.
    fn segment_or_variable<'t>(&mut self, text: &'t str) -> Result<&'t str, String> {
        let Some(inner) = text.strip_prefix('{') else {
            let (segment, rest) = text.split_at(text.find('/').unwrap_or(text.len()));
            self.segments.push(self::segment(segment)?);
            return Ok(rest);
        };
        let (variable, rest) = inner.split_once('}').ok_or("has a `{` without its `}`")?;
        let (field, segments) = variable.split_once('=').unwrap_or((variable, "*"));
        if !field.split('.').all(is_ident) {
            return Err(format!(
                "has the variable `{field}`, which is no path of fields"
            ));
        }
        if self.variables.iter().any(|v| *v.field == *field) {
            return Err(format!("has the variable `{field}` twice"));
        }
        let first = self.segments.len();
        for segment in segments.split('/') {
            self.segments.push(self::segment(segment)?);
        }
        let inside = &self.segments[first..];
        self.variables.push(Variable {
            field: field.into(),
            first,
            last: self.segments.len(),
            is_plain: inside.len() == 1 && inside[0] != Segment::Rest,
        });
        Ok(rest)
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    match text {
        "*" => Ok(Segment::One),
        "**" => Ok(Segment::Rest),
        _ => literal(text).map(Segment::Literal),
    }
}

fn literal(text: &str) -> Result<Box<str>, String> {
    if text.is_empty() {
        return Err("has an empty segment".to_owned());
    }
    if let Some(strange) = text
        .chars()
        .find(|c| "{}*=?# ".contains(*c) || c.is_control())
    {
        return Err(format!("has `{strange}` inside a literal"));
    }
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "has a literal that is not UTF-8".to_owned())?;
    Ok(decoded.into())
}

fn is_ident(text: &str) -> bool {
    let starts = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let mut bytes = text.bytes();
    bytes.next().is_some_and(starts) && bytes.all(|b| starts(b) || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).expect("a template")
    }

    /// `field=value` of each variable, joined; `-` where the template does not match.
    fn check(text: &str, path: &str) -> String {
        let template = template(text);
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let Some(values) = template.matches(&segments) else {
            return "-".to_owned();
        };
        let pairs = template.variables().iter().zip(values);
        let pairs = pairs.map(|(v, value)| format!("{}={}", v.field, value.unwrap_or("!".into())));
        pairs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn templates_match_as_the_grammar_says() {
        for (text, path, expected) in [
            ("/v1/users", "/v1/users", ""),
            ("/v1/users", "/v1/users/7", "-"),
            ("/v1/users", "/v1/user", "-"),
            ("/v1/{id}", "/v1/7", "id=7"),
            ("/v1/{id}", "/v1/", "-"),
            ("/v1/{id}", "/v1/7/8", "-"),
            ("/v1/{user.id}/x", "/v1/7/x", "user.id=7"),
            ("/v1/*/x", "/v1/7/x", ""),
            ("/v1/{name=shelves/*}", "/v1/shelves/7", "name=shelves/7"),
            ("/v1/{name=shelves/*}", "/v1/shelf/7", "-"),
            (
                "/v1/{name=shelves/*/books/*}",
                "/v1/shelves/1/books/2",
                "name=shelves/1/books/2",
            ),
            (
                "/v1/{parent=shelves/*}/books/{book}",
                "/v1/shelves/1/books/2",
                "parent=shelves/1 book=2",
            ),
            ("/v1/{name=**}", "/v1/a/b/c", "name=a/b/c"),
            ("/v1/{name=**}", "/v1", "name="),
            ("/v1/{name=files/**}", "/v1/files/a/b", "name=files/a/b"),
            ("/v1/**", "/v1/a/b", ""),
            ("/**", "/anything", ""),
        ] {
            assert_eq!(check(text, path), expected, "{text} {path}");
        }
    }

    #[test]
    fn verbs_stand_behind_the_last_segment() {
        for (text, path, expected) in [
            ("/v1/{id}:cancel", "/v1/7:cancel", "id=7"),
            ("/v1/{id}:cancel", "/v1/7", "-"),
            ("/v1/{id}:cancel", "/v1/7:start", "-"),
            ("/v1/{id}:cancel", "/v1/:cancel", "-"),
            ("/v1/{id}", "/v1/7:cancel", "id=7:cancel"),
            ("/v1/users:search", "/v1/users:search", ""),
            ("/v1/{name=**}:read", "/v1/a/b:read", "name=a/b"),
        ] {
            assert_eq!(check(text, path), expected, "{text} {path}");
        }
    }

    #[test]
    fn values_are_decoded_and_a_slash_in_a_path_of_several_segments_is_not() {
        for (text, path, expected) in [
            ("/v1/{id}", "/v1/a%20b", "id=a b"),
            ("/v1/{id}", "/v1/a%2Fb", "id=a/b"),
            ("/v1/{id}", "/v1/%EC%8B%A0%EB%B0%9C", "id=신발"),
            ("/v1/{id}", "/v1/%FF", "id=!"),
            ("/v1/{name=**}", "/v1/a%2Fb/c%2fd%20e", "name=a%2Fb/c%2fd e"),
            ("/v1/{name=a/*}", "/v1/a/x%2Fy%25", "name=a/x%2Fy%"),
            ("/v1/신발", "/v1/%EC%8B%A0%EB%B0%9C", ""),
        ] {
            assert_eq!(check(text, path), expected, "{text} {path}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_with_its_reason() {
        for (text, why) in [
            ("v1", "begin"),
            ("/", "empty segment"),
            ("/v1//x", "empty segment"),
            ("/v1/", "empty segment"),
            ("/v1/{id", "without its"),
            ("/v1/{id}x", "is due"),
            ("/v1/x{id}", "inside a literal"),
            ("/v1/{}", "no path of fields"),
            ("/v1/{1a}", "no path of fields"),
            ("/v1/{a.}", "no path of fields"),
            ("/v1/{a}/{a}", "twice"),
            ("/v1/**/x", "must be last"),
            ("/v1/{a=**}/{b=**}", "must be last"),
            ("/v1/{a={b}}", "inside a literal"),
            ("/v1/x?y", "inside a literal"),
            ("/v1/x:", "empty segment"),
        ] {
            let error = Template::parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_template_that_says_more_comes_first() {
        let mut templates = [
            "/v1/**",
            "/v1/{id}",
            "/v1/users",
            "/v1/{id}:cancel",
            "/v1/users/{id}",
            "/v1/{kind}/me",
            "/v1/users/me",
        ]
        .map(template);
        templates.sort_by(Template::compare);
        let sorted: Vec<String> = templates.iter().map(ToString::to_string).collect();
        assert_eq!(
            sorted,
            [
                "/v1/{id=*}:cancel",
                "/v1/users",
                "/v1/users/me",
                "/v1/users/{id=*}",
                "/v1/{id=*}",
                "/v1/{kind=*}/me",
                "/v1/**",
            ]
        );
    }

    #[test]
    fn templates_that_differ_only_in_names_are_equal() {
        let one = template("/v1/{id}/x");
        assert_eq!(one.compare(&template("/v1/{name}/x")), Ordering::Equal);
        assert_ne!(one.compare(&template("/v1/{id}/y")), Ordering::Equal);
    }
}
