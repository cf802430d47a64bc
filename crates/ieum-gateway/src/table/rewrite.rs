//! From the path outside to the path inside.

use std::borrow::Cow;

use super::Pattern;
use super::pattern::Segment;

/// What becomes of a route's path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// Nothing.
    Keep,
    /// As many segments as this pattern has are taken from the front.
    Strip(Pattern),
    /// This replaces what the route's own pattern matched.
    Replace(Pattern),
}

impl Rewrite {
    /// Reads `strip-prefix`.
    pub(crate) fn strip(text: &str, route: &Pattern) -> Result<Self, String> {
        let prefix = Pattern::parse(text)?;
        if prefix.parameters().next().is_some() {
            return Err("must not have parameters".to_owned());
        }
        if !route.segments.starts_with(&prefix.segments) {
            return Err(format!(
                "is not the beginning of the route's path `{route}`"
            ));
        }
        Ok(Self::Strip(prefix))
    }

    /// Reads `rewrite`.
    pub(crate) fn replace(text: &str, route: &Pattern) -> Result<Self, String> {
        let replacement = Pattern::parse(text)?;
        for name in replacement.parameters() {
            if !route.parameters().any(|known| known == name) {
                return Err(format!(
                    "uses `{{{name}}}`, which the route's path does not have"
                ));
            }
        }
        Ok(Self::Replace(replacement))
    }

    /// The path inside for a path that `route` matched.
    pub(crate) fn apply<'p>(&self, path: &'p str, route: &Pattern) -> Cow<'p, str> {
        match self {
            Self::Keep => Cow::Borrowed(path),
            Self::Strip(prefix) => match &path[prefix.length_in(path)..] {
                "" => Cow::Borrowed("/"),
                rest => Cow::Borrowed(rest),
            },
            Self::Replace(replacement) => Cow::Owned(expand(replacement, path, route)),
        }
    }
}

fn expand(replacement: &Pattern, path: &str, route: &Pattern) -> String {
    let mut inside = String::with_capacity(path.len() + replacement.text.len());
    for segment in &replacement.segments {
        inside.push('/');
        inside.push_str(match segment {
            Segment::Literal(text) => text,
            Segment::Parameter(name) => route.capture(path, name).unwrap_or_default(),
        });
    }
    inside.push_str(&path[route.length_in(path)..]);
    if inside.is_empty() {
        inside.push('/');
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("valid")
    }

    fn strip(route: &str, prefix: &str, path: &str) -> String {
        let route = pattern(route);
        let rewrite = Rewrite::strip(prefix, &route).expect("valid");
        rewrite.apply(path, &route).into_owned()
    }

    fn replace(route: &str, text: &str, path: &str) -> String {
        let route = pattern(route);
        let rewrite = Rewrite::replace(text, &route).expect("valid");
        rewrite.apply(path, &route).into_owned()
    }

    #[test]
    fn a_prefix_is_stripped_by_segments() {
        assert_eq!(
            strip("/api/v1/users", "/api/v1", "/api/v1/users/7"),
            "/users/7"
        );
        assert_eq!(strip("/api/v1", "/api/v1", "/api/v1"), "/");
        assert_eq!(strip("/api/{id}", "/api", "/api/7"), "/7");
    }

    #[test]
    fn the_routes_own_path_is_replaced() {
        assert_eq!(replace("/api/users", "/users", "/api/users/7"), "/users/7");
        assert_eq!(replace("/api/users", "/", "/api/users"), "/");
        assert_eq!(
            replace("/u/{id}", "/users/{id}/profile", "/u/7"),
            "/users/7/profile"
        );
        assert_eq!(replace("/f/{id}/{*rest}", "/{id}", "/f/7/a/b"), "/7/a/b");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Rewrite::strip("/other", &pattern("/api/users")).is_err());
        assert!(Rewrite::strip("/api/us", &pattern("/api/users")).is_err());
        assert!(Rewrite::replace("/users/{nr}", &pattern("/u/{id}")).is_err());
    }
}
