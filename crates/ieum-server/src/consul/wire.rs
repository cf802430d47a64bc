//! Consul's JSON to ours and back.
//!
//! Requests are read as Consul reads them: names of fields in any case, with or without underscores
//! (`DeregisterCriticalServiceAfter`, `deregister_critical_service_after`), durations as text or as
//! nanoseconds, `null` as absent. Answers are the types of [`ieum_discovery::consul::wire`].

mod answers;
mod coordination;
mod external;
mod requests;
mod values;

pub(super) use answers::{
    agent_service, catalog_service, entry, has_tags, health_checks, maintenance_check, node,
    platform,
};
pub(super) use coordination::{KvOperation, SessionRequest, kv_operations, session_request};
pub(super) use external::{external, removed};
pub(super) use requests::{check_of_instance, registration, update};
pub(super) use values::{boolean, duration};
