//! Documents: what a page consists of, and which page is the translation of which.
//!
//! English is the original. A Korean page names its original and the fingerprint that it was made
//! from, so that a translation that has fallen behind says so itself.

pub(crate) mod blocks;
pub(crate) mod markdown;
pub(crate) mod twins;

use sha2::{Digest, Sha256};

/// The first twelve hexadecimal digits of the SHA-256 of `text`.
pub(crate) fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(6).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_what_sha256sum_prints() {
        assert_eq!(fingerprint("abc"), "ba7816bf8f01");
    }
}
