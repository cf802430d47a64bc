//! Passwords: hashed with argon2id, off the event loop, a few at a time.
//!
//! A check takes the same time whether the user exists or not, so that nobody learns who has an
//! account. Each hash needs 19 MiB (OWASP's first choice), hence the bound on how many run at once.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use ieum::base::Secret;
use tokio::sync::Semaphore;

/// How many hashes are computed at once: 4 × 19 MiB.
const AT_ONCE: usize = 4;

/// Hashes and checks passwords.
pub(super) struct Passwords {
    at_once: Semaphore,
    /// A hash that no password has, to check against when there is no user.
    nobody: String,
}

/// Hashing failed, which is a defect or a lack of memory.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub(super) struct HashError(String);

impl Passwords {
    /// Prepares the hash that stands for nobody.
    pub(super) async fn new() -> Result<Self, HashError> {
        let nobody = Secret::new(ieum::base::Uuid::new_v4().to_string());
        let mut passwords = Self {
            at_once: Semaphore::new(AT_ONCE),
            nobody: String::new(),
        };
        passwords.nobody = passwords.hash(nobody).await?;
        Ok(passwords)
    }

    /// The hash of `password`, in PHC's format.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        self.blocking(move || {
            let hash = Argon2::default().hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string())
                .map_err(|error| HashError(error.to_string()))
        })
        .await?
    }

    /// True if `password` has this hash. Without a hash it takes as long, and is false.
    pub(super) async fn verify(
        &self,
        password: Secret,
        hash: Option<String>,
    ) -> Result<bool, HashError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let matches = self
            .blocking(move || {
                PasswordHash::new(&hash).is_ok_and(|hash| {
                    let password = password.expose().as_bytes();
                    Argon2::default().verify_password(password, &hash).is_ok()
                })
            })
            .await?;
        Ok(known && matches)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let _permit = self
            .at_once
            .acquire()
            .await
            .map_err(|e| HashError(e.to_string()))?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| HashError(error.to_string()))
    }
}

/// Refuses what is too short to be safe or too long to be hashed: 8 to 256 bytes.
pub(super) fn acceptable(password: &Secret) -> Result<(), &'static str> {
    if (8..=256).contains(&password.expose().len()) {
        Ok(())
    } else {
        Err("a password has 8 to 256 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_passes() {
        let passwords = Passwords::new().await.expect("hashed");
        let hash = passwords
            .hash(secret("correct horse"))
            .await
            .expect("hashed");
        assert!(hash.starts_with("$argon2id$"));
        assert!(!hash.contains("correct"));
        let verify = |password, hash| passwords.verify(secret(password), hash);
        assert!(
            verify("correct horse", Some(hash.clone()))
                .await
                .expect("checked")
        );
        assert!(!verify("battery staple", Some(hash)).await.expect("checked"));
        assert!(!verify("correct horse", None).await.expect("checked"));
    }

    #[test]
    fn a_password_is_neither_short_nor_endless() {
        assert!(acceptable(&secret("12345678")).is_ok());
        assert!(acceptable(&secret("1234567")).is_err());
        assert!(acceptable(&secret(&"x".repeat(257))).is_err());
    }
}
