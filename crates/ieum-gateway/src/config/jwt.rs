//! `[gateway.jwt]`: which tokens are believed, and what of them goes inside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bearer tokens (RFC 7519, used by the rules of RFC 8725).
///
/// ```toml
/// [gateway.jwt]
/// issuer = "https://shop.example"
/// audience = ["shop"]
/// leeway = "30s"
/// user-claim = "userId"
/// roles-claim = "roles"
///
/// [[gateway.jwt.keys]]
/// kid = "2026-11"
/// algorithm = "HS256"
/// secret-env = "SHOP_JWT_SECRET"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JwtConfig {
    /// The claim `iss` that a token must have. Default: any, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The claim `aud` must name one of these. Default: any, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// How far the issuer's clock may be off when `exp` and `nbf` are checked. Default `30s`; at
    /// most `60s`.
    #[serde(default = "default_leeway")]
    pub leeway: HumanDuration,
    /// The keys, each with its one algorithm. Required; 1 to 64; all symmetric or all asymmetric.
    pub keys: Vec<KeyConfig>,
    /// The claim that names the user; `${user}` in composed paths and `by = "user"` in rate limits
    /// are its value. A token without it is refused. Default `userId`.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// The claim that lists the user's roles, as an array or as words. Default `roles`.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
    /// Which claims go inside, and as which headers. Default: the user claim as `user-id` and
    /// `x-user-id`, the roles claim as `x-user-roles` (joined by commas).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, Vec<String>>>,
}

const fn default_leeway() -> HumanDuration {
    HumanDuration::from_secs(30)
}

fn default_user_claim() -> String {
    "userId".to_owned()
}

fn default_roles_claim() -> String {
    "roles".to_owned()
}

impl JwtConfig {
    /// Settings with these keys and defaults for all else.
    pub fn with_keys(keys: Vec<KeyConfig>) -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            leeway: default_leeway(),
            keys,
            user_claim: default_user_claim(),
            roles_claim: default_roles_claim(),
            headers: None,
        }
    }

    /// Claims and the headers that they become.
    pub fn header_mapping(&self) -> BTreeMap<String, Vec<String>> {
        self.headers.clone().unwrap_or_else(|| {
            let user = vec!["user-id".to_owned(), "x-user-id".to_owned()];
            let roles = vec!["x-user-roles".to_owned()];
            BTreeMap::from([
                (self.user_claim.clone(), user),
                (self.roles_claim.clone(), roles),
            ])
        })
    }

    pub(super) fn relative_to(&mut self, folder: &Path) {
        for key in &mut self.keys {
            let paths = [&mut key.secret_file, &mut key.public_key_file];
            for path in paths.into_iter().flatten() {
                *path = folder.join(&*path);
            }
        }
    }
}

/// One key. Exactly one of the four sources is given: a secret for HS256, a public key for the
/// others. A secret is never written into the configuration itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyConfig {
    /// The `kid` by which tokens name this key. Required if there is more than one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The one algorithm that this key is used with. Required.
    pub algorithm: Algorithm,
    /// HS256: a file with the secret; a line end after it is no part of it. At least 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// HS256: the environment variable with the secret. At least 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// RS256, ES256: a file with the public key in PEM (`BEGIN PUBLIC KEY`). RSA: at least 2,048
    /// bits; ES256: on the curve P-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_file: Option<PathBuf>,
    /// RS256, ES256: the public key itself, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever verifies could also sign.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}
