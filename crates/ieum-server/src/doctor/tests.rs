//! What an operator sees of engines that are well, weak and broken.

use std::path::Path;

use ieum_base::Level;
use ieum_testkit::TempFolder;

use super::{examine, render};
use crate::config::{self, Config};

fn config(folder: &Path, text: &str) -> Config {
    let parsed = config::parse(&folder.join("ieum.toml"), text.to_owned());
    parsed.unwrap_or_else(|report| panic!("{report}"))
}

#[tokio::test]
async fn the_default_log_is_looked_at_in_the_data_folder() {
    let folder = TempFolder::new().expect("a folder");
    let config = config(folder.path(), "[platform]\ndata-dir = \".\"\n");
    let diagnosis = examine(&config).await;
    let [log] = &diagnosis.engines[..] else {
        panic!("{diagnosis:?}")
    };
    assert_eq!((log.part, log.engine.as_str()), ("log", "SQLite"));
    assert!(log.url.ends_with("log.db"), "{}", log.url);
    let broken = |f: &&ieum_base::Finding| f.level == Level::Broken;
    assert_eq!(log.findings.iter().find(broken), None);
    // Nothing was made by looking.
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_broken_and_says_what_to_do() {
    let folder = TempFolder::new().expect("a folder");
    let config = config(folder.path(), "[log]\nurl = \"sqlite://nowhere/log.db\"\n");
    let diagnosis = examine(&config).await;
    assert_eq!(diagnosis.worst, Level::Broken);
    let text = render(&diagnosis);
    assert!(
        text.starts_with("log: SQLite at sqlite://nowhere/log.db\n"),
        "{text}"
    );
    assert!(text.contains("  broken  the folder"), "{text}");
    assert!(text.contains("→ make it, or name another file"), "{text}");
    assert!(text.ends_with("1 broken"), "{text}");
}

#[tokio::test]
async fn a_registry_that_is_followed_is_looked_at_in_place_of_a_log() {
    let folder = TempFolder::new().expect("a folder");
    let text = "[platform]\nroles = [\"gateway\"]\n[registry]\nurl = \"ieum://127.0.0.1:1\"\n";
    let diagnosis = examine(&config(folder.path(), text)).await;
    let [registry] = &diagnosis.engines[..] else {
        panic!("{diagnosis:?}")
    };
    assert_eq!(
        (registry.part, diagnosis.worst),
        ("registry", Level::Broken)
    );
    let what = &registry.findings[0].what;
    assert!(what.starts_with("127.0.0.1:1 does not answer"), "{what}");
}
