//! Limit: how often, and how much at once.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use ieum_resilience::rate_limit::{Allowed, Verdict};

use super::accept::Exchange;
use crate::config::LimitBy;
use crate::errors::{Code, Refusal};
use crate::table::{Route, RouteLimit, RouteLimiter};

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LimitKey {
    Address(IpAddr),
    User(Box<str>),
    All,
}

/// Counts the request against the route's rate limit, and refuses bodies that say themselves that
/// they are too large. Those that do not say are measured while they stream.
pub(super) fn admit<B>(
    route: &Route,
    exchange: &mut Exchange,
    request: &Request<B>,
) -> Result<(), Box<Refusal>> {
    if let Some(limit) = &route.limit
        && let RouteLimiter::Own(limiter) = &limit.limiter
    {
        let verdict = limiter.check_at(&key(limit.by, exchange), exchange.started);
        exchange.allowed = Some(judge(route, limit, verdict)?);
    }
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > route.max_body) {
        return Err(too_large(route.max_body));
    }
    Ok(())
}

/// The same against a limit that other gateways share, for which a store must be asked.
pub(super) async fn admit_shared(
    route: &Route,
    exchange: &mut Exchange,
) -> Result<(), Box<Refusal>> {
    if let Some(limit) = &route.limit
        && let RouteLimiter::Shared(limiter) = &limit.limiter
    {
        let key = key(limit.by, exchange);
        let verdict = limiter.check(&key, &key.to_string()).await;
        exchange.allowed = Some(judge(route, limit, verdict)?);
    }
    Ok(())
}

pub(super) fn too_large(most: u64) -> Box<Refusal> {
    let most = ieum_base::ByteSize(most);
    Refusal::new(
        Code::BodyTooLarge,
        format!("the request's body is larger than {most}"),
    )
}

fn judge(route: &Route, limit: &RouteLimit, verdict: Verdict) -> Result<Allowed, Box<Refusal>> {
    verdict.map_err(|limited| {
        let detail = format!("the rate limit of the route `{}` is used up", route.name);
        let refusal = Refusal::new(Code::RateLimited, detail).retry_after(limited.retry_after);
        let fields = fields(limit, 0, limited.reset);
        fields.into_iter().fold(refusal, |refusal, (name, value)| {
            refusal.header(name, value)
        })
    })
}

impl fmt::Display for LimitKey {
    /// As a store that others share knows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "ip:{address}"),
            Self::User(user) => write!(f, "user:{user}"),
            Self::All => f.write_str("all"),
        }
    }
}

fn key(by: LimitBy, exchange: &Exchange) -> LimitKey {
    match (by, &exchange.identity) {
        (LimitBy::Route, _) => LimitKey::All,
        (LimitBy::User, Some(identity)) => LimitKey::User(identity.user.clone()),
        (LimitBy::Ip | LimitBy::User, _) => LimitKey::Address(subscriber(exchange.client)),
    }
}

/// One subscriber has one IPv4 address or one /64 of IPv6.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Tells the caller what is left (IETF draft "RateLimit header fields for HTTP").
pub(super) fn tell(route: &Route, allowed: Allowed, headers: &mut HeaderMap) {
    if let Some(limit) = &route.limit {
        headers.extend(fields(limit, allowed.remaining, allowed.reset));
    }
}

fn fields(limit: &RouteLimit, remaining: u32, reset: Duration) -> Vec<(HeaderName, HeaderValue)> {
    let whole = |time: Duration| time.as_millis().div_ceil(1_000);
    let (burst, window) = (limit.quota.burst(), whole(limit.quota.whole_after()).max(1));
    let policy = format!("\"default\";q={burst};w={window}");
    let left = format!("\"default\";r={remaining};t={}", whole(reset));
    let fields = [(RATELIMIT_POLICY, policy), (RATELIMIT, left)];
    let valid = |(name, text)| Some((name, HeaderValue::try_from(text).ok()?));
    fields.into_iter().filter_map(valid).collect()
}

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subscriber_is_a_64() {
        let of = |text: &str| subscriber(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
