//! `graphql = { … }` of a route: one graph over several services.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ieum_base::{ByteSize, HumanDuration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One graph over several services, each of which serves a part of it (a subgraph, by Apollo's
/// federation specification 1 or 2).
///
/// Either the gateway asks each of `subgraphs` for its schema and composes them, again whenever one
/// changes; or it is given the composed `supergraph`.
///
/// ```toml
/// graphql = { subgraphs = ["users", "orders"] }
/// ```
///
/// ```toml
/// graphql = { supergraph = "supergraph.graphql", subgraphs = { users = { service = "users" } } }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GraphqlConfig {
    /// The subgraphs: names of services, or a table of names with where each is. Required without
    /// `supergraph`; with it, they say where the subgraphs of these names are instead of its own
    /// `@join__graph(url:)`. At most 64.
    #[serde(skip_serializing_if = "SubgraphsConfig::is_empty")]
    pub subgraphs: SubgraphsConfig,
    /// A composed supergraph in GraphQL's schema language, as composition tools write it, relative to
    /// the configuration file. Default: composed from what the subgraphs answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supergraph: Option<PathBuf>,
    /// Whether clients may ask for the schema (`__schema`, `__type`). Default false: what is not
    /// published is not shown (OWASP's cheat sheet on GraphQL).
    pub introspection: bool,
    /// How often the subgraphs are asked for their schemas, beside each change of their instances;
    /// drawn from 0.8 to 1.2 of it. Without effect with `supergraph`. Default `10s` (the interval at
    /// which Apollo's gateway polls its subgraphs); `1s` to `24h`.
    pub refresh: HumanDuration,
    /// How large an operation may be. What exceeds it is refused before it is planned.
    pub limits: ieum_graphql::Limits,
    /// How much the subgraphs may answer to one operation, and what of it clients see.
    pub answers: ieum_graphql::execute::Config,
    /// How much planning may cost.
    pub planning: PlanningConfig,
}

impl Default for GraphqlConfig {
    fn default() -> Self {
        Self {
            subgraphs: SubgraphsConfig::default(),
            supergraph: None,
            introspection: false,
            refresh: HumanDuration::from_secs(10),
            limits: ieum_graphql::Limits::default(),
            answers: ieum_graphql::execute::Config::default(),
            planning: PlanningConfig::default(),
        }
    }
}

impl GraphqlConfig {
    /// The settings of the engine.
    pub(crate) fn engine(&self) -> ieum_graphql::Config {
        ieum_graphql::Config {
            introspection: self.introspection,
            limits: self.limits.clone(),
            execution: self.answers.clone(),
            planning: self.planning.engine(),
        }
    }

    /// Takes a relative path of the supergraph from `folder`.
    pub(super) fn relative_to(&mut self, folder: &Path) {
        if let Some(path) = &mut self.supergraph {
            *path = folder.join(&*path);
        }
    }
}

/// How much planning may cost. An operation is planned once for any values of its variables, and its
/// plan remembered.
///
/// ```toml
/// [gateway.routes.graphql.planning]
/// at-once = 1
/// timeout = "1s"
/// fields = 20000
/// cached-plans = 1000
/// cached-bytes = "16MiB"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PlanningConfig {
    /// Operations that are planned at once, on threads that are not those of the data path; some more
    /// wait for at most a second, the rest are answered 503. Default: half of the cores, at least 1; 1
    /// to 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub at_once: Option<u32>,
    /// How long planning one operation may take. Default `1s` (ours; Hive Router's is 10 s); above 0s,
    /// at most `1m`.
    pub timeout: HumanDuration,
    /// Fields of an operation once selections on interfaces are spread over their types. Default 20,000
    /// (ours: four times the fields that a document may have).
    pub fields: usize,
    /// Plans that are remembered. Default 1,000 (Hive Router; Apollo Router has 512).
    pub cached_plans: usize,
    /// Bytes of all remembered plans: of their texts, and 512 for each field. Default `16MiB` (ours).
    pub cached_bytes: ByteSize,
}

impl Default for PlanningConfig {
    fn default() -> Self {
        Self {
            at_once: None,
            timeout: HumanDuration::from_secs(1),
            fields: 20_000,
            cached_plans: 1_000,
            cached_bytes: ByteSize(16 << 20),
        }
    }
}

impl PlanningConfig {
    /// How many operations are planned at once.
    pub(crate) fn at_once(&self) -> u32 {
        self.at_once.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            u32::try_from(cores / 2).unwrap_or(u32::MAX).max(1)
        })
    }

    fn engine(&self) -> ieum_graphql::Planning {
        ieum_graphql::Planning {
            timeout_ms: u64::try_from(self.timeout.0.as_millis()).unwrap_or(u64::MAX),
            planned_fields: self.fields,
            cached_plans: self.cached_plans,
            cached_bytes: usize::try_from(self.cached_bytes.0).unwrap_or(usize::MAX),
        }
    }
}

/// Where each subgraph is, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubgraphsConfig(pub BTreeMap<String, SubgraphConfig>);

/// Where one subgraph is. Without `service` and `url` it is the service of the subgraph's name.
///
/// ```toml
/// [gateway.routes.graphql.subgraphs]
/// users = {}
/// orders = { service = "orders-v2", path = "/api/graphql" }
/// legacy = { url = "http://10.0.0.5:4000" }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SubgraphConfig {
    /// The service that answers. Default: the one of the subgraph's name. Not together with `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The fixed address that answers: `http://` or `https://`, host, port, and a path that is put in
    /// front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its path there. Default `/graphql`; with a supergraph whose `url` is used, that one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl SubgraphsConfig {
    /// True if none is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for SubgraphsConfig {
    /// Read by hand: an untagged enum would answer "did not match any variant", with no place.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Subgraphs;

        impl<'de> Visitor<'de> for Subgraphs {
            type Value = SubgraphsConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of services, or a table of subgraphs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
                let mut subgraphs = BTreeMap::new();
                while let Some(name) = names.next_element::<String>()? {
                    let before = subgraphs.insert(name.clone(), SubgraphConfig::default());
                    if before.is_some() {
                        return Err(A::Error::custom(format!("`{name}` is named twice")));
                    }
                }
                Ok(SubgraphsConfig(subgraphs))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Self::Value, A::Error> {
                let mut subgraphs = BTreeMap::new();
                while let Some((name, subgraph)) = table.next_entry()? {
                    subgraphs.insert(name, subgraph);
                }
                Ok(SubgraphsConfig(subgraphs))
            }
        }

        deserializer.deserialize_any(Subgraphs)
    }
}

impl JsonSchema for SubgraphsConfig {
    fn schema_name() -> Cow<'static, str> {
        "SubgraphsConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<BTreeMap<String, SubgraphConfig>>();
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" }, "uniqueItems": true, "maxItems": 64 },
                table,
            ]
        })
    }
}
