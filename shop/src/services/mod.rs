//! The eight services, and the portal in front of them. A module per service; they never import each
//! other, and meet only over the network.

pub(crate) mod analytics;
pub(crate) mod inventory;
pub(crate) mod notifications;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod portal;
pub(crate) mod products;
pub(crate) mod shipping;
pub(crate) mod users;
