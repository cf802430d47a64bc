//! What a member of a scope is told.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Clock, HumanDuration, Uuid};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Lease, Leases, Result};

/// Settings of a member. All members of a scope are to have the same lease length: a longer one
/// takes over later, and a shorter one takes over from members that renew in time by theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How long a lease stands still before it is taken over, and how long an owner goes on that
    /// cannot renew. Renewed every third of it. Default `5s`, at least `100ms`.
    pub lease: HumanDuration,
    /// How long an owner may take to finish what it gives back. Default `20s`.
    pub drain: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: HumanDuration::from_secs(5),
            drain: HumanDuration::from_secs(20),
        }
    }
}

/// Who a member is.
///
/// The name belongs to the platform and stays over its restarts; it must be its own. A member takes
/// over at once, without waiting for a lease length, what an earlier run of the same name left. Two
/// running members of one name only take from each other when one of them starts, and harm nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    name: String,
    text: String,
}

impl Holder {
    /// The most bytes of a name.
    pub const MAX_NAME_BYTES: usize = 200;

    /// This run, `run`, of the platform called `name`; the name is cut to its limit.
    pub fn new(name: &str, run: Uuid) -> Self {
        let mut name = name.trim().to_owned();
        let mut end = name.len().min(Self::MAX_NAME_BYTES);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        Self {
            text: format!("{name} {run}"),
            name,
        }
    }

    /// The platform's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it is written into a lease: the name and the run.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The platform's name in what a lease says about its holder.
    pub(super) fn name_in(text: &str) -> &str {
        text.rsplit_once(' ').map_or(text, |(name, _)| name)
    }
}

/// What a member works with.
#[derive(Clone)]
pub struct Parts {
    /// The leases.
    pub leases: Arc<dyn Leases>,
    /// The name of the work that is divided: the beginning of its leases' names.
    pub scope: String,
    /// The names of the pieces, the same for all members.
    pub items: Vec<String>,
    /// Who this member is.
    pub holder: Holder,
    /// By which it waits.
    pub clock: Clock,
}

impl Parts {
    /// The name of an item's lease.
    pub fn lease_of(scope: &str, item: &str) -> String {
        format!("{scope}/{item}")
    }

    pub(super) fn check(&self, config: &Config) -> Result<()> {
        let names = self.items.iter().map(|item| item.len() + self.scope.len());
        let longest = names.max().unwrap_or(0) + MEMBER.len() + 8;
        let problem = if config.lease.0 < LEAST_LEASE {
            "a lease is at least 100ms long".to_owned()
        } else if longest > Lease::MAX_NAME_BYTES || self.scope.is_empty() {
            "the names of the scope and its items are empty or too long".to_owned()
        } else if self.items.is_empty() || self.items.len() + MEMBERS > Lease::MOST {
            format!("a scope has 1 to {} items", Lease::MOST - MEMBERS)
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, problem))
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("scope", &self.scope)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// The most members of a scope.
pub(super) const MEMBERS: usize = 128;
/// The beginning of the names of members' leases, behind the scope.
pub(super) const MEMBER: &str = "member-";
const LEAST_LEASE: Duration = Duration::from_millis(100);
