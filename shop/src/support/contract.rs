//! Contracts of the shop's services with each other, as their tests record them.
//!
//! They are kept in `shop/contracts/`, where those look who change a service. A test records its
//! contract anew each time and compares; `SHOP_CONTRACTS=write` keeps what was recorded.

use std::path::{Path, PathBuf};

use ieum::contract::Pact;
use ieum::contract::model::Message as Example;
use ieum::messaging::Message;
use serde_json::Value;

use super::testing::event;

/// Fails unless the recorded contract is the one that is kept.
pub(crate) fn keep(recorded: &Pact) {
    let file = folder().join(recorded.file_name());
    if std::env::var_os("SHOP_CONTRACTS").is_some_and(|what| what == "write") {
        if file.exists() {
            std::fs::remove_file(&file).expect("removed");
        }
        recorded.merge_into(&folder()).expect("written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        recorded.to_text(),
        kept,
        "{} is not what was recorded; SHOP_CONTRACTS=write keeps it",
        file.display()
    );
}

/// Where contracts are kept.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts")
}

/// The event of an example, as it comes in.
pub(crate) fn came(example: &Example) -> Message {
    let envelope: Value = serde_json::from_slice(&example.contents.bytes()).expect("json");
    let text = |key: &str| envelope[key].as_str().expect("a text").to_owned();
    event(&text("source"), &text("type"), &envelope["data"])
}
