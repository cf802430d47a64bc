//! Contracts in folders: who relies on whom, and on which events.
//!
//! Only what an impact needs is read, and leniently: Pact files of every version (`consumer`, `provider`,
//! the types of their messages) and descriptions in OpenAPI (their service). `ieum contract` is what reads
//! them strictly.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use ieum_remote::wire::impact::ContractUse;
use serde_json::Value;

/// A contract, and the events that it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Contract {
    /// As it is told.
    pub(crate) told: ContractUse,
    /// The types of its messages; none if it is about calls only.
    pub(crate) events: BTreeSet<String>,
}

/// The most files of one folder that are read.
const MAX_FILES: usize = 1_000;
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// Who relies on what is promised to everybody.
const EVERYBODY: &str = "*";

/// The contracts in the files of `folder` that end in `.json`. What is no contract is passed over.
///
/// # Errors
/// The folder cannot be read, or has too many files.
pub(crate) async fn read(folder: &Path) -> io::Result<Vec<Contract>> {
    let mut entries = tokio::fs::read_dir(folder).await?;
    let mut contracts = Vec::new();
    let mut files = 0_usize;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        files += 1;
        if files > MAX_FILES {
            return Err(io::Error::other(format!("more than {MAX_FILES} files")));
        }
        contracts.extend(read_file(&path).await);
    }
    contracts.sort();
    Ok(contracts)
}

async fn read_file(path: &Path) -> Option<Contract> {
    let about = tokio::fs::metadata(path).await.ok()?;
    // Reading anything else may never end.
    if !about.is_file() {
        return None;
    }
    let size = about.len();
    if size > MAX_FILE {
        tracing::warn!(file = %path.display(), size, "a contract is too large and not read");
        return None;
    }
    let content = tokio::fs::read(path).await.ok()?;
    let content: Value = serde_json::from_slice(&content).ok()?;
    let source = path.file_name()?.to_string_lossy().into_owned();
    pact(&content, &source).or_else(|| openapi(&content, &source))
}

fn pact(content: &Value, source: &str) -> Option<Contract> {
    let name = |role: &str| content[role]["name"].as_str().map(str::to_owned);
    let told = ContractUse {
        consumer: name("consumer")?,
        provider: name("provider")?,
        kind: "pact".to_owned(),
        source: source.to_owned(),
    };
    // Version 4 has messages among its interactions, version 3 beside them.
    let lists = ["interactions", "messages"].into_iter();
    let all = lists.filter_map(|list| content[list].as_array()).flatten();
    let events = all.filter_map(event_of).map(str::to_owned).collect();
    Some(Contract { told, events })
}

/// The type of a message: what its body says, as a CloudEvent does, or its description.
fn event_of(interaction: &Value) -> Option<&str> {
    let contents = interaction.get("contents")?;
    let bodies = [&contents["content"], contents];
    let typed = bodies.into_iter().find_map(|body| body["type"].as_str());
    typed.or_else(|| interaction["description"].as_str())
}

fn openapi(content: &Value, source: &str) -> Option<Contract> {
    content["openapi"].as_str()?;
    let service = content["info"]["x-service"].as_str();
    let stem = source.split('.').next().unwrap_or(source);
    let told = ContractUse {
        consumer: EVERYBODY.to_owned(),
        provider: service.unwrap_or(stem).to_owned(),
        kind: "openapi".to_owned(),
        source: source.to_owned(),
    };
    Some(Contract {
        told,
        events: BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(content: &Value, expected: Option<(&str, &str, &[&str])>) {
        let found = pact(content, "a.json").or_else(|| openapi(content, "users.api.json"));
        let found = found.map(|contract| {
            let ContractUse {
                consumer, provider, ..
            } = contract.told;
            (consumer, provider, contract.events)
        });
        let expected = expected.map(|(consumer, provider, events)| {
            let events = events.iter().map(|&event| event.to_owned()).collect();
            (consumer.to_owned(), provider.to_owned(), events)
        });
        assert_eq!(found, expected, "{content}");
    }

    #[test]
    fn parties_and_events_are_found_in_every_version() {
        let parties = |rest: Value| {
            let mut pact = json!({"consumer": {"name": "a"}, "provider": {"name": "b"}});
            for (name, value) in rest.as_object().cloned().unwrap_or_default() {
                pact[name] = value;
            }
            pact
        };
        let v4 = json!({"interactions": [
            {"type": "Asynchronous/Messages", "description": "d",
             "contents": {"content": {"type": "order.placed"}, "contentType": "application/json"}},
            {"type": "Synchronous/HTTP", "description": "a call", "request": {}}]});
        check(&parties(v4), Some(("a", "b", &["order.placed"])));
        let v3 = json!({"messages": [
            {"description": "order.placed", "contents": {"orderId": "o"}},
            {"description": "d", "contents": {"type": "order.completed"}}]});
        check(
            &parties(v3),
            Some(("a", "b", &["order.completed", "order.placed"])),
        );
        check(&parties(json!({})), Some(("a", "b", &[])));
    }

    #[test]
    fn a_description_belongs_to_the_service_that_it_names() {
        check(
            &json!({"openapi": "3.1.0", "info": {}}),
            Some(("*", "users", &[])),
        );
        let named = json!({"openapi": "3.0.0", "info": {"x-service": "accounts"}});
        check(&named, Some(("*", "accounts", &[])));
        check(&json!({"type": "object"}), None);
        check(&json!([1]), None);
    }
}
