//! Fences over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use ieum_eventstore::{Fence, Fences, Result};

use crate::api::{Api, Outcome, segment};
use crate::wire::paths;

/// A platform's fences.
#[derive(Clone, Debug)]
pub(crate) struct RemoteFences(pub(crate) Api);

impl RemoteFences {
    async fn try_raise(&self, name: &str) -> Outcome<Fence> {
        let path = format!("{}/{}", paths::FENCES, segment(name)?);
        let nothing = serde_json::Map::new();
        self.0.post(&path, &nothing, Duration::ZERO).await
    }
}

#[async_trait]
impl Fences for RemoteFences {
    async fn raise(&self, name: &str) -> Result<Fence> {
        let raised = self.try_raise(name).await;
        raised.map_err(|failure| failure.into_log_error(&format!("raising fence `{name}`")))
    }
}
