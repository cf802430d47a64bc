//! `split` of a route: a share of its requests that another upstream answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, RouteConfig};
use crate::phases::transform;

/// A share of a route's requests that goes to another upstream, the *new* side; the rest stays with the
/// route's own `service` or `url`, the *old* side. So one path moves from a monolith to a service step
/// by step, and back: each step is another `percent` and a reload.
///
/// ```toml
/// split = { service = "orders", percent = 10, by = "user" }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SplitConfig {
    /// The service of the new side. Either this or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The fixed address of the new side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How many of a hundred go to the new side. Required; 0 to 100.
    #[schemars(range(max = 100))]
    pub percent: u32,
    /// What decides on which side a request is. Default `request`.
    #[serde(default)]
    pub by: SplitBy,
    /// Whether the old side answers while no instance of the new one takes requests. Default false: they
    /// are refused with 503, as everywhere.
    #[serde(default)]
    pub old_if_absent: bool,
}

/// What decides on which side a request is. Requests with one key are on one side, on every route and
/// every gateway with the same share; and while the share grows, no key goes back. A request without
/// the key takes turns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// Nothing: requests take turns, and the share is exact from few requests on.
    #[default]
    Request,
    /// The user of the token. Only with `auth = "jwt"`.
    User,
    /// A claim of the token, one that `gateway.jwt.headers` names. Only with `auth = "jwt"`.
    Claim(String),
    /// The value of a header of the request.
    Header(String),
    /// The value of a cookie of the request.
    Cookie(String),
}

impl SplitConfig {
    /// What is wrong with it on `route`: field, below the route's, and message.
    pub(crate) fn problems(
        &self,
        config: &Config,
        route: &RouteConfig,
    ) -> Vec<(&'static str, String)> {
        let several = route.compose.is_some() || route.graphql.is_some();
        let same = (&self.service, &self.url) == (&route.service, &route.url);
        let rules = [
            (
                !several && route.transcode.is_none(),
                ".split",
                "shares the requests of one upstream: not with `compose`, `graphql` or `transcode`",
            ),
            (
                route.cache.is_none(),
                ".split",
                "cannot go together with `cache`: a kept answer of one side would be given to both",
            ),
            (self.percent <= 100, ".split.percent", "must be at most 100"),
            (
                several || !same || self.service.is_none() && self.url.is_none(),
                ".split",
                "goes where the route goes already",
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, ..)| !holds);
        let broken = broken.map(|(_, field, message)| (field, message.to_owned()));
        let by = self.by.problem(config, route);
        broken
            .chain(by.map(|problem| (".split.by", problem)))
            .collect()
    }

    /// Why it is probably not meant so.
    pub(crate) fn warning(&self, route: &RouteConfig) -> Option<String> {
        let is_doubtful = self.by == SplitBy::Request && route.idempotent;
        is_doubtful.then(|| {
            format!(
                "the route `{}` is `idempotent`, but a repeated request may reach the other side, \
                 which does not know its `Idempotency-Key`; \
                 `by = {{ header = \"idempotency-key\" }}` keeps it on its side",
                route.name
            )
        })
    }
}

impl SplitBy {
    fn problem(&self, config: &Config, route: &RouteConfig) -> Option<String> {
        let needs_token = matches!(self, Self::User | Self::Claim(_));
        if needs_token && route.auth != Some(super::Auth::Jwt) {
            return Some("needs `auth = \"jwt\"`: without a token there is no user".to_owned());
        }
        match self {
            Self::Request | Self::User => None,
            Self::Claim(claim) => {
                let jwt = config.jwt.as_ref()?;
                let is_user = *claim == jwt.user_claim;
                let is_told = jwt
                    .header_mapping()
                    .get(claim)
                    .is_some_and(|h| !h.is_empty());
                let unknown =
                    format!("is `{claim}`, a claim that `gateway.jwt.headers` does not name");
                (!is_user && !is_told).then_some(unknown)
            }
            Self::Header(name) => match name.parse::<http::HeaderName>() {
                Err(_) => Some(format!("is `{name}`, which is no header name")),
                Ok(name) if is_ours(config, &name) => Some(format!(
                    "is `{name}`, a header that is not believed from outside; \
                     `user` or `claim` is what the token says"
                )),
                Ok(_) => None,
            },
            Self::Cookie(name) => {
                // Names of cookies are tokens, as those of headers are (RFC 6265, section 4.1.1).
                let is_token = name.parse::<http::HeaderName>().is_ok();
                (!is_token).then(|| format!("is `{name}`, which is no name of a cookie"))
            }
        }
    }
}

fn is_ours(config: &Config, name: &http::HeaderName) -> bool {
    let is_named = |other: &String| other.eq_ignore_ascii_case(name.as_str());
    transform::is_identity(name.as_str()) || config.internal_headers.iter().any(is_named)
}
