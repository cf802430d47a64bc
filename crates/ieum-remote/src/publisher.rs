//! Publishing over HTTP, as CloudEvents.

use async_trait::async_trait;
use http::Method;
use ieum_messaging::{Limits, Message, Publisher, Result, http_binding};

use crate::api::{Api, Outcome, segment};
use crate::wire::paths;

/// A platform's topics, to publish to.
#[derive(Clone, Debug)]
pub(crate) struct RemotePublisher(pub(crate) Api);

impl RemotePublisher {
    async fn try_publish(&self, topic: &str, body: (http::HeaderValue, Vec<u8>)) -> Outcome<()> {
        let path = format!("{}/{}", paths::TOPICS, segment(topic)?);
        self.0.tell(Method::POST, &path, Some(body)).await
    }
}

#[async_trait]
impl Publisher for RemotePublisher {
    /// One request, because it is all or none. What is too large for the platform is `Invalid`.
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        for message in messages {
            message.validate(&Limits::default())?;
        }
        let body = match messages {
            [] => return Ok(()),
            [message] => http_binding::write_structured(message)?,
            several => http_binding::write_batch(several)?,
        };
        let published = self.try_publish(topic, body).await;
        published.map_err(|f| f.into_messages_error(&format!("publishing to `{topic}`")))
    }
}
