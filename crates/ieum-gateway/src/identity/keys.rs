//! Loading keys, and refusing those that protect nothing.
//!
//! A library verifies with whatever key it is given. So the rules of RFC 8725 are checked here, at
//! load: one algorithm per key, no short secrets, no small RSA keys, no public key posing as a
//! secret, no set in which a token could choose between a secret and a public key.

use std::path::Path;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use ieum_base::{Secret, redact};
use jsonwebtoken::DecodingKey;

use crate::config::{Algorithm, ConfigError, JwtConfig, KeyConfig};

/// A usable key.
pub(crate) struct Key {
    pub(crate) kid: Option<Box<str>>,
    pub(crate) algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
}

/// A set of keys that belong together.
pub(crate) struct Keys(Box<[Key]>);

impl Keys {
    /// Loads all keys of `[gateway.jwt]`, or says everything that is wrong with them.
    pub(crate) fn load(config: &JwtConfig) -> Result<Self, Vec<ConfigError>> {
        let mut errors = check_set(&config.keys);
        let mut keys = Vec::new();
        for (index, key) in config.keys.iter().enumerate() {
            match load(key) {
                Ok(key) => keys.push(key),
                Err((field, message)) => {
                    let path = format!("gateway.jwt.keys[{index}]{field}");
                    errors.push(ConfigError::new(path, message));
                }
            }
        }
        if errors.is_empty() {
            Ok(Self(keys.into()))
        } else {
            Err(errors)
        }
    }

