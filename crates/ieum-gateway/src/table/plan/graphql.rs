//! The graph of a route, read and found sensible.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::uri::PathAndQuery;
use ieum_graphql::Supergraph;
use ieum_resilience::bulkhead;

use super::{PlannedTarget, Reader};
use crate::config::{GraphqlConfig, RouteConfig, SubgraphConfig};
use crate::federation::Live;
use crate::upstream::{Address, Fixed};

/// A graph and where its parts are. Equal plans make equal federations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedGraphql {
    /// The supergraph, if it is not composed here.
    pub(crate) given: Option<Arc<Live>>,
    pub(crate) subgraphs: Vec<PlannedSubgraph>,
    pub(crate) engine: ieum_graphql::Config,
    pub(crate) plannings: bulkhead::Config,
    pub(crate) refresh: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedSubgraph {
    pub(crate) name: Arc<str>,
    pub(crate) address: Address,
    pub(crate) target: PathAndQuery,
}

impl Reader<'_> {
    /// GraphQL over HTTP has two methods.
    pub(super) fn graphql_methods(
        &mut self,
        route: &RouteConfig,
        methods: Box<[Method]>,
    ) -> Box<[Method]> {
        if route.graphql.is_none() {
            return methods;
        }
        let known = |method: &Method| *method == Method::GET || *method == Method::POST;
        let message = "of a GraphQL route are GET and POST";
        self.require(methods.iter().all(known), ".methods", message);
        match methods.is_empty() {
            true => [Method::GET, Method::POST].into(),
            false => methods,
        }
    }

    /// The graph of a route that has one; what has no effect on such a route is refused.
    pub(super) fn graphql(
        &mut self,
        route: &RouteConfig,
        graphql: &GraphqlConfig,
    ) -> Option<PlannedTarget> {
        let alone = route.service.is_none() && route.url.is_none() && route.compose.is_none();
        let message = "cannot go together with `service`, `url` or `compose`";
        self.require(alone, ".graphql", message);
        for (field, is_given) in [
            (".fallback", route.fallback.is_some()),
            (".upgrade", route.upgrade),
            (".idempotent", route.idempotent),
        ] {
            self.require(!is_given, field, "has no effect on a GraphQL route");
        }
        let refresh = graphql.refresh.0;
        let in_range = (LEAST_REFRESH..=MOST_REFRESH).contains(&refresh);
        self.require(in_range, ".graphql.refresh", "must be from 1s to 24h");
        let few = graphql.subgraphs.0.len() <= MOST_SUBGRAPHS;
        self.require(few, ".graphql.subgraphs", "must have at most 64 entries");
        let at_once = graphql.planning.at_once();
        let in_range = (1..=256).contains(&at_once);
        self.require(
            in_range,
            ".graphql.planning.at-once",
            "must be from 1 to 256",
        );
        let time = graphql.planning.timeout.0;
        let in_range = !time.is_zero() && time <= MOST_PLANNING;
        let message = "must be above 0s and at most 1m";
        self.require(in_range, ".graphql.planning.timeout", message);
        let engine = graphql.engine();
        let given = match &graphql.supergraph {
            Some(path) => Some(self.take(".graphql.supergraph", read(path, &engine))?),
            None => None,
        };
        let subgraphs = match &given {
            Some(given) => self.subgraphs_of(graphql, given.subgraphs()),
            None => self.named_subgraphs(graphql),
        };
        Some(PlannedTarget::Graphql(Box::new(PlannedGraphql {
            given: given.map(Arc::new),
            subgraphs: subgraphs?,
            engine,
            plannings: bulkhead::Config {
                in_flight: at_once,
                ..bulkhead::Config::default()
            },
            refresh,
        })))
    }

    /// Those that are to be composed.
    fn named_subgraphs(&mut self, graphql: &GraphqlConfig) -> Option<Vec<PlannedSubgraph>> {
        let subgraphs = &graphql.subgraphs.0;
        let message = "must name at least one, or there must be a `supergraph`";
        self.require(!subgraphs.is_empty(), ".graphql.subgraphs", message);
        let planned = subgraphs.iter().map(|(name, config)| {
            let valid = is_name(name);
            let message = "is no name of a subgraph: a letter, then letters, digits, `_` and `-`";
            self.require(valid, &format!(".graphql.subgraphs.{name}"), message);
            self.subgraph(name, config)
        });
        // All of them are read, so that all errors are found.
        let planned: Vec<_> = planned.collect();
        planned.into_iter().collect()
    }

    /// Those of a supergraph that was given, where it or the configuration says that they are.
    fn subgraphs_of(
        &mut self,
        graphql: &GraphqlConfig,
        known: &[ieum_graphql::supergraph::Subgraph],
    ) -> Option<Vec<PlannedSubgraph>> {
        for name in graphql.subgraphs.0.keys() {
            let is_known = known.iter().any(|subgraph| *subgraph.name == **name);
            let field = format!(".graphql.subgraphs.{name}");
            self.require(is_known, &field, "is no subgraph of the supergraph");
        }
        let planned: Vec<_> = known
            .iter()
            .map(|subgraph| match graphql.subgraphs.0.get(&*subgraph.name) {
                Some(config) => self.subgraph(&subgraph.name, config),
                None => self.subgraph_at(&subgraph.name, &subgraph.url),
            })
            .collect();
        planned.into_iter().collect()
    }

    fn subgraph(&mut self, name: &str, config: &SubgraphConfig) -> Option<PlannedSubgraph> {
        let field = format!(".graphql.subgraphs.{name}");
        let service = match (&config.service, &config.url) {
            (None, None) => Some(name),
            (service, _) => service.as_deref(),
        };
        let address = self.address(&field, service, config.url.as_deref());
        let path = config.path.as_deref().unwrap_or("/graphql");
        let target = match path.starts_with('/') {
            true => PathAndQuery::try_from(path).map_err(|_| "is no path".to_owned()),
            false => Err("must begin with `/`".to_owned()),
        };
        let target = self.take(&format!("{field}.path"), target);
        Some(PlannedSubgraph {
            name: name.into(),
            address: address?,
            target: target?,
        })
    }

    fn subgraph_at(&mut self, name: &str, url: &str) -> Option<PlannedSubgraph> {
        let resource = Fixed::resource(url).map_err(|why| {
            format!(
                "says that the subgraph `{name}` is at `{url}`, which {why}; say in \
                 `subgraphs` where it is"
            )
        });
        let (origin, target) = self.take(".graphql.supergraph", resource)?;
        Some(PlannedSubgraph {
            name: name.into(),
            address: Address::Url(origin),
            target,
        })
    }
}

/// The supergraph in a file, ready for use.
fn read(path: &Path, engine: &ieum_graphql::Config) -> Result<Live, String> {
    let shown = path.display();
    let sdl = std::fs::read_to_string(path);
    let sdl: Arc<str> = sdl
        .map_err(|error| format!("names `{shown}`, which cannot be read: {error}"))?
        .into();
    let supergraph = Supergraph::parse(&sdl).map_err(|error| error.to_string());
    let live = supergraph.and_then(|supergraph| Live::new(&sdl, supergraph, engine));
    live.map_err(|why| format!("names `{shown}`, which is no supergraph: {why}"))
}

fn is_name(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_known)
}

const MOST_SUBGRAPHS: usize = 64;
const MOST_PLANNING: Duration = Duration::from_secs(60);
const LEAST_REFRESH: Duration = Duration::from_secs(1);
const MOST_REFRESH: Duration = Duration::from_secs(24 * 3600);
