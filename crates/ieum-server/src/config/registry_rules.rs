//! Which registry goes with which roles: who has a log may do everything, gateways may follow it.

use super::report::Problem;
use super::{Config, Home, Role};

/// What is possible today, for every message that refuses something else.
const POSSIBLE: &str = "who has a log may have every role: one process if it is a file, several if it is in \
                        PostgreSQL; any number of others are `roles = [\"gateway\"]` with its address \
                        as `registry.url`";

/// What is wrong with `[registry]` itself, and with the roles beside it.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let registry = &config.registry;
    match registry.home() {
        Err(wrong) => problems.push(Problem::new(wrong).key("registry.url").help(
            "leave it out to keep registrations in the log, or write `memory:`, or \
             `ieum://HOST:PORT` (`consul://HOST:PORT`) to follow another's",
        )),
        Ok(Home::Elsewhere(url)) => {
            if url.password().is_some() || url.user().is_some() {
                problems.push(
                    Problem::new("a token is not written into the configuration")
                        .key("registry.url")
                        .help("name its place with `registry.token-env` or `registry.token-file`")
                        .without_value(),
                );
            }
            roles(config, problems);
            token(config, problems);
        }
        Ok(Home::Log | Home::Memory) => {
            for (key, is_set) in [
                ("registry.token-env", registry.token_env.is_some()),
                ("registry.token-file", registry.token_file.is_some()),
            ] {
                if is_set {
                    let what =
                        "a token is for a registry that is followed, and this one is our own";
                    let help = "remove it, or name the registry with `registry.url`";
                    problems.push(Problem::new(what).key(key).help(help));
                }
            }
        }
    }
}

/// Who follows a registry has no log, so it can do nothing that needs one.
fn roles(config: &Config, problems: &mut Vec<Problem>) {
    let platform = &config.platform;
    for (role, why) in [
        (
            Role::Registry,
            "checks are run by the process that keeps the registrations",
        ),
        (
            Role::Sagas,
            "sagas are run by the process that owns the log",
        ),
    ] {
        if platform.plays(role) {
            let what = format!(
                "the role `{}` is not possible with a registry that is followed: {why}",
                role.name()
            );
            problems.push(Problem::new(what).key("platform.roles").help(POSSIBLE));
        }
    }
    if platform.roles.is_empty() {
        let what = "a process that follows a registry and is no gateway has nothing to do";
        problems.push(Problem::new(what).key("platform.roles").help(POSSIBLE));
    }
}

fn token(config: &Config, problems: &mut Vec<Problem>) {
    let registry = &config.registry;
    if registry.token_env.is_some() && registry.token_file.is_some() {
        problems.push(
            Problem::new("the registry's token has two sources")
                .key("registry.token-file")
                .help("keep one of `token-env` and `token-file`"),
        );
    }
    if let Err(missing) = config.followed() {
        let key = match registry.token_env {
            Some(_) => "registry.token-env",
            None => "registry.token-file",
        };
        problems.push(
            Problem::new(format!("`{key}`: {missing}"))
                .key(key)
                .help(missing.help),
        );
    }
}
