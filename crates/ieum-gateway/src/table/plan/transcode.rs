//! What a transcoded route translates, read and found sensible.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ieum_grpc::Descriptors;
use ieum_grpc::transcode::{Settings, Transcoder};

use super::{PlannedTarget, Reader};
use crate::config::{RouteConfig, TranscodeConfig};
use crate::upstream::Address;

/// Services that are offered as HTTP with JSON, and where they are.
#[derive(Clone, Debug)]
pub(crate) struct PlannedTranscode {
    pub(crate) address: Address,
    pub(crate) services: Vec<String>,
    pub(crate) settings: Settings,
    /// The largest message, in bytes, if it is not that of the whole gateway.
    pub(crate) most: Option<u64>,
    pub(crate) source: DescriptorSource,
}

/// Where descriptors come from.
#[derive(Clone, Debug)]
pub(crate) enum DescriptorSource {
    /// A file that was read.
    File(Arc<Transcoder>),
    /// The service itself, asked this often.
    Reflection(Duration),
}

impl PlannedTranscode {
    /// True if descriptors that were fetched for `other` mean the same here.
    pub(crate) fn fetches_as(&self, other: &Self) -> bool {
        let reflect = |plan: &Self| matches!(plan.source, DescriptorSource::Reflection(_));
        let same = (&self.address, &self.services, self.settings)
            == (&other.address, &other.services, other.settings);
        same && reflect(self) && reflect(other)
    }
}

impl Reader<'_> {
    /// What a route translates; what has no effect on such a route is refused.
    pub(super) fn transcode(
        &mut self,
        route: &RouteConfig,
        config: &TranscodeConfig,
    ) -> Option<PlannedTarget> {
        let alone = route.service.is_none() && route.url.is_none() && route.compose.is_none();
        let message = "cannot go together with `service`, `url` or `compose`: it has its own";
        self.require(alone, ".transcode", message);
        for (field, is_given) in [
            (".fallback", route.fallback.is_some()),
            (".upgrade", route.upgrade),
        ] {
            self.require(!is_given, field, "has no effect on a transcoded route");
        }
        self.transcode_limits(config);
        let (service, url) = (config.service.as_deref(), config.url.as_deref());
        let address = self.address(".transcode", service, url);
        let source = self.descriptor_source(config);
        Some(PlannedTarget::Transcode(Box::new(PlannedTranscode {
            address: address?,
            services: config.services.clone(),
            settings: config.settings(),
            most: config.max_message.map(|most| most.0),
            source: source?,
        })))
    }

    fn transcode_limits(&mut self, config: &TranscodeConfig) {
        let count = config.services.len();
        let in_range = (1..=64).contains(&count);
        self.require(in_range, ".transcode.services", "must name 1 to 64");
        let in_range = (1..=10_000).contains(&config.most_parameters);
        let field = ".transcode.most-parameters";
        self.require(in_range, field, "must be from 1 to 10000");
        let in_range = (1..=100).contains(&config.deepest);
        self.require(in_range, ".transcode.deepest", "must be from 1 to 100");
        let in_range = (1..=10_000_000).contains(&config.most_values);
        let field = ".transcode.most-values";
        self.require(in_range, field, "must be from 1 to 10000000");
        let in_range = config
            .max_message
            .is_none_or(|most| (1..=64 << 20).contains(&most.0));
        let field = ".transcode.max-message";
        self.require(in_range, field, "must be from 1B to 64MiB");
    }

    fn descriptor_source(&mut self, config: &TranscodeConfig) -> Option<DescriptorSource> {
        match (&config.descriptors, config.reflection) {
            (Some(file), false) => {
                let message = "has no effect without `reflection`";
                self.require(config.refresh.is_none(), ".transcode.refresh", message);
                let read = read(file, config);
                let transcoder = self.take(".transcode.descriptors", read)?;
                Some(DescriptorSource::File(Arc::new(transcoder)))
            }
            (None, true) => {
                let refresh = config.refresh.unwrap_or(TranscodeConfig::REFRESH).0;
                let in_range = (LEAST_REFRESH..=MOST_REFRESH).contains(&refresh);
                self.require(in_range, ".transcode.refresh", "must be from 1s to 24h");
                Some(DescriptorSource::Reflection(refresh))
            }
            _ => {
                let message = "must have exactly one of `descriptors` and `reflection = true`";
                self.refuse(".transcode", message);
                None
            }
        }
    }
}

/// The translator by the descriptors in a file.
fn read(file: &Path, config: &TranscodeConfig) -> Result<Transcoder, String> {
    let shown = file.display();
    let bytes = std::fs::read(file);
    let bytes = bytes.map_err(|e| format!("names `{shown}`, which cannot be read: {e}"))?;
    let descriptors = Descriptors::from_set(&bytes);
    let made = descriptors
        .and_then(|descriptors| Transcoder::new(descriptors, &config.services, config.settings()));
    made.map_err(|error| format!("names `{shown}`, which cannot be used: {error}"))
}

const LEAST_REFRESH: Duration = Duration::from_secs(1);
const MOST_REFRESH: Duration = Duration::from_secs(24 * 3600);
