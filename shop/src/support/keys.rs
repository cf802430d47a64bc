//! The key pair that signs sessions: ES256, made once and kept beside the databases.
//!
//! Only users holds the private key. The gateway gets the public one, and the key's id, so that it
//! can check a token and never make one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ieum::base::Secret;

const PRIVATE_FILE: &str = "users.key.pem";
const PUBLIC_FILE: &str = "users.pub.pem";

/// A key pair for signing sessions.
#[derive(Debug)]
pub(crate) struct SigningKey {
    /// The key's id, made from the public key: another key has another id.
    pub(crate) id: String,
    /// The private key, PEM (PKCS #8).
    pub(crate) private_pem: Secret,
    /// The file with the public key, PEM (SPKI).
    pub(crate) public_file: PathBuf,
}

/// Reads the key pair kept in `data`, or makes and keeps one.
pub(crate) fn load_or_create(data: &Path) -> Result<SigningKey> {
    let private_file = data.join(PRIVATE_FILE);
    let pkcs8 = match fs::read_to_string(&private_file) {
        Ok(pem) => decode_pem(&pem).with_context(|| {
            format!(
                "{} holds no key; remove it to have one made",
                private_file.display()
            )
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => generate()?,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", private_file.display()));
        }
    };
    let key = of(&pkcs8, data).with_context(|| private_file.display().to_string())?;
    write_private(&private_file, key.private_pem.expose())?;
    Ok(key)
}

/// A key pair that is kept elsewhere: only its public half is written, to `data`.
pub(crate) fn keep_public(private_pem: &Secret, data: &Path) -> Result<SigningKey> {
    of(&decode_pem(private_pem.expose())?, data)
}

/// The key pair of a private key, the public key written to `data`.
fn of(pkcs8: &[u8], data: &Path) -> Result<SigningKey> {
    let public_file = data.join(PUBLIC_FILE);
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
        .map_err(|error| anyhow!("not an ES256 key: {error}"))?;
    let public = pair
        .public_key()
        .as_der()
        .map_err(|_| anyhow!("the public key has no DER form"))?;
    fs::write(&public_file, encode_pem("PUBLIC KEY", public.as_ref()))
        .with_context(|| format!("cannot write {}", public_file.display()))?;
    let fingerprint = digest::digest(&digest::SHA256, public.as_ref());
    Ok(SigningKey {
        id: URL_SAFE_NO_PAD.encode(&fingerprint.as_ref()[..9]),
        private_pem: Secret::new(encode_pem("PRIVATE KEY", pkcs8)),
        public_file,
    })
}

fn generate() -> Result<Vec<u8>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .map_err(|_| anyhow!("no key could be made"))?;
    let pkcs8 = pair
        .to_pkcs8v1()
        .map_err(|_| anyhow!("the key has no PKCS #8 form"))?;
    Ok(pkcs8.as_ref().to_vec())
}

/// Writes a file that only its owner may read. A torn file is never seen: it is renamed into place.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<()> {
    let unfinished = file.with_extension("unfinished");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || -> std::io::Result<()> {
        let mut handle = options.open(&unfinished)?;
        handle.write_all(text.as_bytes())?;
        handle.sync_all()?;
        fs::rename(&unfinished, file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

fn encode_pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

fn decode_pem(pem: &str) -> Result<Vec<u8>> {
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    Ok(STANDARD.decode(body.trim())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let folder = std::env::temp_dir().join(format!("shop-keys-{}", ieum::base::Uuid::new_v4()));
        fs::create_dir_all(&folder).expect("a folder");
        let first = load_or_create(&folder).expect("a key");
        let second = load_or_create(&folder).expect("the same key");
        assert_eq!(first.id, second.id);
        assert_eq!(first.private_pem, second.private_pem);
        let public = fs::read_to_string(&first.public_file).expect("the public key");
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        let elsewhere = keep_public(&first.private_pem, &folder).expect("the same key");
        assert_eq!(elsewhere.id, first.id);
        fs::write(folder.join("users.key.pem"), "nonsense!").expect("written");
        let error = load_or_create(&folder).expect_err("refused").to_string();
        assert!(error.contains("users.key.pem"), "{error}");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
