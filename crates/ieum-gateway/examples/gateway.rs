//! A gateway and nothing else: `cargo run -p ieum-gateway --example gateway -- FILE`.
//!
//! The file holds what `ieum.toml` has under `[gateway]`. Routes name their upstreams by `url`;
//! services would need a registry, which here is an empty one in memory.

use std::sync::Arc;

use ieum_base::{Stop, Tasks};
use ieum_discovery::{Resolver, memory};
use ieum_gateway::{Config, Deps, Gateway};

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    gateway: Config,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: gateway FILE")?;
    let file: File = toml::from_str(&std::fs::read_to_string(path)?)?;
    let registry = Arc::new(memory::Registry::new());
    let resolver = Resolver::new(registry, Tasks::new(Stop::new()));
    let gateway = Gateway::start(file.gateway, Deps::new(resolver))?;
    println!("http://{}", gateway.addr());
    gateway.failed().await;
    Ok(())
}
