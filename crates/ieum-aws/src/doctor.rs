//! What `ieum doctor` finds out about SNS and SQS.

use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Finding, Stop, Tasks};
use ieum_messaging::{ErrorKind, Result};
use serde_json::json;

use crate::api::Api;
use crate::config::Config;

/// Looks at both services: whether they answer and take the access key.
pub async fn examine(url: &EngineUrl) -> Vec<Finding> {
    let config = match Config::from_url(url) {
        Ok(config) => config,
        Err(error) => return vec![Finding::broken(error.to_string(), "correct the URL")],
    };
    let tasks = Tasks::new(Stop::new());
    let api = Api::new(
        Config {
            attempts: 2,
            ..config
        },
        &Clock::system(),
        &tasks,
    );
    let looked = look(&api).await;
    tasks.stop().request();
    if let Err(error) = looked {
        let advice = match error.kind() {
            ErrorKind::Invalid => "do as it says",
            _ => "start the service, or correct host, port and region in the URL",
        };
        return vec![Finding::broken(format!("{url}: {error}"), advice)];
    }
    let mut findings = vec![Finding::fine(format!("`{url}` answers for SNS and SQS"))];
    let endpoint = api.config.endpoint.as_deref().unwrap_or_default();
    if endpoint.starts_with("http:") {
        findings.push(Finding::weak(
            "calls are signed, but not encrypted",
            "messages can be read on the way: use `scheme=http` for a stand-in on this machine only",
        ));
    }
    findings
}

/// Asks each service for a list, which changes nothing.
pub(crate) async fn look(api: &Api) -> Result<()> {
    let failed = |failure: crate::error::Failure| failure.of("connecting", &api.place());
    let body = json!({"QueueNamePrefix": "ieum", "MaxResults": 1});
    let queues = api.sqs("ListQueues", &body, Duration::ZERO).await;
    queues.map_err(failed)?;
    let topics = api.sns("ListTopics", &[]).await;
    topics.map_err(failed).map(drop)
}