    /// The key that a token names; without a name, the only key.
    pub(crate) fn named(&self, kid: Option<&str>) -> Option<&Key> {
        match (kid, &*self.0) {
            (None, [only]) => Some(only),
            // A key without a name is the only one, and answers to any.
            (Some(_), [only]) if only.kid.is_none() => Some(only),
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            (None, _) => None,
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = self.0.iter().map(|key| (&key.kid, key.algorithm));
        f.debug_list().entries(named).finish()
    }
}

fn check_set(keys: &[KeyConfig]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut refuse = |path: String, message: &str| errors.push(ConfigError::new(path, message));
    if keys.is_empty() || keys.len() > MOST_KEYS {
        refuse("gateway.jwt.keys".into(), "must have 1 to 64 keys");
    }
    let symmetric = keys
        .iter()
        .filter(|k| k.algorithm == Algorithm::Hs256)
        .count();
    if symmetric > 0 && symmetric < keys.len() {
        let message = "mixes secrets and public keys; whoever may read a public key could then try \
                       to sign with it";
        refuse("gateway.jwt.keys".into(), message);
    }
    for (index, key) in keys.iter().enumerate() {
        let path = format!("gateway.jwt.keys[{index}].kid");
        match &key.kid {
            None if keys.len() > 1 => refuse(path, "is required where there is more than one key"),
            Some(kid) if kid.is_empty() => refuse(path, "must not be empty"),
            Some(kid) if keys[..index].iter().any(|k| k.kid.as_ref() == Some(kid)) => {
                refuse(path, "is the name of an earlier key too");
            }
            _ => {}
        }
    }
    errors
}

/// The field that is wrong (with its dot), and how.
type Wrong = (&'static str, String);

fn load(config: &KeyConfig) -> Result<Key, Wrong> {
    let sources = [
        config.secret_file.is_some(),
        config.secret_env.is_some(),
        config.public_key_file.is_some(),
        config.public_key.is_some(),
    ];
    let [file, env, public_file, public] = sources;
    if sources.iter().filter(|given| **given).count() != 1 {
        let message = "must have exactly one of `secret-file`, `secret-env`, `public-key-file` and \
                       `public-key`";
        return Err(("", message.to_owned()));
    }
    let is_symmetric = config.algorithm == Algorithm::Hs256;
    if is_symmetric != (file || env) {
        let message =
            "does not go with this source: HS256 takes a secret, RS256 and ES256 a public key";
        return Err((".algorithm", message.to_owned()));
    }
    let field = match (file, env, public_file, public) {
        (true, ..) => ".secret-file",
        (_, true, ..) => ".secret-env",
        (_, _, true, _) => ".public-key-file",
        _ => ".public-key",
    };
    let material = read(config).map_err(|message| (field, message))?;
    let decoding = match config.algorithm {
        Algorithm::Hs256 => hmac(&material),
        Algorithm::Rs256 => rsa(&material),
        Algorithm::Es256 => ec(&material),
    };
    Ok(Key {
        kid: config.kid.as_deref().map(Into::into),
        algorithm: config.algorithm,
        decoding: decoding.map_err(|message| (field, message))?,
    })
}

fn read(config: &KeyConfig) -> Result<Secret<Vec<u8>>, String> {
    let file = |path: &Path| {
        std::fs::read(path)
            .map(|mut bytes| {
                let end = bytes.trim_ascii_end().len();
                bytes.truncate(end);
                Secret::new(bytes)
            })
            .map_err(|error| format!("cannot be read: {error} ({})", path.display()))
    };
    if let Some(path) = config
        .secret_file
        .as_ref()
        .or(config.public_key_file.as_ref())
    {
        return file(path);
    }
    if let Some(name) = &config.secret_env {
        return std::env::var(name)
            .map(|value| Secret::new(value.into_bytes()))
            .map_err(|_| match redact::is_variable_name(name) {
                true => format!("names the environment variable `{name}`, which is not set"),
                false => "names an environment variable, and is not the secret itself".to_owned(),
            });
    }
    let public = config.public_key.clone().unwrap_or_default();
    Ok(Secret::new(public.into_bytes()))
}

fn hmac(secret: &Secret<Vec<u8>>) -> Result<DecodingKey, String> {
    let secret = secret.expose();
    if secret.len() < SHORTEST_SECRET {
        let length = secret.len();
        return Err(format!(
            "holds a secret of {length} bytes; HS256 needs at least 32"
        ));
    }
    if secret.starts_with(b"-----BEGIN") {
        return Err("holds a PEM document, which is no secret".to_owned());
    }
    if secret.iter().all(|byte| *byte == secret[0]) {
        return Err("holds one byte over and over, which is no secret".to_owned());
    }
    Ok(DecodingKey::from_secret(secret))
}

fn rsa(pem: &Secret<Vec<u8>>) -> Result<DecodingKey, String> {
    let wrong = || "is no RSA public key in PEM (`BEGIN PUBLIC KEY`)".to_owned();
    let key = public(pem).and_then(|pem| DecodingKey::from_rsa_pem(pem).ok());
    let key = key.ok_or_else(wrong)?;
    let der = key.try_get_as_bytes().map_err(|_| wrong())?;
    let parsed = rsa::PublicKey::from_der(der).map_err(|_| wrong())?;
    let bits = parsed.modulus_len() * 8;
    if bits < SMALLEST_RSA {
        return Err(format!(
            "is an RSA key of {bits} bits; at least 2048 are needed"
        ));
    }
    Ok(key)
}

fn ec(pem: &Secret<Vec<u8>>) -> Result<DecodingKey, String> {
    let wrong = || "is no public key on the curve P-256 in PEM (`BEGIN PUBLIC KEY`)".to_owned();
    let key = public(pem).and_then(|pem| DecodingKey::from_ec_pem(pem).ok());
    let key = key.ok_or_else(wrong)?;
    let point = key.try_get_as_bytes().map_err(|_| wrong())?;
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| wrong())?;
    Ok(key)
}

/// A private key is none of the gateway's business; it is refused rather than used.
fn public(pem: &Secret<Vec<u8>>) -> Option<&[u8]> {
    let pem = pem.expose();
    let is_private = std::str::from_utf8(pem).is_ok_and(|text| text.contains("PRIVATE KEY"));
    (!is_private).then_some(pem)
}

const MOST_KEYS: usize = 64;
const SHORTEST_SECRET: usize = 32;
const SMALLEST_RSA: usize = 2_048;
