//! Verifying tokens, once each.
//!
//! A signature costs microseconds and the same token comes with every request of a session, so what
//! was verified is remembered until it expires. Only good tokens are remembered: an attacker's
//! garbage cannot push them out. Times are checked on every use, remembered or not.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Once};

use http::{HeaderName, HeaderValue};
use ieum_base::{Clock, Timestamp};
use jsonwebtoken::{Validation, decode, decode_header};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use super::Keys;
use crate::config::{Algorithm, JwtConfig};

/// What is known of a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user.
    pub(crate) user: Box<str>,
    /// The roles; none of them holds a comma.
    pub(crate) roles: Box<[Box<str>]>,
    /// What goes inside.
    pub(crate) headers: Box<[(HeaderName, HeaderValue)]>,
    /// Seconds since the epoch.
    expires: i64,
    not_before: i64,
}

/// Verifies tokens by one configuration.
pub(crate) struct Verifier {
    keys: Keys,
    issuer: Option<Box<str>>,
    audience: Box<[Box<str>]>,
    leeway: i64,
    user_claim: Box<str>,
    roles_claim: Box<str>,
    headers: HashMap<String, Vec<HeaderName>>,
    clock: Clock,
    known: Option<Cache<Box<str>, Arc<Identity>>>,
}

impl Verifier {
    /// A verifier that remembers about `capacity` tokens.
    pub(crate) fn new(config: &JwtConfig, keys: Keys, capacity: usize, clock: Clock) -> Self {
        install_provider();
        let names = |names: Vec<String>| names.iter().filter_map(|n| n.parse().ok()).collect();
        let mapping = config.header_mapping().into_iter();
        Self {
            keys,
            issuer: config.issuer.as_deref().map(Into::into),
            audience: config.audience.iter().map(|a| a.as_str().into()).collect(),
            leeway: i64::try_from(config.leeway.0.as_secs()).unwrap_or(0),
            user_claim: config.user_claim.as_str().into(),
            roles_claim: config.roles_claim.as_str().into(),
            headers: mapping.map(|(claim, n)| (claim, names(n))).collect(),
            clock,
            known: (capacity > 0).then(|| Cache::new(capacity)),
        }
    }

    /// The caller, or why the token is not believed (for people; it never holds the token).
    pub(crate) fn verify(&self, token: &str) -> Result<Arc<Identity>, &'static str> {
        let remembered = self.known.as_ref().and_then(|known| known.get(token));
        let identity = match remembered {
            Some(identity) => identity,
            None => Arc::new(self.read(token)?),
        };
        let now = self.clock.now();
        if let Err(why) = self.check_times(&identity, now) {
            if let Some(known) = &self.known {
                known.remove(token);
            }
            return Err(why);
        }
        if let Some(known) = &self.known
            && token.len() <= LONGEST_REMEMBERED
            && !known.contains_key(token)
        {
            known.insert(token.into(), Arc::clone(&identity));
        }
        Ok(identity)
    }

    fn check_times(&self, identity: &Identity, now: Timestamp) -> Result<(), &'static str> {
        let now = now.as_secs();
        if now >= identity.expires.saturating_add(self.leeway) {
            return Err("the token has expired");
        }
        if now < identity.not_before.saturating_sub(self.leeway) {
            return Err("the token is not valid yet");
        }
        Ok(())
    }

    fn read(&self, token: &str) -> Result<Identity, &'static str> {
        let header = decode_header(token).map_err(|_| "the token is malformed")?;
        if header.crit.is_some() {
            // RFC 7515, 4.1.11: what must be understood and is not makes the token invalid.
            return Err("the token demands an extension that is not understood");
        }
        let key = self.keys.named(header.kid.as_deref());
        let key = key.ok_or("the token names no known key")?;
        let algorithm = algorithm(key.algorithm);
        if header.alg != algorithm {
            return Err("the token is signed by another algorithm than its key's");
        }
        let mut validation = Validation::new(algorithm);
        // Times, issuer and audience are checked below, by our clock and on each use.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = decode::<Map<String, Value>>(token, &key.decoding, &validation);
        let claims = decoded
            .map_err(|_| "the token's signature is not valid")?
            .claims;
        self.check_names(&claims)?;
        self.identity(&claims)
    }

    fn check_names(&self, claims: &Map<String, Value>) -> Result<(), &'static str> {
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err("the token has another issuer");
        }
        let is_ours = |name: &Value| {
            let name = name.as_str();
            name.is_some_and(|name| self.audience.iter().any(|ours| **ours == *name))
        };
        let audience = claims.get("aud");
        let matches = match audience {
            Some(Value::Array(names)) => names.iter().any(is_ours),
            Some(name) => is_ours(name),
            None => false,
        };
        if !self.audience.is_empty() && !matches {
            return Err("the token is for another audience");
        }
        Ok(())
    }

    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, &'static str> {
        let user = claims.get(&*self.user_claim).and_then(text);
        let user = user.filter(|user| !user.is_empty());
        Ok(Identity {
            user: user.ok_or("the token does not name its user")?.into(),
            roles: roles(claims.get(&*self.roles_claim))?,
            headers: self.header_values(claims)?,
            expires: seconds(claims.get("exp")).ok_or("the token does not expire")?,
            not_before: match claims.get("nbf") {
                None => i64::MIN,
                given => seconds(given).ok_or("the token is malformed")?,
            },
        })
    }

    fn header_values(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Box<[(HeaderName, HeaderValue)]>, &'static str> {
        let mut headers = Vec::new();
        for (claim, names) in &self.headers {
            let is_roles = **claim == *self.roles_claim;
            let value = match claims.get(claim) {
                None | Some(Value::Null) => continue,
                Some(value) if is_roles => Some(roles(Some(value))?.join(",")),
                Some(value) => text(value),
            };
            let value = value.and_then(|v| HeaderValue::from_bytes(v.as_bytes()).ok());
            let value = value.ok_or("the token holds a claim that cannot be passed on")?;
            headers.extend(names.iter().map(|name| (name.clone(), value.clone())));
        }
        Ok(headers.into())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verifier").field(&self.keys).finish()
    }
}

const fn algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
    }
}

/// The library panics without a provider. Somebody else in the process may have installed it.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

/// A claim as the text of a header.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(text).collect();
            items.map(|items| items.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Roles as an array, or as words in one string. Inside they are joined by commas, so a role that
/// holds one would become two.
fn roles(claim: Option<&Value>) -> Result<Box<[Box<str>]>, &'static str> {
    let words: Option<Vec<&str>> = match claim {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(words)) => Some(words.split([' ', ',']).collect()),
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    let words = words.ok_or("the token's roles are malformed")?;
    if words.iter().any(|role| role.contains(',')) {
        return Err("the token's roles are malformed");
    }
    let given = words.into_iter().filter(|role| !role.is_empty());
    Ok(given.map(Into::into).collect())
}

/// A NumericDate, whole or with a fraction.
fn seconds(claim: Option<&Value>) -> Option<i64> {
    let number = claim?.as_number()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from float to int saturates"
    )]
    let whole = number
        .as_i64()
        .or_else(|| number.as_f64().map(|f| f as i64));
    whole
}

/// Longer tokens are verified each time, so that the memory's bound holds.
const LONGEST_REMEMBERED: usize = 4096;
