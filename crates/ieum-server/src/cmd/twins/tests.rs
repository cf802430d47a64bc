//! What the console can list, the command line can list: the description of a running platform against
//! the commands.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use ieum_base::{Stop, Tasks};
use ieum_http::HttpClient;
use serde_json::{Value, json};

use super::super::Cli;
use super::*;
use crate::{Platform, config};

/// Lists that no person asks for: platforms ask each other.
const BETWEEN_PLATFORMS: [&str; 1] = ["listHeard"];

/// What answers lists and is none: pages of events, what is read by its name, and the overview again and
/// again.
const READ_BY_NAME: [&str; 4] = ["readLog", "readStream", "getSagaDefinition", "listen"];

/// Options of commands that are none of the API's parameters.
const OF_THE_COMMAND: [&str; 5] = ["platform", "token", "json", "help", "version"];

/// The description of the API of a platform that plays every role.
async fn document() -> Value {
    let folder = std::env::temp_dir().join(format!(
        "ieum-twins-{}",
        ieum_base::Clock::system().new_id()
    ));
    std::fs::create_dir_all(&folder).expect("a folder");
    let text =
        "[platform]\nlisten = \"127.0.0.1:0\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nthreads = 1\n";
    let config = config::parse(&folder.join("ieum.toml"), text.to_owned());
    let config = config.unwrap_or_else(|report| panic!("{report}"));
    let running = Platform::start(config, Stop::new()).await;
    let running = running.unwrap_or_else(|error| panic!("{error}"));
    let http = HttpClient::new(Tasks::new(Stop::new()));
    let url = format!("http://{}/api/openapi.json", running.api_addr);
    let answer = http.get(&url, Duration::from_secs(10)).await;
    let document = answer.expect("an answer");
    running.stop();
    running.wait().await;
    let _ = std::fs::remove_dir_all(&folder);
    serde_json::from_slice(document.body()).expect("JSON")
}

/// The `GET`s of the API with what describes them.
fn reads(document: &Value) -> Vec<(&str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let gets = paths.values().map(|item| &item["get"]);
    let gets = gets.filter(|get| !get.is_null());
    gets.map(|get| (get["operationId"].as_str().expect("an id"), get))
        .collect()
}

/// True if the answer is an object with a list in it: what a page shows as a table.
fn holds_a_list(document: &Value, operation: &Value) -> bool {
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
    let name = schema.as_str().and_then(|name| name.rsplit('/').next());
    let schema = &document["components"]["schemas"][name.unwrap_or_default()];
    let members = schema["properties"].as_object();
    let is_list = |member: &Value| member["type"] == json!("array");
    members.is_some_and(|members| members.values().any(is_list))
}

/// The options of a command, by their long names.
fn options(command: &str) -> BTreeSet<String> {
    let mut at = &Cli::command();
    for word in command.split(' ').filter(|word| !word.starts_with('{')) {
        at = at.find_subcommand(word).expect("a command");
    }
    let options = at
        .get_arguments()
        .filter_map(|argument| argument.get_long());
    options.map(str::to_owned).collect()
}

#[test]
fn every_twin_is_a_command_that_speaks_json_and_finds_its_platform() {
    for (operation, command) in TWINS {
        let mut words = vec!["ieum"];
        words.extend(command.split(' '));
        words.extend(["--json", "--platform", "http://127.0.0.1:9", "--token", "a"]);
        let parsed = Cli::try_parse_from(&words);
        assert!(parsed.is_ok(), "{operation}: {words:?}");
    }
}

#[tokio::test]
async fn every_list_of_the_api_has_a_command() {
    let document = document().await;
    let mut lists = 0;
    for (id, get) in reads(&document) {
        let is_list = id.starts_with("list") || holds_a_list(&document, get);
        if !is_list || BETWEEN_PLATFORMS.contains(&id) || READ_BY_NAME.contains(&id) {
            continue;
        }
        lists += 1;
        let command = get["x-ieum-command"].as_str();
        let command = command.unwrap_or_else(|| panic!("{id} has no command"));
        let command = command.strip_prefix("ieum ").expect("a command of ieum");
        assert!(options(command).contains("json"), "{command}");
    }
    assert!(lists >= 10, "{lists}");
}

#[tokio::test]
async fn a_command_filters_by_what_the_api_filters_by_and_by_nothing_else() {
    let document = document().await;
    for (id, get) in reads(&document) {
        let Some(command) = twin(id).filter(|command| !command.contains('{')) else {
            continue;
        };
        let parameters = get["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let queried = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query");
        let queried: BTreeSet<_> = queried
            .filter_map(|parameter| parameter["name"].as_str())
            .map(str::to_owned)
            .collect();
        let own: BTreeSet<_> = OF_THE_COMMAND.map(str::to_owned).into();
        let offered: BTreeSet<_> = options(command).difference(&own).cloned().collect();
        assert_eq!(offered, queried, "{id} and `ieum {command}`");
    }
}
