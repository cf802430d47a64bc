//! Subscribing: [`Groups`] behind the port of subscriptions.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ieum_messaging::{Error, ErrorKind, GroupSubscriber, Result, Subscription, names};

use crate::connection::Patience;
use crate::groups::Groups;
use crate::keys::Keys;

/// Opens subscriptions on streams.
pub struct Subscriber {
    groups: Arc<Groups>,
    keys: Keys,
    subscriptions: GroupSubscriber,
}

impl Subscriber {
    /// Subscriptions of `groups`.
    pub fn new(groups: Arc<Groups>) -> Self {
        Self {
            keys: Keys::new(&groups.connection().config().prefix),
            subscriptions: GroupSubscriber::new(Arc::clone(&groups) as _),
            groups,
        }
    }

    /// Makes the group known to its topic, which from then on keeps for it what it has not read.
    async fn register(&self, topic: &str, group: &str) -> Result<()> {
        let connection = self.groups.connection();
        let mut known = redis::cmd("HSETNX");
        known.arg(self.keys.groups(topic)).arg(group).arg("0-0");
        let patience = connection.config().patience;
        let asked = connection.ask(patience, Patience::Wait, async |mut c| {
            known.query_async::<()>(&mut c).await
        });
        Ok(asked.await?)
    }
}

#[async_trait]
impl ieum_messaging::Subscriber for Subscriber {
    /// Refuses wrong names, makes the group known; joins with the first call of `next`. A server that
    /// does not answer is no error: the group becomes known when it first joins.
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn Subscription>> {
        names::check_join(topic, group, member)?;
        match self.register(topic, group).await {
            Err(error) if !may_pass(&error) => return Err(error),
            _ => {}
        }
        self.subscriptions.subscribe(topic, group, member).await
    }
}

fn may_pass(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Full)
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
