//! Sessions: signed tokens that the gateway checks.

use std::time::Duration;

use ieum::base::{Clock, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::support::keys::SigningKey;

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// Signs tokens with one key.
pub(super) struct Tokens {
    key: EncodingKey,
    header: Header,
    clock: Clock,
}

/// A signed token.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    /// The token, for the header `Authorization: Bearer …`.
    token: String,
    /// When it ends.
    expires_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    sub: &'a str,
    user_id: &'a str,
    roles: &'a [String],
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// A signer with this key.
    pub(super) fn new(key: &SigningKey, clock: Clock) -> Result<Self, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key.id.clone());
        Ok(Self {
            key: EncodingKey::from_ec_pem(key.private_pem.expose().as_bytes())?,
            header,
            clock,
        })
    }

    /// A session for this user.
    pub(super) fn issue(
        &self,
        user_id: &str,
        roles: &[String],
    ) -> Result<Session, jsonwebtoken::errors::Error> {
        let now = self.clock.now();
        let expires_at = now.after(LIFETIME);
        let claims = Claims {
            sub: user_id,
            user_id,
            roles,
            iat: now.as_secs(),
            exp: expires_at.as_secs(),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.key)?;
        Ok(Session { token, expires_at })
    }
}
