//! One URL chooses an engine: `sqlite://shop.db`, `memory:`, `consul://127.0.0.1:8500`, `ieum://…`.

use std::fmt;
use std::str::FromStr;

use crate::Secret;

/// A parsed engine URL. Its password is a [`Secret`]: no rendering of the URL shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineUrl {
    scheme: String,
    user: Option<String>,
    password: Option<Secret>,
    rest: String,
}

/// Why a text is not an engine URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineUrlError {
    /// There is no `scheme:` in front.
    #[error("an engine URL starts with its scheme, like `sqlite://shop.db` or `memory:`")]
    NoScheme,
    /// The scheme has characters that RFC 3986 does not allow.
    #[error("`{0}` is not a URL scheme")]
    BadScheme(String),
}

impl EngineUrl {
    /// The scheme in lower case: `sqlite`, `memory`, `consul`, `ieum`, …
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user name before `@`, if there is one.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password before `@`, if there is one.
    pub const fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// What follows the authority's credentials: `host:port/path`, or a file's path for `sqlite`.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// The host and the port, `HOST:PORT` or `HOST` alone, of an engine on the network. Several, for
    /// engines that are a cluster, are joined by commas.
    pub fn authority(&self) -> &str {
        let end = self.rest.find(['/', '?']).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    /// What follows the authority, without its slash and without parameters: a database, a virtual
    /// host. Empty if there is nothing.
    pub fn path(&self) -> &str {
        let rest = &self.rest[self.authority().len()..];
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        rest.split_once('?').map_or(rest, |(path, _)| path)
    }

    /// The parameter `name` of the query, as it is written.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.rest.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The whole URL with its password, percent-encoded where it must be: for a client library.
    pub fn expose(&self) -> Secret {
        let credentials = match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                format!("{}:{}@", encode(user), encode(password.expose()))
            }
            (Some(user), None) => format!("{}@", encode(user)),
            (None, _) => String::new(),
        };
        Secret::new(format!("{}://{credentials}{}", self.scheme, self.rest))
    }

    /// The same on another path: another database, another virtual host.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        let query = self.rest.split_once('?').map(|(_, query)| query.to_owned());
        self.rest = format!("{}/{path}", self.authority());
        if let Some(query) = query {
            self.rest.push('?');
            self.rest.push_str(&query);
        }
        self
    }

    /// The same with `password`, which may have any characters: a URL's text could not hold some.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.user.get_or_insert_default();
        self.password = Some(password);
        self
    }

    /// The same with another scheme: an engine that is reached like this one.
    #[must_use]
    pub fn with_scheme(mut self, scheme: &str) -> Self {
        self.scheme = scheme.to_ascii_lowercase();
        self
    }
}

impl FromStr for EngineUrl {
    type Err = EngineUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').ok_or(EngineUrlError::NoScheme)?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(legal) {
            return Err(EngineUrlError::BadScheme(scheme.to_owned()));
        }
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let authority_end = rest.find('/').unwrap_or(rest.len());
        let (credentials, rest) = match rest[..authority_end].rfind('@') {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let (user, password) = match credentials.map(|c| c.split_once(':').unwrap_or((c, ""))) {
            Some((user, "")) => (Some(decode(user)), None),
            Some((user, password)) => (Some(decode(user)), Some(Secret::new(decode(password)))),
            None => (None, None),
        };
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            password,
            rest: rest.to_owned(),
        })
    }
}

/// Percent-encodes what may not stand in a user name or a password (RFC 3986, section 3.2.1).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The reverse; what is no percent-encoding stays as it is.
fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = hex.filter(|_| byte == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                decoded.push(code);
                rest = &after[2..];
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

impl fmt::Display for EngineUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == "memory" {
            return f.write_str("memory:");
        }
        write!(f, "{}://", self.scheme)?;
        // A password with a slash that was not encoded stands in what is taken for the path; in the
        // path of a file an `@` is nothing special.
        let beyond = self.rest.rfind('@').filter(|_| self.scheme != "sqlite");
        if let Some(at) = beyond {
            let hidden = crate::redact::HIDDEN;
            return write!(f, "{hidden}{}", crate::redact::text(&self.rest[at..]));
        }
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => write!(f, "{user}:{password}@")?,
            // Alone it may be a token, as for NATS, or a password whose scheme was forgotten.
            (Some(_), None) => write!(f, "{}@", crate::redact::HIDDEN)?,
            (None, _) => {}
        }
        // A password may also be among the parameters.
        f.write_str(&crate::redact::text(&self.rest))
    }
}

impl fmt::Debug for EngineUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EngineUrl({self})")
    }
}

impl<'de> serde::Deserialize<'de> for EngineUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for EngineUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EngineUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:",
            "examples": ["sqlite://shop.db", "memory:", "consul://127.0.0.1:8500"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> EngineUrl {
        text.parse().expect("a valid engine URL")
    }

    #[test]
    fn a_password_that_is_added_may_have_any_characters_and_is_not_shown() {
        let url = parse("ieum://10.0.0.1:8500").with_password(Secret::new("a/b@c:d".to_owned()));
        let url = url.with_scheme("consul");
        assert_eq!((url.scheme(), url.rest()), ("consul", "10.0.0.1:8500"));
        assert_eq!(url.password().map(|p| p.expose().as_str()), Some("a/b@c:d"));
        assert!(!url.to_string().contains("a/b"), "{url}");
    }

    #[test]
    fn takes_a_url_apart() {
        let url = parse("Postgres://app:s3cret@db.internal:5432/shop");
        assert_eq!((url.scheme(), url.user()), ("postgres", Some("app")));
        assert_eq!(url.password().map(|p| p.expose().as_str()), Some("s3cret"));
        assert_eq!(url.rest(), "db.internal:5432/shop");
        assert_eq!(
            parse("sqlite:///var/lib/shop@home.db").rest(),
            "/var/lib/shop@home.db"
        );
        assert_eq!(parse("memory:").to_string(), "memory:");
    }

    #[test]
    fn names_host_database_and_parameters() {
        let url = parse("postgres://app:p%40ss@db:5432/shop?sslmode=require");
        assert_eq!((url.authority(), url.path()), ("db:5432", "shop"));
        assert_eq!(url.parameter("sslmode"), Some("require"));
        assert_eq!(url.password().map(|p| p.expose().as_str()), Some("p@ss"));
        let other = url.with_path("users").expose();
        let expected = "postgres://app:p%40ss@db:5432/users?sslmode=require";
        assert_eq!(other.expose(), expected);
        assert_eq!(parse("nats://a:1,b:2").authority(), "a:1,b:2");
        assert_eq!(parse("redis://cache?x=1").path(), "");
    }

    #[test]
    fn never_shows_the_password() {
        assert_eq!(
            parse("nats://t0ken@broker").to_string(),
            "nats://***@broker"
        );
        assert_eq!(
            parse("pg://db/shop?password=s3cret").to_string(),
            "pg://db/shop?password=***"
        );
        assert_eq!(
            parse("pg://app:a/s3cret@db/shop").to_string(),
            "pg://***@db/shop"
        );
        let url = parse("amqp://app:s3cret@broker");
        assert_eq!(
            format!("{url} {url:?}"),
            "amqp://app:***@broker EngineUrl(amqp://app:***@broker)"
        );
    }

    #[test]
    fn refuses_what_has_no_scheme() {
        assert_eq!(
            "shop.db".parse::<EngineUrl>(),
            Err(EngineUrlError::NoScheme)
        );
        assert!(matches!(
            "1x://a".parse::<EngineUrl>(),
            Err(EngineUrlError::BadScheme(_))
        ));
    }
}
