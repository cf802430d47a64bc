//! What users does inside a transaction, and the sessions that it signs.

#[cfg(feature = "postgres")]
mod races;

use ieum::base::Clock;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::SPEC;
use super::domain::{Email, Name};
use super::store::{self, User};
use super::token::Tokens;
use crate::support::failure::Reply;
use crate::support::keys;
use crate::support::testing::Bench;
use crate::support::work::Work;

fn email(text: &str) -> Email {
    Email::parse(text).expect("valid")
}

fn name() -> Name {
    Name::parse("김이음").expect("valid")
}

fn sign_up(work: &Work<'_>, address: &str) -> Reply<User> {
    store::create(work, email(address), name(), "hash-of-a-password")
}

#[tokio::test]
async fn an_address_signs_up_once_however_it_is_written() {
    let bench = Bench::of(SPEC);
    let again = bench.work(|work| {
        sign_up(work, "Kim@Example.com")?;
        sign_up(work, "kim@example.COM")
    });
    assert_eq!(again.await.expect_err("taken").problem().status, 409);
    assert_eq!(bench.number("SELECT count(*) FROM users").await, 0);
}

#[tokio::test]
async fn an_event_tells_who_and_never_the_password() {
    let bench = Bench::of(SPEC);
    let user = bench
        .work(|work| sign_up(work, "kim@example.com"))
        .await
        .expect("signed up");
    let told = bench.told().await;
    let data: Value = told[0].decode().expect("json");
    assert_eq!(
        (told[0].kind.as_str(), &data["userId"]),
        ("user.created", &user.id.into())
    );
    assert_eq!(data["email"], "kim@example.com");
    let leaks = "SELECT count(*) FROM ieum_events WHERE data || metadata LIKE '%hash-of%'";
    assert_eq!(bench.number(leaks).await, 0);
    assert!(!data.to_string().contains("hash-of"));
}

#[tokio::test]
async fn an_address_of_somebody_else_cannot_be_taken_over() {
    let bench = Bench::of(SPEC);
    let taken = bench.work(|work| {
        let kim = sign_up(work, "kim@example.com")?;
        sign_up(work, "lee@example.com")?;
        store::update(work, &kim.id, Some(email("Lee@example.com")), None)
    });
    assert_eq!(taken.await.expect_err("taken").problem().status, 409);
}

#[tokio::test]
async fn who_left_cannot_sign_in_and_the_address_is_free() {
    let bench = Bench::of(SPEC);
    let acted = bench.work(|work| {
        let kim = sign_up(work, "kim@example.com")?;
        store::delete(work, &kim.id)?;
        assert!(store::login(work, "kim@example.com")?.is_none());
        sign_up(work, "kim@example.com").map(|again| (kim.id, again.id))
    });
    let (before, after) = acted.await.expect("signed up again");
    assert_ne!(before, after);
    assert_eq!(bench.number("SELECT count(*) FROM credentials").await, 1);
}

#[tokio::test]
async fn only_who_was_employed_is_staff() {
    let bench = Bench::of(SPEC);
    let roles = bench.work(|work| {
        sign_up(work, "kim@example.com")?;
        for password in ["hash-1", "hash-2"] {
            store::employ(work, &email("boss@example.com"), &name(), password)?;
        }
        let login = |key| store::login(work, key).map(|login| login.expect("known"));
        Ok((login("kim@example.com")?, login("boss@example.com")?))
    });
    let (kim, boss) = roles.await.expect("signed up");
    assert_eq!(
        (kim.roles.len(), boss.roles, boss.hash),
        (0, vec!["admin".to_owned()], "hash-2".into())
    );
}

#[test]
fn a_session_is_checked_with_the_public_key() {
    let folder = std::env::temp_dir().join(format!("shop-token-{}", ieum::base::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let key = keys::load_or_create(&folder).expect("a key");
    let tokens = Tokens::new(&key, Clock::system()).expect("a signer");
    let session = tokens.issue("kim", &["admin".to_owned()]).expect("signed");
    let session = serde_json::to_value(&session).expect("json");
    let token = session["token"].as_str().expect("a token");
    let public = std::fs::read(&key.public_file).expect("a public key");
    let public = DecodingKey::from_ec_pem(&public).expect("a public key");
    let validation = Validation::new(Algorithm::ES256);
    let claims = jsonwebtoken::decode::<Value>(token, &public, &validation).expect("valid");
    assert_eq!(claims.header.kid, Some(key.id));
    assert_eq!(
        (&claims.claims["userId"], &claims.claims["roles"][0]),
        (&"kim".into(), &"admin".into())
    );
    assert!(claims.claims["exp"].is_i64());
    std::fs::remove_dir_all(&folder).expect("removed");
}
