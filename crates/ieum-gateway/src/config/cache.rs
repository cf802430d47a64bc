//! `cache` of a route: answers that are kept.

use std::time::Duration;

use ieum_base::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RouteConfig;

/// Answers to `GET` that are kept and given again, by the rules for shared caches (RFC 9111). An
/// answer says itself how long it may be kept (`Cache-Control`, `Expires`).
///
/// ```toml
/// cache = { ttl = "30s", max-size = "256KiB" }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RouteCacheConfig {
    /// How long answers are kept that do not say it themselves. Default: they are not kept; above 0s,
    /// at most `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<HumanDuration>,
    /// The largest body that is kept; larger ones pass. Default `256KiB`; `1B` to `16MiB`.
    pub max_size: ByteSize,
}

impl Default for RouteCacheConfig {
    fn default() -> Self {
        Self {
            ttl: None,
            max_size: ByteSize(256 << 10),
        }
    }
}

impl RouteCacheConfig {
    /// What is wrong with it on `route`: field, below the route's, and message.
    pub(crate) fn problems(&self, route: &RouteConfig) -> Vec<(&'static str, &'static str)> {
        let several = route.compose.is_some() || route.graphql.is_some();
        let translated = route.transcode.is_some() || route.grpc;
        let reads = route.methods.is_empty() || route.methods.iter().any(|m| m == "GET");
        let ttl = self.ttl.map_or(Duration::from_secs(1), |ttl| ttl.0);
        let rules = [
            (
                !several,
                ".cache",
                "keeps what one upstream answers: not with `compose` or `graphql`",
            ),
            (
                !translated,
                ".cache",
                "keeps answers of HTTP: not with `grpc` or `transcode`",
            ),
            (
                !route.upgrade,
                ".cache",
                "cannot keep a tunnel: not with `upgrade`",
            ),
            (
                reads,
                ".cache",
                "keeps answers to GET, which `methods` leaves out",
            ),
            (
                !ttl.is_zero() && ttl <= LONGEST,
                ".cache.ttl",
                "must be above 0s and at most 24h",
            ),
            (
                (1..=16 << 20).contains(&self.max_size.0),
                ".cache.max-size",
                "must be from 1B to 16MiB",
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, ..)| !holds);
        broken.map(|(_, field, message)| (field, message)).collect()
    }
}

const LONGEST: Duration = Duration::from_secs(24 * 3600);
