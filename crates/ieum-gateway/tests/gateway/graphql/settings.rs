//! What a route with a graph may say, and what is refused with the place of its key.

use ieum_gateway::ConfigError;

use crate::support::{config, gateway};

#[track_caller]
fn check(route: &str, expected: Option<(&str, &str)>) {
    let world = gateway("");
    let head = "[[gateway.routes]]\nname = 'graph'\npath = '/graphql'\nauth = 'none'\n";
    let answer = world.handle.reload(config(&format!("{head}{route}")));
    let errors = answer.err().unwrap_or_default();
    let Some((path, message)) = expected else {
        assert!(errors.is_empty(), "{route}: {errors:?}");
        return;
    };
    let path = format!("gateway.routes[0]{path}");
    let told = |error: &ConfigError| error.path == path && error.message.contains(message);
    assert!(errors.iter().any(told), "{route}: {errors:?}");
}

#[test]
fn what_makes_sense_is_taken() {
    for route in [
        "graphql = { subgraphs = ['users', 'orders'] }",
        "methods = ['POST']\ngraphql = { subgraphs = ['users'], introspection = true }",
        "graphql = { subgraphs = { users = {}, b = { service = 'x', path = '/api/graphql?v=1' } } }",
        "graphql = { subgraphs = ['users'], limits = { depth = 10 }, answers = { entities = 5 } }",
        "graphql = { subgraphs = ['users'], planning = { at-once = 2, timeout = '100ms' } }",
    ] {
        check(route, None);
    }
}

#[test]
fn what_makes_none_is_refused_at_its_key() {
    for (route, path, message) in [
        ("graphql = {}", ".graphql.subgraphs", "at least one"),
        (
            "service = 'x'\ngraphql = { subgraphs = ['a'] }",
            ".graphql",
            "cannot go together",
        ),
        (
            "graphql = { subgraphs = ['a'] }\nmethods = ['PUT']",
            ".methods",
            "GET and POST",
        ),
        (
            "graphql = { subgraphs = ['a'] }\nrewrite = '/x'",
            ".rewrite",
            "no effect",
        ),
        (
            "graphql = { subgraphs = ['a'] }\nidempotent = true",
            ".idempotent",
            "no effect",
        ),
        (
            "graphql = { subgraphs = ['a'] }\nupgrade = true",
            ".upgrade",
            "no effect",
        ),
        (
            "graphql = { subgraphs = ['a'] }\nfallback = { status = 200 }",
            ".fallback",
            "no effect",
        ),
        (
            "graphql = { subgraphs = ['1a'] }",
            ".graphql.subgraphs.1a",
            "no name",
        ),
        (
            "graphql = { subgraphs = ['a'], refresh = '1ms' }",
            ".graphql.refresh",
            "1s to 24h",
        ),
        (
            "graphql = { subgraphs = { a = { url = 'ftp://x' } } }",
            ".graphql.subgraphs.a.url",
            "",
        ),
        (
            "graphql = { subgraphs = { a = { service = 'a', url = 'http://x' } } }",
            ".graphql.subgraphs.a",
            "exactly one",
        ),
        (
            "graphql = { subgraphs = { a = { path = 'graphql' } } }",
            ".graphql.subgraphs.a.path",
            "begin with `/`",
        ),
        (
            "graphql = { subgraphs = ['a'], planning = { at-once = 0 } }",
            ".graphql.planning.at-once",
            "1 to 256",
        ),
        (
            "graphql = { supergraph = '/does/not/exist' }",
            ".graphql.supergraph",
            "cannot be read",
        ),
    ] {
        check(route, Some((path, message)));
    }
}
