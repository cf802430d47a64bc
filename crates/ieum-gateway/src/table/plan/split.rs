//! The share of a route that goes to another upstream, read and found sensible.

use super::Reader;
use crate::config::{Config, RouteConfig};
use crate::table::split::{PlannedSplit, Share, SplitKey};

impl Reader<'_> {
    /// The split of a route that has one.
    pub(super) fn split(&mut self, config: &Config, route: &RouteConfig) -> Option<PlannedSplit> {
        let split = route.split.as_ref()?;
        for (field, message) in split.problems(config, route) {
            self.refuse(field, message);
        }
        let (service, url) = (split.service.as_deref(), split.url.as_deref());
        let address = self.address(".split", service, url)?;
        // A key that cannot be had was refused above.
        let key = SplitKey::of(&split.by, config.jwt.as_ref())?;
        Some(PlannedSplit {
            address,
            share: Share::of(split.percent),
            key,
            old_if_absent: split.old_if_absent,
        })
    }
}
