//! The platforms on one log: who is there, and what each heard that nobody writes down.

use std::sync::Arc;

use axum::extract::State;
use ieum_discovery::peers::Heard;
use ieum_remote::wire::platforms::Platforms;

use super::extract::Json;
use super::routes::{Operation, Routes};

/// What the routes of platforms answer.
#[derive(Clone)]
pub(crate) struct Company {
    /// Who is there.
    pub(crate) platforms: Arc<dyn Fn() -> Platforms + Send + Sync>,
    /// What was reported here.
    pub(crate) heard: Arc<dyn Fn() -> Heard + Send + Sync>,
}

/// The routes of platforms.
pub(crate) fn routes(company: Company) -> Routes {
    Routes::new()
        .add(
            Operation::get("/api/v1/platforms", "listPlatforms")
                .summary(
                    "Lists the platforms on this log, who runs the health checks, and who owns which \
                     partitions of sagas.",
                )
                .answers(200, "the platforms by name", "Platforms"),
            list,
        )
        .add(
            Operation::get("/api/v1/platforms/heard", "listHeard")
                .summary(
                    "Tells another platform on this log how long ago TTL checks were reported and \
                     sessions renewed here.",
                )
                .answers(200, "milliseconds by id", "Heard"),
            heard,
        )
        .with_state(company)
}

async fn list(State(company): State<Company>) -> Json<Platforms> {
    Json((company.platforms)())
}

async fn heard(State(company): State<Company>) -> Json<Heard> {
    Json((company.heard)())
}
