//! Which route a path belongs to: a tree of segments.
//!
//! From left to right a literal beats a parameter, a parameter beats a prefix that ended before it;
//! a branch that leads nowhere is left again. The cost is bounded by the routes' depth, whatever
//! the path holds.

use std::collections::HashMap;

use http::Method;

use super::pattern::{Pattern, Segment};

/// Methods that a route answers; empty means all.
pub(crate) type Methods = Box<[Method]>;

#[derive(Debug, Default)]
pub(crate) struct Router {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    /// Routes that end here.
    exact: Vec<Entry>,
    /// Routes that end here and own what lies below.
    prefix: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    route: usize,
    methods: Methods,
}

/// What was found for a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The route.
    Route(usize),
    /// Routes with this path answer these methods only.
    OtherMethods(Vec<Method>),
    /// No route has this path.
    Nothing,
}

impl Router {
    pub(crate) fn insert(&mut self, pattern: &Pattern, methods: Methods, route: usize) {
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        let entries = match pattern.is_prefix {
            true => &mut node.prefix,
            false => &mut node.exact,
        };
        // A route for all methods yields to one that names the method.
        let catch_all = entries.iter().position(|entry| entry.methods.is_empty());
        let at = catch_all
            .filter(|_| !methods.is_empty())
            .unwrap_or(entries.len());
        entries.insert(at, Entry { route, methods });
    }

    /// The most specific route for a normalised path.
    pub(crate) fn find(&self, path: &str, method: &Method) -> Found {
        let mut others = Vec::new();
        let rest = path.strip_prefix('/').unwrap_or(path);
        match self.root.find(rest, method, &mut others) {
            Some(route) => Found::Route(route),
            None if others.is_empty() => Found::Nothing,
            None => Found::OtherMethods(others),
        }
    }
}

impl Node {
    /// `rest` is what follows the slash behind this node's own segment.
    fn find(&self, rest: &str, method: &Method, others: &mut Vec<Method>) -> Option<usize> {
        if rest.is_empty() {
            return choose(&self.exact, method, others)
                .or_else(|| choose(&self.prefix, method, others));
        }
        let (segment, below) = rest.split_once('/').unwrap_or((rest, ""));
        let literal = self.literals.get(segment);
        let literal = literal.and_then(|node| node.find(below, method, others));
        let parameter = || self.parameter.as_ref();
        literal
            .or_else(|| parameter().and_then(|node| node.find(below, method, &mut *others)))
            .or_else(|| choose(&self.prefix, method, others))
    }
}

fn choose(entries: &[Entry], method: &Method, others: &mut Vec<Method>) -> Option<usize> {
    for entry in entries {
        if entry.methods.is_empty() || entry.methods.contains(method) {
            return Some(entry.route);
        }
        for other in &entry.methods {
            if !others.contains(other) {
                others.push(other.clone());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: [(&str, &[Method]); 9] = [
        ("/api/v1/users", &[]),
        ("/api/v1/users/{id}", &[Method::GET]),
        ("/api/v1/users/me", &[Method::GET]),
        ("/api/v1/orders", &[Method::GET]),
        ("/api/v1/orders", &[Method::POST]),
        ("/files/{id}/{*rest}", &[]),
        ("/files/{id}", &[Method::PUT]),
        ("/a/{x}/c", &[]),
        ("/{$}", &[Method::GET]),
    ];

    fn find(path: &str, method: &Method) -> Found {
        let mut router = Router::default();
        for (index, (path, methods)) in ROUTES.iter().enumerate() {
            let pattern = Pattern::parse(path).expect("valid");
            router.insert(&pattern, (*methods).into(), index);
        }
        router.find(path, method)
    }

    #[test]
    fn a_prefix_ends_on_a_segment() {
        assert_eq!(find("/api/v1/users", &Method::PUT), Found::Route(0));
        assert_eq!(find("/api/v1/users/", &Method::PUT), Found::Route(0));
        assert_eq!(
            find("/api/v1/users/7/orders", &Method::GET),
            Found::Route(0)
        );
        assert_eq!(find("/api/v1/users-evil", &Method::GET), Found::Nothing);
        assert_eq!(find("/api/v1/user", &Method::GET), Found::Nothing);
        assert_eq!(find("/api/v1", &Method::GET), Found::Nothing);
    }

    #[test]
    fn the_most_specific_route_wins() {
        assert_eq!(find("/api/v1/users/7", &Method::GET), Found::Route(1));
        assert_eq!(find("/api/v1/users/me", &Method::GET), Found::Route(2));
        assert_eq!(find("/api/v1/users/me", &Method::PUT), Found::Route(0));
        assert_eq!(find("/files/7/a/b", &Method::GET), Found::Route(5));
        assert_eq!(find("/files/7", &Method::PUT), Found::Route(6));
        assert_eq!(find("/files/7", &Method::GET), Found::Route(5));
        assert_eq!(find("/a/b/c", &Method::GET), Found::Route(7));
        assert_eq!(find("/a/b/d", &Method::GET), Found::Nothing);
    }

    #[test]
    fn the_root_alone_shadows_nothing() {
        assert_eq!(find("/", &Method::GET), Found::Route(8));
        let only = Found::OtherMethods(vec![Method::GET]);
        assert_eq!(find("/", &Method::POST), only);
        for path in ["/api", "/api/v1/nothing", "/b"] {
            assert_eq!(find(path, &Method::GET), Found::Nothing, "{path}");
            assert_eq!(find(path, &Method::POST), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let expected = Found::OtherMethods(vec![Method::GET, Method::POST]);
        assert_eq!(find("/api/v1/orders/5", &Method::DELETE), expected);
        assert_eq!(find("/api/v1/orders", &Method::POST), Found::Route(4));
    }
}
