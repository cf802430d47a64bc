//! Where a server is, and the bounds of talking to it.
//!
//! A URL is taken apart strictly: a misspelt parameter is an error, because the one that was meant
//! (`sslmode`, say) would silently not apply.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ieum_base::{Clock, EngineUrl, HumanDuration};
use tokio_postgres::config::{LoadBalanceHosts, SslMode, TargetSessionAttrs};

use crate::{Error, ErrorKind, Result};

/// The schemes of an engine URL that names a PostgreSQL database.
pub const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// The settings of a pool of connections. All have a default that suits a service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The time that rows are stamped with.
    pub clock: Clock,
    /// The most connections of this pool, hence statements at once. Default 8.
    pub max_connections: usize,
    /// The longest wait for one TCP connection and its handshake. Default 5 s, since the server
    /// starts a process for it.
    pub connect_timeout: Duration,
    /// The longest wait for a connection of the pool, with repeated attempts while the server is
    /// away. Default 5 s.
    pub acquire_timeout: Duration,
    /// The longest that the server works on one statement. Default 30 s.
    pub statement_timeout: Duration,
    /// The longest that a transaction may stand idle before the server ends it. Default 60 s.
    pub idle_in_transaction_timeout: Duration,
    /// How this process is called in `pg_stat_activity`. Default `ieum`.
    pub application_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            max_connections: 8,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            idle_in_transaction_timeout: Duration::from_secs(60),
            application_name: "ieum".to_owned(),
        }
    }
}

impl Config {
    /// The same with the bounds that `url` names among its parameters: `max_connections`,
    /// `connect_timeout`, `acquire_timeout`, `statement_timeout` and `idle_in_transaction_timeout`,
    /// durations like `5s`.
    pub(super) fn with_parameters(mut self, url: &EngineUrl) -> Result<Self> {
        if let Some(text) = url.parameter("max_connections") {
            let number = text.parse().ok().filter(|number| *number > 0);
            let what = "`max_connections` is a number from 1";
            self.max_connections = number.ok_or_else(|| invalid(url, what))?;
        }
        for (name, limit) in [
            ("connect_timeout", &mut self.connect_timeout),
            ("acquire_timeout", &mut self.acquire_timeout),
            ("statement_timeout", &mut self.statement_timeout),
            (
                "idle_in_transaction_timeout",
                &mut self.idle_in_transaction_timeout,
            ),
        ] {
            if let Some(text) = url.parameter(name) {
                let given = text.parse::<HumanDuration>().ok();
                // The server takes 0 for no limit at all.
                let given = given.filter(|given| given.0.as_millis() > 0);
                let what = format!("`{name}` is a duration like `5s`");
                *limit = given.ok_or_else(|| invalid(url, &what))?.0;
            }
        }
        Ok(self)
    }
}

/// What a URL says about the server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) client: tokio_postgres::Config,
    pub(super) tls: TlsMode,
}

/// How far TLS goes: the words of libpq's `sslmode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TlsMode {
    /// None.
    Disable,
    /// If the server offers it; whose certificate it is is not looked at.
    Prefer,
    /// Always; whose certificate it is is not looked at.
    Require,
    /// Always, and the certificate must be the host's: by this file's roots, or the platform's.
    VerifyFull(Option<PathBuf>),
}

impl Server {
    /// Takes `url` apart. `Invalid` names what is wrong with it.
    pub(super) fn parse(url: &EngineUrl, config: &Config) -> Result<Self> {
        if !SCHEMES.contains(&url.scheme()) {
            return Err(invalid(url, "its scheme is not `postgres`"));
        }
        check_parameters(url)?;
        let mut client = tokio_postgres::Config::new();
        let user = url.user().filter(|user| !user.is_empty());
        client.user(user.ok_or_else(|| invalid(url, "it names no user"))?);
        if let Some(password) = url.password() {
            client.password(password.expose());
        }
        if url.path().is_empty() {
            return Err(invalid(url, "it names no database"));
        }
        client.dbname(url.path());
        hosts(url, &mut client)?;
        let name = url.parameter("application_name");
        client
            .application_name(name.unwrap_or(&config.application_name))
            .connect_timeout(config.connect_timeout)
            .tcp_user_timeout(config.statement_timeout)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .load_balance_hosts(LoadBalanceHosts::Disable);
        // Of several servers the primary is meant, wherever it is now. One alone that is a standby is
        // told apart from one that does not answer.
        client.target_session_attrs(if client.get_hosts().len() > 1 {
            TargetSessionAttrs::ReadWrite
        } else {
            TargetSessionAttrs::Any
        });
        let tls = TlsMode::parse(url)?;
        client.ssl_mode(match tls {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyFull(_) => SslMode::Require,
        });
        Ok(Self { client, tls })
    }

    /// The longest wait for a connection to one of the hosts: the first ones may be silent.
    pub(super) fn patience(&self, config: &Config) -> Duration {
        let hosts = u32::try_from(self.client.get_hosts().len()).unwrap_or(u32::MAX);
        config.connect_timeout.saturating_mul(hosts.max(1))
    }
}

