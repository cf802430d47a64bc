//! What users promises to everybody: the shape of a user (`contracts/schemas/user.json`).

use ieum::contract::Schema;

use super::SPEC;
use super::domain::{Email, Name};
use super::store;
use crate::support::contract::folder;
use crate::support::testing::Bench;

#[tokio::test]
async fn a_user_is_what_its_schema_promises() {
    let bench = Bench::of(SPEC);
    let user = bench.work(|work| {
        let email = Email::parse("kim@example.com").expect("valid");
        store::create(work, email, Name::parse("김이음").expect("valid"), "hash")
    });
    let user = serde_json::to_value(user.await.expect("signed up")).expect("json");
    let schema = std::fs::read(folder().join("schemas/user.json")).expect("a schema");
    let schema = serde_json::from_slice(&schema).expect("json");
    let schema = Schema::new(&schema).expect("a schema");
    assert_eq!(schema.check(&user, "$"), []);
    let mut renamed = user;
    renamed["fullName"] = renamed["name"].take();
    let found: Vec<String> = schema
        .check(&renamed, "$")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        found.iter().any(|text| text.starts_with("$.name: ")),
        "{found:?}"
    );
}
