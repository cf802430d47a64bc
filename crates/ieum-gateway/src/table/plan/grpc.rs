//! `grpc = true`.

use super::Reader;
use crate::config::{Config, RouteConfig};

impl Reader<'_> {
    /// The largest message, if the route is called by gRPC.
    pub(super) fn grpc(&mut self, config: &Config, route: &RouteConfig) -> Option<u64> {
        let message = "has an effect only with `grpc = true`";
        self.require(
            route.grpc || route.max_message.is_none(),
            ".max-message",
            message,
        );
        if !route.grpc {
            return None;
        }
        let has_upstream = route.service.is_some() || route.url.is_some();
        let message = "needs `service` or `url`";
        self.require(has_upstream, ".grpc", message);
        let refusals = [
            (
                ".methods",
                !route.methods.is_empty(),
                "every call is a POST",
            ),
            (
                ".max-body",
                route.max_body.is_some(),
                "`max-message` bounds what is sent",
            ),
            (
                ".upload-timeout",
                route.upload_timeout.is_some(),
                "the caller's deadline bounds a stream",
            ),
            (
                ".fallback",
                route.fallback.is_some(),
                "there is no answer that suits every method",
            ),
            (".upgrade", route.upgrade, "HTTP/2 has no tunnels"),
        ];
        for (field, is_set, why) in refusals {
            self.require(
                !is_set,
                field,
                &format!("has no effect with `grpc = true`: {why}"),
            );
        }
        let most = route.max_message.unwrap_or(config.limits.message).0;
        let in_range = (1..=1 << 30).contains(&most);
        // The default is checked where it stands.
        let holds = in_range || route.max_message.is_none();
        self.require(holds, ".max-message", "must be from 1B to 1GiB");
        Some(most)
    }

    /// The largest body of a request; the streams of gRPC have messages and no end.
    pub(super) fn max_body(&self, config: &Config, route: &RouteConfig) -> u64 {
        match route.grpc {
            true => u64::MAX,
            false => route.max_body.unwrap_or(config.limits.body).0,
        }
    }
}
