//! The server that all tests here share.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ieum_base::EngineUrl;
use ieum_testkit::engines::RabbitMq;

/// The one server. Who restarts it holds it meanwhile.
pub(crate) fn server() -> MutexGuard<'static, RabbitMq> {
    static SERVER: OnceLock<Mutex<RabbitMq>> = OnceLock::new();
    let server = SERVER.get_or_init(|| Mutex::new(RabbitMq::start().expect("RabbitMQ starts")));
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Its URL.
pub(crate) fn url() -> EngineUrl {
    server().url().parse().expect("a URL")
}
