//! What impacts are told from: the parts of the platform that know something.

use std::sync::Arc;

use super::storage::Storage;
use crate::api::Catalogue;
use crate::api::impact::Sources;
use crate::config::Config;
use crate::impact::Publishers;

/// The sources of a process that owns a log.
pub(super) fn sources(
    config: &Config,
    storage: &Storage,
    catalogue: &Catalogue,
    sagas: Option<ieum_saga::Handle>,
) -> Sources {
    let groups = Arc::clone(&storage.topics.inspect);
    let log = Arc::clone(&storage.events);
    let folders = config.contracts.folders.iter();
    Sources {
        catalogue: catalogue.clone(),
        publishers: Publishers::new(log, Arc::clone(&groups), config.impact.scan),
        groups,
        definitions: Arc::new(move || {
            let summaries = sagas.iter().flat_map(ieum_saga::Handle::definitions);
            summaries.map(|summary| summary.definition).collect()
        }),
        folders: folders.map(|folder| config.resolve(folder)).collect(),
    }
}
