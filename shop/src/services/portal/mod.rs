//! portal: what a buyer sees, the storefront.
//!
//! It gives out the built pages of `shop/storefront`, which are part of this binary, and keeps
//! nothing: what they show, they ask the other services for, through the gateway.

mod pages;
#[cfg(test)]
mod tests;

use anyhow::Result;
use ieum::base::Stop;

use crate::support::hosting::Hosting;
use crate::support::service::Serving;

/// Its name in the registry.
pub(crate) const NAME: &str = "portal";
/// The team that it belongs to.
const OWNER: &str = "storefront";
/// The port that it uses where it is free.
pub(crate) const PORT: u16 = 3009;

/// Begins to serve.
pub(crate) async fn start(hosting: Hosting, stop: Stop) -> Result<Serving> {
    hosting.serve(NAME, OWNER, pages::router(), stop).await
}
