//! The gateway inside the platform: its threads, and where it listens.

use std::sync::Arc;

use ieum_base::trace::{Propagators, SpanSink, Tracer};
use ieum_base::{Clock, Rng};
use ieum_discovery::Resolver;
use ieum_gateway::{Deps, Gateway, Handle};
use ieum_http::egress;

use super::shared::Shared;
use super::{Moved, StartError, listen};
use crate::config::{Config, Problem};

/// The name under which the gateway's spans are recorded.
pub(super) const SERVICE: &str = "gateway";

/// Starts the gateway; it serves when this answers.
pub(super) fn start(
    config: &Config,
    resolver: &Resolver,
    sink: Option<Arc<dyn SpanSink>>,
    propagators: Propagators,
    clock: &Clock,
    egress: egress::Policy,
    shared: Shared,
) -> Result<(Handle, Option<Moved>), StartError> {
    let tracer = match sink {
        Some(sink) => Tracer::new(SERVICE, sink, clock.clone()),
        None => Tracer::off(SERVICE),
    };
    let deps = Deps {
        tracer: tracer
            .sampling(config.telemetry.traces.sample)
            .propagating(propagators),
        clock: clock.clone(),
        rng: Rng::system(),
        egress,
        limits: shared.limits,
        cache: Some(shared.cache),
        ..Deps::new(resolver.clone())
    };
    let handle =
        Gateway::start(config.gateway.clone(), deps).map_err(|error| refused(config, error))?;
    let default = ieum_gateway::Config::DEFAULT_LISTEN;
    let moved = config.gateway.listen.is_none() && handle.addr() != default;
    let moved = moved.then_some(Moved {
        what: SERVICE,
        from: default,
        to: handle.addr(),
    });
    Ok((handle, moved))
}

fn refused(config: &Config, error: ieum_gateway::StartError) -> StartError {
    match error {
        ieum_gateway::StartError::Listen(error) => {
            listen::refused(config, "gateway.listen", &error)
        }
        ieum_gateway::StartError::Config(errors) => config.source.report(problems(errors)).into(),
        other => StartError::new("the gateway cannot be started").caused_by(other),
    }
}

/// What the gateway finds wrong with its configuration, in the words of a report.
pub(super) fn problems(errors: Vec<ieum_gateway::ConfigError>) -> Vec<Problem> {
    let problem = |error: ieum_gateway::ConfigError| {
        let what = format!("`{}` {}", error.path, error.message);
        Problem::new(what).key(error.path)
    };
    errors.into_iter().map(problem).collect()
}
