//! A route's path: literal segments, parameters, and whether what lies below belongs to it.

use std::fmt;

use crate::phases::normalise::{self, Normalised};

/// A parsed path of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// As it was written; the label of metrics and the name in traces.
    pub(crate) text: Box<str>,
    pub(crate) segments: Vec<Segment>,
    /// True if everything below belongs to it too.
    pub(crate) is_prefix: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    Parameter(Box<str>),
}

impl Pattern {
    /// Reads `/api/v1/users`, `/api/v1/users/{id}`, `/files/{id}/{*rest}`, `/favicon.svg/{$}`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (path, is_exact) = match text.strip_suffix(END) {
            Some("") => ("/", true),
            Some(path) => (path, true),
            None => (text, false),
        };
        let inner = path
            .strip_prefix('/')
            .ok_or("must begin with `/`".to_owned())?;
        let mut segments = Vec::new();
        let mut has_rest = false;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        for part in inner.split('/').filter(|_| !inner.is_empty()) {
            if has_rest {
                return Err("has something behind `{*…}`, which must be last".to_owned());
            }
            match segment(part)? {
                Some(segment) => segments.push(segment),
                None => has_rest = true,
            }
        }
        let names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        if let Some(twice) = names
            .iter()
            .enumerate()
            .find(|(at, n)| names[..*at].contains(n))
        {
            return Err(format!("has two parameters called `{}`", twice.1));
        }
        if has_rest && is_exact {
            return Err("has something behind `{*…}`, which must be last".to_owned());
        }
        Ok(Self {
            text: text.into(),
            is_prefix: has_rest || names.is_empty() && !is_exact,
            segments,
        })
    }

    /// The value of a parameter in a path that this pattern matched, still percent-encoded.
    pub(crate) fn capture<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let at = self.segments.iter().position(|s| s.name() == Some(name))?;
        path.split('/').nth(at + 1)
    }

    /// The names of its parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// Where its own part of a path that it matched ends: what follows is empty or begins with `/`.
    pub(crate) fn length_in(&self, path: &str) -> usize {
        if self.segments.is_empty() {
            return 0;
        }
        let mut slashes = path.bytes().enumerate().filter(|(_, b)| *b == b'/');
        slashes
            .nth(self.segments.len())
            .map_or(path.len(), |(at, _)| at)
    }

    /// The same shape: two patterns of one shape match the same paths.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Literal(text) => shape.push_str(text),
                Segment::Parameter(_) => shape.push_str("{}"),
            }
        }
        shape.push_str(if self.is_prefix { "/*" } else { "" });
        shape
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Parameter(name) => Some(name),
            Self::Literal(_) => None,
        }
    }
}

/// One segment; `None` for `{*rest}`.
fn segment(part: &str) -> Result<Option<Segment>, String> {
    if part.is_empty() {
        return Err("has an empty segment (`//`)".to_owned());
    }
    let inner = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
    match inner {
        Some(name) if is_name(name.trim_start_matches('*')) => {
            let rest = name.starts_with('*');
            Ok((!rest).then(|| Segment::Parameter(name.into())))
        }
        None if !part.contains(['{', '}', '*']) => literal(part).map(Some),
        _ => Err(format!(
            "has the segment `{part}`; a parameter is a whole segment: `{{id}}`"
        )),
    }
}

/// A literal is compared with normalised paths, so it is normalised as they are.
fn literal(part: &str) -> Result<Segment, String> {
    let encoded = percent_encoding::utf8_percent_encode(part, NOT_ASCII).to_string();
    let path = format!("/{encoded}");
    match normalise::path(&path) {
        Ok(Normalised::Clean) => Ok(Segment::Literal(encoded.into())),
        Ok(Normalised::Changed(path)) => Ok(Segment::Literal(path[1..].into())),
        Err(why) => Err(format!(
            "has the segment `{part}`, which no request can have: {why}"
        )),
    }
}

/// The mark at the end of a path that is only itself, as Go's `http.ServeMux` has it.
const END: &str = "/{$}";

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Everything beyond ASCII is encoded anyway; of ASCII, only what no path can hold.
const NOT_ASCII: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'?')
    .add(b'#');

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Pattern {
        Pattern::parse(text).expect("a valid path")
    }

    #[test]
    fn a_path_without_parameters_is_a_prefix() {
        assert!(parse("/api/v1/users").is_prefix);
        assert!(!parse("/api/v1/users/{id}").is_prefix);
        assert!(parse("/files/{id}/{*rest}").is_prefix);
        assert!(parse("/").is_prefix);
        assert_eq!(parse("/a/").shape(), parse("/a").shape());
        assert_eq!(parse("/a/{x}").shape(), parse("/a/{y}").shape());
    }

    #[test]
    fn a_path_that_ends_in_the_mark_is_only_itself() {
        for (text, shape) in [
            ("/{$}", ""),
            ("/app.js/{$}", "/app.js"),
            ("/a/{x}/{$}", "/a/{}"),
        ] {
            let pattern = parse(text);
            assert!(!pattern.is_prefix, "{text}");
            assert_eq!(pattern.shape(), shape, "{text}");
        }
        assert_ne!(parse("/{$}").shape(), parse("/").shape());
    }

    #[test]
    fn captures_by_name() {
        let pattern = parse("/users/{id}/orders/{order}");
        assert_eq!(pattern.capture("/users/7/orders/9", "order"), Some("9"));
        assert_eq!(pattern.capture("/users/7/orders/9", "other"), None);
    }

    #[test]
    fn knows_its_own_part_of_a_path() {
        assert_eq!(parse("/api/v1").length_in("/api/v1/users"), 7);
        assert_eq!(parse("/api/v1").length_in("/api/v1"), 7);
        assert_eq!(parse("/").length_in("/users"), 0);
    }

    #[test]
    fn literals_are_normalised_like_requests() {
        assert_eq!(parse("/%75sers").shape(), "/users/*");
        assert_eq!(parse("/신발").shape(), "/%EC%8B%A0%EB%B0%9C/*");
    }

    #[test]
    fn what_no_request_can_match_is_refused() {
        for text in [
            "users",
            "/a//b",
            "/a/{id",
            "/a/x{id}",
            "/{*a}/b",
            "/{a}/{a}",
            "/a;b",
            "/../a",
            "/{}",
            "/{*a}/{$}",
            "/{$}/a",
            "{$}",
            "/a{$}",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
