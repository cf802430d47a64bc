//! A platform as the program that embeds it meets it: it starts, or says why not, and it stops.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ieum_base::{Clock, Stop, Tasks};
use ieum_eventstore::{Append, Expect, NewEvent};
use ieum_http::{HttpClient, Problem, listener};
use serde_json::Value;

use super::{Platform, Running, StartError};
use crate::config::{self, Config};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("ieum-platform-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn config(&self, text: &str) -> Config {
        let free = "[platform]\nlisten = \"127.0.0.1:0\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
                    threads = 1\n";
        let text = if text.is_empty() { free } else { text };
        let config = config::parse(&self.0.join("ieum.toml"), text.to_owned());
        config.unwrap_or_else(|report| panic!("{report}"))
    }

    async fn start(&self) -> Running {
        start(self.config(""))
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(config: Config) -> Result<Running, StartError> {
    Platform::start(config, Stop::new()).await
}

async fn stop(running: Running) {
    running.stop();
    let ended = running.wait().await;
    assert_eq!(ended, super::Ended::default());
}

async fn get(address: SocketAddr, path: &str) -> Response<Bytes> {
    let http = HttpClient::new(Tasks::new(Stop::new()));
    let url = format!("http://{address}{path}");
    let answer = http.get(&url, Duration::from_secs(10)).await;
    answer.unwrap_or_else(|error| panic!("{error:?}"))
}

fn json(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).expect("JSON")
}

#[tokio::test]
async fn a_platform_serves_and_stops() {
    let folder = Folder::new("serves");
    let running = folder.start().await;
    let api = running.api_addr;
    let health = get(api, "/health").await;
    assert_eq!(
        (health.status().as_u16(), json(&health)["status"].as_str()),
        (200, Some("healthy"))
    );
    let gateway = running.gateway_addr.expect("a gateway");
    let nowhere = get(gateway, "/nowhere").await;
    let problem = Problem::from_response(&nowhere);
    assert_eq!(problem.code.as_deref(), Some("IEUM-1010"));
    let metrics = get(api, "/metrics").await;
    let metrics = String::from_utf8_lossy(metrics.body()).into_owned();
    assert!(metrics.contains("ieum_log_position"), "{metrics}");
    assert_eq!(metrics.matches("# EOF").count(), 1);
    stop(running).await;
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart() {
    let folder = Folder::new("restart");
    let running = folder.start().await;
    let url = format!("ieum://{}", running.api_addr)
        .parse()
        .expect("a URL");
    let tasks = Tasks::new(Stop::new());
    let log = ieum_remote::connect(&url, &tasks)
        .expect("a platform")
        .event_store();
    let stream: ieum_eventstore::StreamName = "order-1".parse().expect("valid");
    let event = NewEvent::new(Clock::system().new_id(), "placed", &1).expect("json");
    let append = Append::to(stream.clone(), Expect::NoStream, vec![event]);
    log.append(append).await.expect("appends");
    stop(running).await;

    let running = folder.start().await;
    let page = get(running.api_addr, "/api/v1/log/streams/order-1").await;
    assert_eq!(json(&page)["events"][0]["type"], "placed");
    stop(running).await;
}

#[tokio::test]
async fn a_configured_port_in_use_is_one_error_with_its_line() {
    let folder = Folder::new("port");
    let other = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let taken = other.local_addr().expect("bound");
    for (section, key) in [
        ("platform", "platform.listen"),
        ("gateway", "gateway.listen"),
    ] {
        let free = if section == "gateway" {
            "[platform]\nlisten = \"127.0.0.1:0\"\n"
        } else {
            ""
        };
        let text = format!("{free}[{section}]\nlisten = \"{taken}\"\n");
        let error = start(folder.config(&text))
            .await
            .expect_err("taken")
            .to_string();
        assert!(
            error.starts_with(&format!("error: `{key}`: {taken} is in use")),
            "{error}"
        );
        assert!(error.contains("ieum.toml:"), "{error}");
        assert!(error.contains("help:"), "{error}");
    }
    // Nothing is left behind that keeps a platform from starting.
    stop(folder.start().await).await;
}

#[tokio::test]
async fn a_log_that_another_platform_owns_is_left_alone() {
    let folder = Folder::new("locked");
    let running = folder.start().await;
    let error = start(folder.config(""))
        .await
        .expect_err("locked")
        .to_string();
    assert!(error.contains("the log cannot be opened"), "{error}");
    assert!(
        error.contains("is in use by this process already"),
        "{error}"
    );
    assert_eq!(get(running.api_addr, "/health").await.status(), 200);
    stop(running).await;
}

#[tokio::test]
async fn a_file_that_is_no_log_is_left_as_it_is() {
    let folder = Folder::new("foreign");
    let data = folder.0.join("ieum-data");
    std::fs::create_dir_all(&data).expect("a folder");
    let file = data.join("log.db");
    let content = "this is not a database, and must stay as it is. ".repeat(100);
    std::fs::write(&file, &content).expect("written");
    let error = start(folder.config(""))
        .await
        .expect_err("foreign")
        .to_string();
    assert!(error.contains("is not a SQLite database"), "{error}");
    assert_eq!(
        std::fs::read_to_string(&file).expect("still there"),
        content
    );
}

#[tokio::test]
async fn a_role_that_is_switched_off_does_not_listen() {
    let folder = Folder::new("roles");
    let text =
        "[platform]\nlisten = \"127.0.0.1:0\"\nroles = [\"registry\"]\n[log]\nurl = \"memory:\"\n";
    let running = start(folder.config(text)).await.expect("starts");
    assert_eq!(running.gateway_addr, None);
    let refused = get(running.api_addr, "/api/v1/sagas/s-1").await;
    assert_eq!(refused.status(), 501);
    let problem = json(&refused);
    assert_eq!(problem["code"], "IEUM-5016");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("role `sagas`"), "{detail}");
    assert!(!Path::new(&folder.0.join("ieum-data")).exists());
    stop(running).await;
}

