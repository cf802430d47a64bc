//! From a URL to the client library's settings, and a first look at who answers.

use std::fs;
use std::time::Duration;

use ieum_base::{Clock, EngineUrl};
use redis::aio::MultiplexedConnection;
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisResult,
    TlsCertificates,
};

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

/// The client for the server at `url`. Opens nothing.
pub(crate) fn of(url: &EngineUrl, config: &Config) -> Result<Client> {
    let refuse = |why: String| Error::new(ErrorKind::Url, format!("`{url}`: {why}"));
    let (host, port) = host_and_port(url.authority()).map_err(refuse)?;
    let mut settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("ieum", env!("CARGO_PKG_VERSION"))
        .set_db(config.database);
    if let Some(user) = url.user().filter(|user| !user.is_empty()) {
        settings = settings.set_username(user);
    }
    if let Some(password) = url.password() {
        settings = settings.set_password(password.expose());
    }
    let address = match url.scheme() {
        "rediss" => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    let native = |error| Error::native(url, error);
    let info = address.into_connection_info().map_err(native)?;
    let info = info.set_redis_settings(settings);
    match &config.ca {
        None => Client::open(info).map_err(native),
        Some(file) => {
            let unreadable = |error| refuse("`ca` cannot be read".to_owned()).caused_by(error);
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(fs::read(file).map_err(unreadable)?),
            };
            Client::build_with_tls(info, certificates).map_err(native)
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, "6379"),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    if host.is_empty() || host.contains(',') {
        return Err("it must name one host: `redis://HOST:PORT`".to_owned());
    }
    Ok((host.to_owned(), port))
}

/// Refuses a server that cannot work for us: too old, a replica, part of a cluster.
pub(crate) async fn examine(
    connection: &mut MultiplexedConnection,
    url: &EngineUrl,
    clock: &Clock,
    limit: Duration,
) -> Result<()> {
    let asked = tokio::time::timeout(limit, info_when_loaded(connection, clock)).await;
    let why = "it stands still, or is still reading its data";
    let answer = asked.map_err(|_| Error::unavailable(url, why))?;
    let info = answer.map_err(|error| Error::native(url, error))?;
    let refuse = |why: String| Err(Error::new(ErrorKind::Refused, format!("`{url}`: {why}")));
    if info.get("role") == Some("slave") {
        return refuse("it is a replica, which takes no writes: name the primary".to_owned());
    }
    if info.get("cluster_enabled") == Some("1") {
        return refuse(
            "it is part of a cluster, which is not supported: name a single server".to_owned(),
        );
    }
    match info.version() {
        Some(version) if version >= LEAST_VERSION => Ok(()),
        _ => {
            let found = info.get("redis_version").unwrap_or("of no known version");
            refuse(format!(
                "it is Redis {found}, too old: 6.2 or newer is needed"
            ))
        }
    }
}

/// What `INFO` answers once the server has read its data, which it does after each start.
async fn info_when_loaded(
    connection: &mut MultiplexedConnection,
    clock: &Clock,
) -> RedisResult<Info> {
    loop {
        let info = Info(redis::cmd("INFO").query_async(connection).await?);
        if info.get("loading") != Some("1") {
            return Ok(info);
        }
        clock.sleep(LOADING).await;
    }
}

/// What `INFO` answers.
pub(crate) struct Info(pub(crate) String);

impl Info {
    /// The value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    }

    /// The server's version, major and minor.
    pub(crate) fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.get("redis_version")?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

/// Between two looks at a server that reads its data.
const LOADING: Duration = Duration::from_millis(50);
/// The first version with all that we ask: `XTRIM MINID` and `XRANGE` without its start.
pub(crate) const LEAST_VERSION: (u32, u32) = (6, 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_leave_out_its_port() {
        let of = |text| host_and_port(text).expect("a host");
        assert_eq!(of("cache"), ("cache".to_owned(), 6379));
        assert_eq!(of("cache:7000"), ("cache".to_owned(), 7000));
        assert_eq!(of("[::1]:7000"), ("::1".to_owned(), 7000));
        assert_eq!(of("[::1]"), ("::1".to_owned(), 6379));
        for wrong in ["", ":1", "a:x", "a:1,b:2"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_version_is_read() {
        let info = Info("# Server\r\nredis_version:7.0.15\r\nrole:master\r\n".to_owned());
        assert_eq!(
            (info.version(), info.get("role")),
            (Some((7, 0)), Some("master"))
        );
    }
}
