//! Checkpoints over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use ieum_eventstore::{Checkpoint, Checkpoints, Fence, Result};

use crate::api::{Api, Outcome, json, segment};
use crate::wire::log::{LoadedCheckpoint, StoreCheckpoint};
use crate::wire::paths;

/// A platform's checkpoints.
#[derive(Clone, Debug)]
pub(crate) struct RemoteCheckpoints(pub(crate) Api);

impl RemoteCheckpoints {
    async fn try_load(&self, name: &str) -> Outcome<LoadedCheckpoint> {
        self.0.get(&path(name)?, Duration::ZERO).await
    }

    async fn move_to(
        &self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
        fence: Option<Fence>,
    ) -> Result<()> {
        let body = StoreCheckpoint {
            expected,
            to,
            fence,
        };
        let stored = self.try_store(name, &body).await;
        stored.map_err(|f| f.into_log_error(&format!("storing checkpoint `{name}`")))
    }

    async fn try_store(&self, name: &str, body: &StoreCheckpoint) -> Outcome<()> {
        self.0
            .tell(Method::PUT, &path(name)?, Some(json(body)?))
            .await
    }
}

#[async_trait]
impl Checkpoints for RemoteCheckpoints {
    async fn load(&self, name: &str) -> Result<Option<Checkpoint>> {
        let loaded = self.try_load(name).await;
        let loaded = loaded.map_err(|f| f.into_log_error(&format!("loading checkpoint `{name}`")));
        Ok(loaded?.checkpoint)
    }

    async fn store(&self, name: &str, expected: Option<Checkpoint>, to: Checkpoint) -> Result<()> {
        self.move_to(name, expected, to, None).await
    }

    async fn store_fenced(
        &self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
        fence: &Fence,
    ) -> Result<()> {
        self.move_to(name, expected, to, Some(fence.clone())).await
    }
}

fn path(name: &str) -> Outcome<String> {
    Ok(format!("{}/{}", paths::CHECKPOINTS, segment(name)?))
}
