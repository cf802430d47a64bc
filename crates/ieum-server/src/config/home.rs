//! Where registrations live: in this process's log, in its memory, or in another process, which it
//! then follows.
//!
//! One process owns a log that is a file, and with it the registry and the sagas; several share one in
//! PostgreSQL. Any number of gateways follow them. A file that several processes share differs in what
//! the command line says: [`Overrides`].

use std::net::SocketAddr;

use ieum_base::{EngineUrl, Secret};
use ieum_discovery::consul;
use ieum_remote::{SCHEME, SCHEME_TLS};

use super::secret::{self, MissingSecret};
use super::{Config, Platform, Registry, Role};

/// Where the registrations are that a process works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// In its log.
    Log,
    /// In its memory.
    Memory,
    /// At the process behind this URL.
    Elsewhere(EngineUrl),
}

/// What the command line says in place of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `platform.roles`
    pub roles: Option<Vec<Role>>,
    /// `platform.listen`
    pub listen: Option<SocketAddr>,
    /// `gateway.listen`
    pub gateway_listen: Option<SocketAddr>,
    /// `registry.url`
    pub registry: Option<String>,
}

impl Overrides {
    /// Puts them in their place; answers the keys that the file has no say in any more.
    pub(super) fn apply(&self, config: &mut Config) -> Vec<&'static str> {
        let mut keys = Vec::new();
        if let Some(roles) = &self.roles {
            config.platform.roles.clone_from(roles);
            keys.push("platform.roles");
        }
        if let Some(address) = self.listen {
            config.platform.listen = Some(address);
            keys.push("platform.listen");
        }
        if let Some(address) = self.gateway_listen {
            config.gateway.listen = Some(address);
            keys.push("gateway.listen");
        }
        if let Some(url) = &self.registry {
            config.registry.url = Some(url.clone());
            keys.push("registry.url");
        }
        keys
    }
}

impl Registry {
    /// Where the registrations are; an error says what is wrong with the URL.
    pub fn home(&self) -> Result<Home, String> {
        let Some(text) = &self.url else {
            return Ok(Home::Log);
        };
        let url: EngineUrl = text
            .parse()
            .map_err(|error: ieum_base::EngineUrlError| error.to_string())?;
        match url.scheme() {
            "memory" => return Ok(Home::Memory),
            SCHEME | SCHEME_TLS | consul::SCHEME => {}
            other => return Err(format!("the registry cannot be kept in `{other}`")),
        }
        let address = url.rest().trim_end_matches('/');
        let several = url.scheme() == consul::SCHEME && address.contains(',');
        if address.is_empty() || several || address.contains(['/', '?', '#']) {
            return Err(format!("`{url}` does not name a host and a port"));
        }
        Ok(Home::Elsewhere(url))
    }
}

impl Platform {
    /// True if this process is a gateway and nothing else.
    pub fn is_gateway_only(&self) -> bool {
        self.roles == [Role::Gateway]
    }
}

impl Config {
    /// The registry that this process follows, with its token; `None` if it has its own.
    ///
    /// # Errors
    /// If the token cannot be read.
    pub fn followed(&self) -> Result<Option<EngineUrl>, MissingSecret> {
        let Ok(Home::Elsewhere(url)) = self.registry.home() else {
            return Ok(None);
        };
        Ok(Some(match self.registry_token()? {
            Some(token) => url.with_password(token),
            None => url,
        }))
    }

    /// Says which part of a platform this process is.
    pub fn part(&self) -> String {
        match self.registry.home() {
            Ok(Home::Elsewhere(url)) => format!("follows the registry at {url}, owns no log"),
            _ if self.shares_log() => "may share its log with others".to_owned(),
            _ => "owns the log".to_owned(),
        }
    }

    fn registry_token(&self) -> Result<Option<Secret>, MissingSecret> {
        match (&self.registry.token_env, &self.registry.token_file) {
            (Some(name), _) => secret::from_env(name).map(Some),
            (None, Some(path)) => secret::from_file(&self.resolve(path)).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Registry, Self::Sagas];

    /// Its name, as the configuration has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Registry => "registry",
            Self::Sagas => "sagas",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|role| role.name() == text);
        named.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join("`, `");
            format!("there is no role `{text}`; the roles are `{names}`")
        })
    }
}
