//! What a process that follows another's registry leaves to that one: most of the API.

use std::sync::Arc;

use ieum_base::EngineUrl;

use crate::api::Absent;
use crate::config::{Config, Role};

/// The parts of the API that this process does not have, and why.
pub(super) fn absent(config: &Config, followed: Option<&EngineUrl>) -> Vec<Absent> {
    let mut absent = Vec::new();
    let Some(url) = followed else {
        if !config.platform.plays(Role::Sagas) {
            let why = "it does not play the role `sagas`".into();
            absent.push(part(&["/api/v1/sagas"], "the saga engine", &why));
        }
        return absent;
    };
    let address = format!("{}://{}", url.scheme(), url.rest());
    let why: Arc<str> = format!(
        "it plays the role `gateway` only and follows the registry at {address}; ask the process \
         there, which owns the log and may have the roles `registry` and `sagas`"
    )
    .into();
    for (paths, what) in ELSEWHERE {
        absent.push(part(paths, what, &why));
    }
    absent
}

fn part(paths: &'static [&'static str], what: &'static str, why: &Arc<str>) -> Absent {
    let why = Arc::clone(why);
    Absent { paths, what, why }
}

/// The parts that need the log or the registry itself; the first that fits a path counts.
const ELSEWHERE: [(&[&str], &str); 8] = [
    (&["/api/v1/log"], "the log"),
    (
        &["/api/v1/topics", "/api/v1/groups", "/api/v1/dead-letters"],
        "topics",
    ),
    (&["/api/v1/sagas"], "the saga engine"),
    (
        &["/api/v1/traces", "/v1/traces", "/v1/metrics", "/v1/logs"],
        "the store of traces",
    ),
    (&["/api/v1/overview", "/api/v1/live"], "the overview"),
    (&["/api/v1/impact"], "the impact of a change"),
    (&["/api/v1/platforms"], "the list of platforms on a log"),
    (&["/v1"], "Consul's API"),
];