#[tokio::test]
async fn instances_of_the_configuration_are_registered() {
    let folder = Folder::new("statics");
    let text = "[platform]\nlisten = \"127.0.0.1:0\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
                [[registry.instances]]\nservice = \"legacy\"\naddress = \"10.0.0.5\"\nport = 80\n\
                meta = { owner = \"team-a\" }\n";
    let running = start(folder.config(text)).await.expect("starts");
    let services = json(&get(running.api_addr, "/api/v1/services").await);
    assert_eq!(services["services"][0]["owner"], "team-a");
    assert_eq!(
        services["services"][0]["instances"][0]["authority"],
        "10.0.0.5:80"
    );
    stop(running).await;
}

/// The configuration of a gateway that follows `platform` and has one route.
fn follower(platform: &str) -> String {
    format!(
        "[platform]\nlisten = \"127.0.0.1:0\"\nroles = [\"gateway\"]\n[registry]\n\
         url = \"ieum://{platform}\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nthreads = 1\n\
         [[gateway.routes]]\nname = \"users\"\npath = \"/users\"\nservice = \"users\"\n\
         auth = \"none\"\n"
    )
}

#[tokio::test]
async fn a_gateway_that_follows_another_owns_no_log_and_says_who_does() {
    let folder = Folder::new("follower");
    let owner = folder.start().await;
    let text = follower(&owner.api_addr.to_string());
    let gateway = start(folder.config(&text)).await.expect("starts");
    assert!(
        gateway.log.contains("follows the registry"),
        "{}",
        gateway.log
    );
    for path in [
        "/api/v1/log",
        "/api/v1/topics/x",
        "/api/v1/dead-letters",
        "/api/v1/sagas",
        "/api/v1/traces/t-1",
        "/v1/agent/self",
    ] {
        let refused = get(gateway.api_addr, path).await;
        assert_eq!(refused.status(), 501, "{path}");
        let detail = json(&refused)["detail"].to_string();
        assert!(
            detail.contains(&owner.api_addr.to_string()),
            "{path}: {detail}"
        );
    }
    assert_eq!(get(gateway.api_addr, "/api/v1/nothing").await.status(), 404);
    assert_eq!(
        get(gateway.api_addr, "/api/v1/services").await.status(),
        200
    );
    assert_eq!(
        json(&get(gateway.api_addr, "/health").await)["status"],
        "healthy"
    );
    stop(gateway).await;
    stop(owner).await;
}

