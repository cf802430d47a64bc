//! Rules that no type can hold: limits, what belongs together, and the security floor.

use std::net::IpAddr;

use http::Uri;
use ieum_gateway::ConfigError;
use ieum_http::egress;

use super::report::Problem;
use super::{Config, Platform, Role, StaticInstance, engines, impact, registry_rules, shared};

/// Everything that `config` gets wrong; empty if it may be started.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    token(config, &mut problems);
    platform(&config.platform, &mut problems);
    engines::check(config, &mut problems);
    shared::check(config, &mut problems);
    impact::check(config, &mut problems);
    registry_rules::check(config, &mut problems);
    telemetry(config, &mut problems);
    if config.platform.plays(Role::Gateway) {
        problems.extend(config.gateway.validate().into_iter().map(of_gateway));
    }
    let engine = config.sagas.engine.problems().into_iter();
    problems.extend(engine.map(|what| Problem::new(what).key("sagas.engine")));
    let kv = config.registry.kv.problems().into_iter();
    problems.extend(kv.map(|what| Problem::new(what).key("registry.kv")));
    problems.extend(config.saga_definitions().err().unwrap_or_default());
    for (index, instance) in config.registry.instances.iter().enumerate() {
        static_instance(index, instance, &mut problems);
    }
    problems
}

/// The gateway names its keys as we do.
fn of_gateway(error: ConfigError) -> Problem {
    let problem = Problem::new(format!("`{}` {}", error.path, error.message)).key(error.path);
    match error.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

fn token(config: &Config, problems: &mut Vec<Problem>) {
    let by_env = config.platform.token_env.is_some();
    let key = if by_env {
        "platform.token-env"
    } else {
        "platform.token-file"
    };
    if by_env && config.platform.token_file.is_some() {
        problems.push(
            Problem::new("the token has two sources")
                .key("platform.token-file")
                .help("keep one of `token-env` and `token-file`"),
        );
    }
    if let Err(missing) = config.token() {
        problems.push(
            Problem::new(format!("`{key}`: {missing}"))
                .key(key)
                .help(missing.help),
        );
    }
}

fn platform(platform: &Platform, problems: &mut Vec<Problem>) {
    let open = platform
        .listen
        .filter(|address| !address.ip().is_loopback());
    if let (Some(address), false) = (open, platform.has_token()) {
        problems.push(
            Problem::new(format!(
                "the platform API would listen on {address}, off loopback, without a token: \
                 whoever reaches it could append to the log and redirect every service"
            ))
            .key("platform.listen")
            .help("set `token-env = \"IEUM_TOKEN\"`, or listen on 127.0.0.1"),
        );
    }
    if !(1..=64).contains(&platform.worker_threads) {
        problems.push(
            Problem::new("the number of threads must be 1 to 64").key("platform.worker-threads"),
        );
    }
    if platform.data_dir.as_os_str().is_empty() {
        problems.push(
            Problem::new("the data need a folder")
                .key("platform.data-dir")
                .help("write `data-dir = \".\"` for the folder of this file"),
        );
    }
    if platform.linger.0 > HOUR {
        problems.push(Problem::new("the time must be at most 1h").key("platform.linger"));
    }
    if platform.max_body.0 == 0 {
        problems.push(Problem::new("the limit must be above 0").key("platform.max-body"));
    }
    let twice = |role: &Role| platform.roles.iter().filter(|r| *r == role).count() > 1;
    if platform.roles.iter().any(twice) {
        problems.push(Problem::new("a role is named twice").key("platform.roles"));
    }
}

fn telemetry(config: &Config, problems: &mut Vec<Problem>) {
    let traces = &config.telemetry.traces;
    if !(0.0..=1.0).contains(&traces.sample) {
        problems.push(
            Problem::new("the sampled share must be between 0 and 1")
                .key("telemetry.traces.sample"),
        );
    }
    for (name, value) in [
        ("max-traces", traces.max_traces),
        ("max-spans", traces.max_spans),
    ] {
        if value == 0 {
            problems.push(
                Problem::new("the limit must be above 0")
                    .key(format!("telemetry.traces.{name}"))
                    .help("record nothing with `sample = 0.0`"),
            );
        }
    }
    let level = &config.telemetry.log.level;
    if let Err(error) = level.parse::<tracing_subscriber::filter::Targets>() {
        problems.push(
            Problem::new(format!("`{level}` is not a log level: {error}"))
                .key("telemetry.log.level")
                .help("write `info`, or `info,ieum_gateway=debug`"),
        );
    }
}

fn static_instance(index: usize, instance: &StaticInstance, problems: &mut Vec<Problem>) {
    let key = |name: &str| format!("registry.instances[{index}].{name}");
    if instance.service.is_empty() {
        problems.push(Problem::new("a service needs a name").key(key("service")));
    }
    if instance.address.is_empty() {
        problems.push(Problem::new("an instance needs an address").key(key("address")));
    }
    if let Some(why) = never_called(&instance.address) {
        problems.push(Problem::new(why).key(key("address")).help(EGRESS));
    }
    if instance.port == 0 {
        problems.push(Problem::new("port 0 cannot be called").key(key("port")));
    }
    if instance.weight == 0 {
        problems.push(Problem::new("the weight must be above 0").key(key("weight")));
    }
    let http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    if instance.check.as_ref().is_some_and(|url| !http(url)) {
        problems.push(
            Problem::new("a check is a URL that starts with http:// or https://").key(key("check")),
        );
    }
    let uri = instance.check.as_ref().and_then(|url| url.parse().ok());
    let authority = uri.as_ref().and_then(Uri::authority);
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        problems.push(Problem::new("credentials in a check's URL are not sent").key(key("check")));
    }
    let host = uri.as_ref().and_then(Uri::host);
    if let Some(why) = host.and_then(never_called) {
        problems.push(Problem::new(why).key(key("check")).help(EGRESS));
    }
}

/// Why `host` is never called, if it is an address that is not. What a name points to is seen when it
/// is called, and whether loopback may be called depends on where the API listens in the end.
fn never_called(host: &str) -> Option<String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = host.parse().ok()?;
    let refused = egress::Policy::default().check(address).err()?;
    Some(refused.to_string())
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
const EGRESS: &str = "link-local addresses and metadata services are never called";
