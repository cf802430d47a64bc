//! The settings: what the URL says, and bounds that a program may change.

use std::time::Duration;

use ieum_base::{EngineUrl, HumanDuration, Secret};
use ieum_messaging::{Error, ErrorKind, Limits, Result};

/// The settings of topics on SNS and SQS. A URL has them as parameters:
/// `sqs://KEY:SECRET@localhost:4566?region=eu-west-1&scheme=http&visibility=30s`. A secret's `/` is
/// written as `%2F`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The id of the access key.
    pub key: String,
    /// The access key's secret.
    pub secret: Secret,
    /// The region: `region=`, or that of the host `sqs.REGION.amazonaws.com`.
    pub region: String,
    /// Where both services are, `http://HOST:PORT`, for local stand-ins: `scheme=` (default `https`)
    /// and the URL's host. Without one, AWS' own endpoints of the region, over HTTPS.
    pub endpoint: Option<String>,
    /// How long SQS shows a message to nobody else after it was delivered: `visibility=`, whole
    /// seconds from 1 s to 12 h. It is renewed while a member says that it is alive. Default 30 s.
    pub visibility: Duration,
    /// How long `next` waits for a message: `wait=`, whole seconds from 1 s to 20 s. Default 5 s.
    pub wait: Duration,
    /// How long one call may take, besides the waiting. Default 10 s.
    pub answer: Duration,
    /// How often one call is made at most, while the service does not take it. Default 6.
    pub attempts: u32,
    /// From when on a subscription asks for no more before something is acknowledged, in messages.
    /// Default 100.
    pub window: usize,
    /// What a message may be at most. Default 252 KiB: the services carry 256 KiB, and a dead letter's
    /// reason needs room.
    pub limits: Limits,
}

impl Config {
    /// Reads `url`. What is missing, unknown or out of range is `Invalid`.
    pub fn from_url(url: &EngineUrl) -> Result<Self> {
        let invalid = |what: &str| Err(Error::new(ErrorKind::Invalid, format!("{url} {what}")));
        let (Some(key), Some(secret)) = (url.user(), url.password()) else {
            return invalid(
                "has no access key: write `sqs://KEY:SECRET@…`, the secret's `/` as `%2F`",
            );
        };
        let host = url.authority();
        let own_region = host
            .strip_prefix("sqs.")
            .and_then(|rest| rest.strip_suffix(".amazonaws.com"));
        let Some(region) = url.parameter("region").or(own_region) else {
            return invalid("names no region: add `?region=eu-west-1`, or which one it is");
        };
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(legal) {
            return invalid("names a region that is none, which is like `eu-west-1`");
        }
        let scheme = url.parameter("scheme").unwrap_or("https");
        if !["http", "https"].contains(&scheme) {
            return invalid("has a `scheme` that is neither `http` nor `https`");
        }
        let is_own = !host.is_empty() && own_region.is_none();
        let mut config = Self {
            key: key.to_owned(),
            secret: secret.clone(),
            region: region.to_owned(),
            endpoint: is_own.then(|| format!("{scheme}://{host}")),
            visibility: Duration::from_secs(30),
            wait: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            attempts: 6,
            window: 100,
            limits: Limits {
                message_bytes: 252 << 10,
                ..Limits::default()
            },
        };
        config.read_parameters(url)?;
        Ok(config)
    }

    fn read_parameters(&mut self, url: &EngineUrl) -> Result<()> {
        let query = url.rest().split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "region" | "scheme" => {}
                "visibility" => self.visibility = seconds(name, value, 12 * 3_600)?,
                "wait" => self.wait = seconds(name, value, 20)?,
                _ => {
                    let why = format!(
                        "`{name}` is no parameter of an SQS URL: there are region, scheme, \
                         visibility, wait"
                    );
                    return Err(Error::new(ErrorKind::Invalid, why));
                }
            }
        }
        Ok(())
    }
}

/// SQS counts in whole seconds.
fn seconds(name: &str, value: &str, most: u64) -> Result<Duration> {
    let read: Option<HumanDuration> = value.parse().ok();
    let whole = read.map(|HumanDuration(duration)| duration);
    let fits = |d: &Duration| d.subsec_nanos() == 0 && (1..=most).contains(&d.as_secs());
    whole.filter(fits).ok_or_else(|| {
        let why = format!("`{name}` is `{value}`, not whole seconds from 1s to {most}s");
        Error::new(ErrorKind::Invalid, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Config> {
        Config::from_url(&url.parse().expect("a URL"))
    }

    #[test]
    fn a_url_names_the_key_the_region_and_where_it_is() {
        let local = read("sqs://열쇠:s%2Fcret@localhost:4566?region=eu-west-1&scheme=http&wait=2s");
        let local = local.expect("read");
        assert_eq!(
            (local.key.as_str(), local.secret.expose().as_str()),
            ("열쇠", "s/cret")
        );
        assert_eq!(local.endpoint.as_deref(), Some("http://localhost:4566"));
        assert_eq!(local.wait, Duration::from_secs(2));
        let real = read("sqs://k:s@sqs.us-east-1.amazonaws.com").expect("read");
        assert_eq!((real.region.as_str(), real.endpoint), ("us-east-1", None));
        let real = read("sqs://k:s@?region=eu-west-1").expect("read");
        assert_eq!((real.region.as_str(), real.endpoint), ("eu-west-1", None));
    }

    #[test]
    fn a_wrong_url_says_what_is_missing_and_not_the_secret() {
        for (url, wanted) in [
            ("sqs://localhost?region=eu-west-1", "no access key"),
            ("sqs://k:g3heim@localhost", "no region"),
            (
                "sqs://k:g3heim@localhost?region=Eu_1",
                "region that is none",
            ),
            ("sqs://k:g3heim@h?region=e&scheme=ftp", "neither `http`"),
            ("sqs://k:g3heim@h?region=e&wait=1500ms", "whole seconds"),
            ("sqs://k:g3heim@h?region=e&wiat=1s", "no parameter"),
        ] {
            let why = read(url).expect_err(url).to_string();
            assert!(why.contains(wanted) && !why.contains("g3heim"), "{why}");
        }
    }
}
