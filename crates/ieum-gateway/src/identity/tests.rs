//! Keys that protect nothing are refused at load, and good ones verify.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ieum_base::{ManualClock, Timestamp};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;
use crate::config::{Algorithm, JwtConfig, KeyConfig};

fn pem(kind: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = (0..body.len())
        .step_by(64)
        .map(|at| &body[at..body.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

/// A new key as PEM: private, public.
fn ec(algorithm: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> (String, String) {
    let pair = EcdsaKeyPair::generate(algorithm).expect("a key");
    let private = pair.to_pkcs8v1().expect("PKCS #8");
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
    (
        pem("PRIVATE KEY", private.as_ref()),
        pem("PUBLIC KEY", public.as_ref()),
    )
}

fn rsa() -> (String, String) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let private: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
    (
        pem("PRIVATE KEY", private.as_ref()),
        pem("PUBLIC KEY", public.as_ref()),
    )
}

fn key(kid: Option<&str>, algorithm: Algorithm, public_key: &str) -> KeyConfig {
    KeyConfig {
        kid: kid.map(str::to_owned),
        algorithm,
        secret_file: None,
        secret_env: None,
        public_key_file: None,
        public_key: Some(public_key.to_owned()),
    }
}

fn secret(name: &str, content: &[u8]) -> KeyConfig {
    let path = std::env::temp_dir().join(format!("ieum-key-{}-{name}", std::process::id()));
    std::fs::write(&path, content).expect("written");
    KeyConfig {
        kid: Some(name.to_owned()),
        algorithm: Algorithm::Hs256,
        secret_file: Some(path),
        secret_env: None,
        public_key_file: None,
        public_key: None,
    }
}

/// What is wrong with a set of keys; the files of secrets are removed.
fn wrong(keys: Vec<KeyConfig>) -> Vec<String> {
    let files: Vec<_> = keys.iter().filter_map(|k| k.secret_file.clone()).collect();
    let loaded = Keys::load(&JwtConfig::with_keys(keys));
    for file in files {
        let _ = std::fs::remove_file(file);
    }
    let errors = loaded.err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(keys: Vec<KeyConfig>, why: &str) {
    let errors = wrong(keys);
    assert!(
        errors.iter().any(|error| error.contains(why)),
        "{why}: {errors:?}"
    );
}

#[test]
fn weak_secrets_are_refused() {
    refused(vec![secret("empty", b"")], "0 bytes");
    refused(
        vec![secret("short", b"only thirty-one bytes of secret")],
        "31 bytes",
    );
    refused(vec![secret("same", &[b'x'; 64])], "over and over");
    let (_, public) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    refused(vec![secret("pem", public.as_bytes())], "PEM");
    assert!(
        wrong(vec![secret(
            "good",
            b"thirty-two bytes or more of secret\n"
        )])
        .is_empty()
    );
}

#[test]
fn keys_that_do_not_fit_their_algorithm_are_refused() {
    let (private, public) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let (_, other_curve) = ec(&ECDSA_P384_SHA384_FIXED_SIGNING);
    refused(
        vec![key(None, Algorithm::Rs256, &public)],
        "no RSA public key",
    );
    refused(vec![key(None, Algorithm::Es256, &other_curve)], "P-256");
    refused(vec![key(None, Algorithm::Es256, &private)], "P-256");
    refused(
        vec![key(None, Algorithm::Hs256, &public)],
        "HS256 takes a secret",
    );
    assert!(wrong(vec![key(None, Algorithm::Es256, &public)]).is_empty());
}

#[test]
fn small_rsa_keys_are_refused() {
    refused(vec![key(None, Algorithm::Rs256, RSA_1024)], "1024 bits");
}

#[test]
fn ambiguous_sets_are_refused() {
    let (_, public) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let good = b"thirty-two bytes or more of secret";
    let es = |kid| key(kid, Algorithm::Es256, &public);
    refused(vec![secret("a", good), es(Some("b"))], "mixes");
    refused(vec![es(Some("a")), es(Some("a"))], "earlier key");
    refused(vec![es(Some("a")), es(None)], "more than one key");
    refused(vec![], "1 to 64");
}

#[test]
fn each_algorithm_verifies_its_own() {
    let clock = ManualClock::starting_at(Timestamp::from_micros(0));
    let (ec_private, ec_public) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let (rsa_private, rsa_public) = rsa();
    let config = JwtConfig::with_keys(vec![
        key(Some("ec"), Algorithm::Es256, &ec_public),
        key(Some("rsa"), Algorithm::Rs256, &rsa_public),
    ]);
    let keys = Keys::load(&config).expect("good keys");
    let verifier = Verifier::new(&config, keys, 10, clock.clock());
    let claims = json!({ "userId": "u-1", "exp": 100 });
    let sign = |algorithm, kid: &str, key: &EncodingKey| {
        let mut header = Header::new(algorithm);
        header.kid = Some(kid.to_owned());
        encode(&header, &claims, key).expect("signed")
    };
    let ec_key = EncodingKey::from_ec_pem(ec_private.as_bytes()).expect("a key");
    let rsa_key = EncodingKey::from_rsa_pem(rsa_private.as_bytes()).expect("a key");
    for (algorithm, kid, key) in [
        (jsonwebtoken::Algorithm::ES256, "ec", &ec_key),
        (jsonwebtoken::Algorithm::RS256, "rsa", &rsa_key),
    ] {
        let identity = verifier
            .verify(&sign(algorithm, kid, key))
            .expect("believed");
        assert_eq!(&*identity.user, "u-1");
    }
    let crossed = sign(jsonwebtoken::Algorithm::RS256, "ec", &rsa_key);
    assert!(verifier.verify(&crossed).is_err());
    // The classic confusion: the public key as an HMAC secret.
    let confused = EncodingKey::from_secret(rsa_public.as_bytes());
    let confused = sign(jsonwebtoken::Algorithm::HS256, "rsa", &confused);
    assert!(verifier.verify(&confused).is_err());
}

const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC7Lf+b8G9jCeaHmqQA9OGiMzum
ruJq+MlGG/HpQ9YXn53z08fWGI+8Gb6WWoUpWXTDbjrN7UimNYUZkUePIFh6/qf3
j++6AbzvbDNLXgsp8Sb99HiKnLauYArPpqY9/+yo4bjZrEH1Kl/JDNbSP5gH9QvL
1BQRhIvkGrBGvuwIWQIDAQAB
-----END PUBLIC KEY-----
";