#[tokio::test]
async fn a_gateway_whose_registry_is_away_is_degraded_and_may_be_sent_requests() {
    let folder = Folder::new("away");
    let nobody = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = nobody.local_addr().expect("bound").to_string();
    drop(nobody);
    let gateway = start(folder.config(&follower(&address)))
        .await
        .expect("starts");
    let degraded = async {
        loop {
            let health = get(gateway.api_addr, "/health").await;
            assert_eq!(health.status(), 200);
            let health = json(&health);
            if health["status"] == "degraded" {
                return health["checks"]["registry"]["error"].to_string();
            }
        }
    };
    let why = tokio::time::timeout(Duration::from_secs(10), degraded).await;
    assert!(why.expect("in time").contains("last known endpoints"));
    stop(gateway).await;
}

#[tokio::test]
async fn one_that_is_retired_says_so_and_goes_on() {
    let folder = Folder::new("retired");
    let running = folder.start().await;
    running.handle().retire();
    let health = get(running.api_addr, "/health").await;
    assert_eq!(
        (health.status().as_u16(), json(&health)["status"].as_str()),
        (503, Some("stopping"))
    );
    assert_eq!(get(running.api_addr, "/api/v1/log").await.status(), 200);
    stop(running).await;
}

#[tokio::test]
async fn a_configuration_is_taken_over_whole_or_not_at_all() {
    let folder = Folder::new("reload");
    let base = "[platform]\nlisten = \"127.0.0.1:0\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
                threads = 1\n";
    let route = "[[gateway.routes]]\nname = \"a\"\npath = \"/a\"\nurl = \"http://127.0.0.1:1\"\n\
                 auth = \"none\"\n";
    let running = start(folder.config(base)).await.expect("starts");
    let handle = running.handle();
    let routes = async || {
        let routes = json(&get(running.api_addr, "/api/v1/routes").await);
        routes["routes"].as_array().map_or(0, Vec::len)
    };
    handle
        .reload(folder.config(&format!("{base}{route}")))
        .expect("a route more");
    assert_eq!(routes().await, 1);
    let changed = base.replace("threads = 1", "threads = 2");
    let text = changed.replace("[gateway]", "drain = \"7s\"\n[gateway]");
    let refused = handle.reload(folder.config(&text)).expect_err("fixed keys");
    let refused = refused.to_string();
    for line in [
        "ieum.toml:3:",
        "ieum.toml:6:",
        "platform.drain",
        "gateway.threads",
    ] {
        assert!(refused.contains(line), "{line}: {refused}");
    }
    assert_eq!(routes().await, 1, "the old one stays");
    stop(running).await;
}

#[tokio::test]
async fn the_whole_api_is_described() {
    let folder = Folder::new("openapi");
    let running = folder.start().await;
    let document = json(&get(running.api_addr, "/api/openapi.json").await);
    let paths = document["paths"].as_object().expect("paths");
    for path in [
        "/api/v1/sagas",
        "/api/v1/log",
        "/v1/traces",
        "/health",
        "/api/openapi.json",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let text = document.to_string();
    let references = text.split("#/components/schemas/").skip(1);
    let used: BTreeSet<_> = references
        .filter_map(|rest| rest.split('"').next())
        .collect();
    for name in &used {
        assert!(schemas.contains_key(*name), "the schema {name} is missing");
    }
    stop(running).await;
}

#[tokio::test]
async fn a_registry_that_asks_for_a_token_is_followed_with_it() {
    let folder = Folder::new("token");
    std::fs::write(folder.0.join("token"), "a/b@c:d\n").expect("written");
    let owner = "[platform]\nlisten = \"127.0.0.1:0\"\ntoken-file = \"token\"\nroles = []\n\
                 [log]\nurl = \"memory:\"\n";
    let owner = start(folder.config(owner)).await.expect("starts");
    let text = follower(&owner.api_addr.to_string());
    for (settings, is_let_in) in [("token-file = \"token\"\n", true), ("", false)] {
        let text = text.replace("[registry]\n", &format!("[registry]\n{settings}"));
        let gateway = start(folder.config(&text)).await.expect("starts");
        let services = get(gateway.api_addr, "/api/v1/services").await;
        assert_eq!(services.status() == 200, is_let_in, "{settings}");
        stop(gateway).await;
    }
    stop(owner).await;
}

#[tokio::test]
async fn a_platform_is_named_after_the_port_that_it_got() {
    let folder = Folder::new("named");
    let running = folder.start().await;
    let list = json(&get(running.api_addr, "/api/v1/platforms").await);
    let name = list["platforms"][0]["name"].as_str();
    assert_eq!(name, Some(&*running.api_addr.to_string()), "{list}");
    stop(running).await;
}
