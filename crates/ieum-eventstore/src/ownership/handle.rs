//! What everybody may know about who owns what.

use ieum_base::Stop;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Looks at who owns what. Clones look at the same.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) view: watch::Receiver<View>,
    pub(super) left: Stop,
}

/// The members of a scope and what they own, as this member last saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The members, by the number of their seat.
    pub members: Vec<Member>,
    /// The items, in their order.
    pub items: Vec<Owned>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The name of its platform.
    pub name: String,
    /// True for the one that answers.
    pub own: bool,
    /// False if it did not renew its lease for a lease length.
    pub alive: bool,
}

/// An item and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    /// The item.
    pub item: String,
    /// The epoch of its lease.
    pub epoch: u64,
    /// The name of the platform that owns it; absent if nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// True if that is the one that answers.
    pub own: bool,
}

impl Handle {
    /// The last view; empty until the log was first looked at.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Waits until a view satisfies `wanted`, and answers it; the last one if the service has ended.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&View) -> bool) -> View {
        let mut view = self.view.clone();
        let found = view.wait_for(|view| wanted(view)).await;
        match found {
            Ok(view) => view.clone(),
            Err(_ended) => self.view(),
        }
    }

    /// Resolves when the member has left: everything is given back, or could not be.
    pub async fn left(&self) {
        self.left.requested().await;
    }
}

impl View {
    /// How many items the answering member owns.
    pub fn own_count(&self) -> usize {
        self.items.iter().filter(|item| item.own).count()
    }
}