impl TlsMode {
    fn parse(url: &EngineUrl) -> Result<Self> {
        let roots = url.parameter("sslrootcert").map(PathBuf::from);
        match (url.parameter("sslmode").unwrap_or("prefer"), roots) {
            ("disable", _) => Ok(Self::Disable),
            ("prefer", None) => Ok(Self::Prefer),
            ("require", None) => Ok(Self::Require),
            ("verify-full", roots) => Ok(Self::VerifyFull(roots)),
            ("prefer" | "require", Some(_)) => Err(invalid(
                url,
                "`sslrootcert` is looked at with `sslmode=verify-full` only",
            )),
            _ => Err(invalid(
                url,
                "`sslmode` is one of `disable`, `prefer`, `require`, `verify-full`",
            )),
        }
    }
}

/// One host or several joined by commas, each with a port or 5432; or a socket's folder.
fn hosts(url: &EngineUrl, client: &mut tokio_postgres::Config) -> Result<()> {
    if let Some(folder) = url.parameter("host") {
        if !Path::new(folder).is_absolute() {
            return Err(invalid(url, "`host` is the folder of the server's socket"));
        }
        client.host_path(folder);
        return Ok(());
    }
    for place in url.authority().split(',') {
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port != 0_u16);
                (
                    host,
                    port.ok_or_else(|| invalid(url, "its port is not a port"))?,
                )
            }
            _ => (place, 5_432),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid(url, "it names no host"));
        }
        client.host(host).port(port);
    }
    Ok(())
}

fn check_parameters(url: &EngineUrl) -> Result<()> {
    let query = url.rest().split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter(|pair| !pair.is_empty());
    for name in names.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name)) {
        if !PARAMETERS.contains(&name) {
            let known = PARAMETERS.join("`, `");
            let what = format!("`{name}` is not one of its parameters (`{known}`)");
            return Err(invalid(url, &what));
        }
    }
    Ok(())
}

fn invalid(url: &EngineUrl, what: &str) -> Error {
    let context = format!(
        "`{url}` cannot be used, {what}: write `postgres://USER:PASSWORD@HOST:5432/DATABASE`"
    );
    Error::new(ErrorKind::Invalid, context)
}

const PARAMETERS: [&str; 9] = [
    "sslmode",
    "sslrootcert",
    "host",
    "application_name",
    "max_connections",
    "connect_timeout",
    "acquire_timeout",
    "statement_timeout",
    "idle_in_transaction_timeout",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server> {
        Server::parse(&url.parse().expect("a URL"), &Config::default())
    }

    #[test]
    fn a_url_names_user_hosts_database_and_tls() {
        let server = parse("postgres://app:s3@db.internal:6432/shop").expect("valid");
        assert_eq!(server.client.get_user(), Some("app"));
        assert_eq!(server.client.get_ports(), [6_432]);
        assert_eq!(server.client.get_dbname(), Some("shop"));
        assert_eq!(server.tls, TlsMode::Prefer);
        let two = parse("postgresql://app@a,[::1]:6000/shop?sslmode=verify-full").expect("valid");
        assert_eq!(two.client.get_ports(), [5_432, 6_000]);
        assert_eq!(two.client.get_hosts().len(), 2);
        assert_eq!(two.tls, TlsMode::VerifyFull(None));
        // Both may be silent, and one of them may be a standby.
        assert_eq!(
            two.patience(&Config::default()),
            Config::default().connect_timeout * 2
        );
        let wanted = |server: &Server| server.client.get_target_session_attrs();
        assert_eq!(wanted(&two), TargetSessionAttrs::ReadWrite);
        assert_eq!(wanted(&server), TargetSessionAttrs::Any);
        let socket = parse("postgres://app@/shop?host=/run/postgresql").expect("valid");
        assert_eq!(socket.client.get_hosts().len(), 1);
    }

    #[test]
    fn a_url_may_name_the_bounds_of_its_pool() {
        let bounds = |query: &str| {
            let url: EngineUrl = format!("postgres://app@db/shop?{query}")
                .parse()
                .expect("a URL");
            check_parameters(&url)?;
            Config::default().with_parameters(&url)
        };
        let config = bounds("max_connections=3&idle_in_transaction_timeout=250ms").expect("valid");
        assert_eq!(config.max_connections, 3);
        let limits = (config.idle_in_transaction_timeout, config.statement_timeout);
        assert_eq!(
            limits,
            (Duration::from_millis(250), Duration::from_secs(30))
        );
        for wrong in [
            "max_connections=0",
            "statement_timeout=0s",
            "acquire_timeout=5",
        ] {
            let error = bounds(wrong).expect_err(wrong);
            let (name, _) = wrong.split_once('=').expect("a pair");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, why) in [
            ("mysql://app:s3cret@db/shop", "scheme"),
            ("postgres://db/shop", "no user"),
            ("postgres://app:s3cret@db", "no database"),
            ("postgres://app:s3cret@/shop", "no host"),
            ("postgres://app:s3cret@db:0/shop", "port"),
            ("postgres://app:s3cret@db/shop?ssl=on", "`ssl`"),
            ("postgres://app:s3cret@db/shop?sslmode=allow", "`sslmode`"),
            (
                "postgres://app:s3cret@db/shop?sslrootcert=/ca.pem",
                "verify-full",
            ),
        ] {
            let error = parse(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let text = error.to_string();
            assert!(text.contains(why) && !text.contains("s3cret"), "{text}");
        }
    }
}
