//! The rules of ownership: from what was seen and when, to what is to be taken and given back.
//!
//! Pure, but for the instants that it is given: the time at which a call *began* for what this member
//! renewed or took, and at which an answer *came* for what it saw of others. An owner so ends its
//! lease length no later than any candidate that saw its last renewal ends its own, as long as their
//! clocks run at one rate; where they do not, the fences decide.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::config::{Holder, MEMBER, MEMBERS, Parts};
use super::handle::{Member, Owned, View};
use crate::{Fence, Lease};

/// What one member knows and owns.
#[derive(Debug)]
pub(super) struct Keeper {
    length: Duration,
    seats: String,
    /// The leases of the items, and the items.
    items: Vec<(String, String)>,
    holder: Holder,
    looked: bool,
    seen: BTreeMap<String, Seen>,
    held: BTreeMap<String, Held>,
    seat: Option<(usize, Held)>,
}

/// A lease as it was first seen with its epoch and counter.
#[derive(Debug)]
struct Seen {
    lease: Lease,
    since: Instant,
    /// Left by an earlier run of this platform, and not renewed since.
    inherited: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    epoch: u64,
    until: Instant,
    /// It is being given back.
    leaving: bool,
}

/// What is to be done next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// To be taken, as they were seen; with the seat, if this member has none.
    pub(super) take: Vec<Lease>,
    /// Seats of the dead: to be taken and released, so that seats do not run out.
    pub(super) bury: Vec<Lease>,
    /// The leases of items that are above this member's share.
    pub(super) give_back: Vec<String>,
}

impl Keeper {
    pub(super) fn new(length: Duration, parts: &Parts) -> Self {
        let scope = &parts.scope;
        let named = |item: &String| (Parts::lease_of(scope, item), item.clone());
        Self {
            length,
            seats: Parts::lease_of(scope, MEMBER),
            items: parts.items.iter().map(named).collect(),
            holder: parts.holder.clone(),
            looked: false,
            seen: BTreeMap::new(),
            held: BTreeMap::new(),
            seat: None,
        }
    }

    /// Everything that is to be renewed.
    pub(super) fn fences(&self) -> Vec<Fence> {
        let fence = |(name, held): (&String, &Held)| Fence {
            name: name.clone(),
            epoch: held.epoch,
        };
        let items = self.held.iter().map(fence);
        let seat = self.seat.map(|(number, held)| Fence {
            name: self.seat_name(number),
            epoch: held.epoch,
        });
        items.chain(seat).collect()
    }

    /// What is owned by this member's own belief at `now`.
    #[cfg(test)]
    pub(super) fn fences_at(&self, now: Instant) -> Vec<Fence> {
        let mut fences = self.fences();
        fences.retain(|fence| {
            let held = self.held.get(&fence.name);
            held.is_some_and(|held| held.until > now)
        });
        fences
    }

    /// The holder as it is written into a lease.
    pub(super) fn holder(&self) -> &str {
        self.holder.as_str()
    }

    /// Learns the answer to a renewal of `sent` that began at `started`; answers what was lost.
    pub(super) fn renewed(
        &mut self,
        started: Instant,
        sent: &[Fence],
        renewed: &[Fence],
    ) -> Vec<String> {
        let until = started + self.length;
        let mut lost = Vec::new();
        for fence in sent {
            let holds = renewed.contains(fence);
            match self.held_mut(fence) {
                Some(held) if holds => held.until = held.until.max(until),
                Some(_) => {
                    self.forget(&fence.name);
                    lost.push(fence.name.clone());
                }
                None => {}
            }
        }
        lost
    }

    /// Learns what was seen by an answer that came at `now`; answers what was lost.
    pub(super) fn observed(&mut self, now: Instant, leases: Vec<Lease>) -> Vec<String> {
        let first = !std::mem::replace(&mut self.looked, true);
        let mut seen = BTreeMap::new();
        for lease in leases {
            let before = self.seen.remove(&lease.name);
            let same = before.filter(|before| {
                (before.lease.epoch, before.lease.renewals) == (lease.epoch, lease.renewals)
            });
            let new = same.unwrap_or_else(|| Seen {
                since: now,
                inherited: first && self.is_of_this_platform(&lease),
                lease: lease.clone(),
            });
            seen.insert(lease.name, new);
        }
        self.seen = seen;
        let over: Vec<Fence> = self
            .fences()
            .into_iter()
            .filter(|fence| {
                let seen = self.seen.get(&fence.name);
                seen.is_none_or(|seen| seen.lease.epoch > fence.epoch)
            })
            .collect();
        over.iter().for_each(|fence| self.forget(&fence.name));
        over.into_iter().map(|fence| fence.name).collect()
    }

    /// Learns which leases were taken by a call that began at `started`.
    pub(super) fn taken(&mut self, started: Instant, fences: &[Fence]) {
        let until = started + self.length;
        for fence in fences {
            let held = Held {
                epoch: fence.epoch,
                until,
                leaving: false,
            };
            match self.seat_number(&fence.name) {
                Some(number) => self.seat = Some((number, held)),
                None => {
                    self.held.insert(fence.name.clone(), held);
                }
            }
        }
    }

    /// Gives up what could not be renewed for a lease length; answers what that is.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<String> {
        let over = |(_, held): &(&String, &Held)| held.until <= now;
        let names: Vec<String> = self
            .held
            .iter()
            .filter(over)
            .map(|(n, _)| n.clone())
            .collect();
        names.iter().for_each(|name| self.forget(name));
        self.seat = self.seat.filter(|(_, held)| held.until > now);
        names
    }

    /// When the next lease is over that is not renewed before.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let seat = self.seat.map(|(_, held)| held.until);
        self.held.values().map(|held| held.until).chain(seat).min()
    }

    /// When the lease of an item is over if it is not renewed.
    pub(super) fn end_of(&self, name: &str) -> Option<Instant> {
        self.held.get(name).map(|held| held.until)
    }

    /// The item is given back as soon as its work has ended.
    pub(super) fn leave(&mut self, name: &str) {
        if let Some(held) = self.held.get_mut(name) {
            held.leaving = true;
        }
    }

    /// It is not held any more: it was given back or lost.
    pub(super) fn forget(&mut self, name: &str) {
        self.held.remove(name);
        if self.seat_number(name).is_some() {
            self.seat = None;
        }
    }

    /// The leases of the items that are held.
    pub(super) fn held(&self) -> Vec<String> {
        self.held.keys().cloned().collect()
    }

    /// What is to be done, by what is known at `now`.
    pub(super) fn plan(&self, now: Instant) -> Plan {
        if !self.looked {
            return Plan::default();
        }
        let living = self.living(now);
        let Some(own) = self
            .seat
            .map(|(number, _)| number)
            .or_else(|| self.free_seat(now))
        else {
            return Plan::default();
        };
        let rank = living.range(..own).count();
        let share = share(self.items.len(), living.len() + 1, rank);
        let staying = self.held.iter().filter(|(_, held)| !held.leaving);
        let staying: Vec<&String> = staying.map(|(name, _)| name).collect();
        let mut take = Vec::new();
        if self.seat.is_none() {
            take.push(self.as_seen(&self.seat_name(own)));
        }
        let missing = share.saturating_sub(staying.len());
        take.extend(self.free_items(now, rank * share).take(missing));
        let excess = staying.len().saturating_sub(share);
        let give_back = staying.iter().rev().take(excess);
        Plan {
            bury: self.dead_seats(now, own),
            give_back: give_back.map(|name| (*name).clone()).collect(),
            take,
        }
    }

    /// What everybody may know.
    pub(super) fn view(&self, now: Instant) -> View {
        let own_seat = self.seat.map(|(number, _)| number);
        let members = self.seats().filter_map(|(number, seen)| {
            let holder = seen.lease.holder.as_deref()?;
            let own = own_seat == Some(number);
            Some(Member {
                name: Holder::name_in(holder).to_owned(),
                alive: own || !self.is_free(seen, now),
                own,
            })
        });
        let items = self.items.iter().map(|(lease, item)| {
            let held = self.held.get(lease);
            let seen = self.seen.get(lease).map(|seen| &seen.lease);
            let holder = seen.and_then(|lease| lease.holder.as_deref());
            let owner = match held {
                Some(_) => Some(self.holder.name()),
                None => holder.map(Holder::name_in),
            };
            Owned {
                item: item.clone(),
                epoch: held.map_or_else(|| seen.map_or(0, |lease| lease.epoch), |held| held.epoch),
                owner: owner.map(str::to_owned),
                own: held.is_some(),
            }
        });
        View {
            members: members.collect(),
            items: items.collect(),
        }
    }

    /// The name of the item of a lease.
    pub(super) fn item_of(&self, lease: &str) -> Option<&str> {
        let mut items = self.items.iter();
        let found = items.find(|(name, _)| name == lease);
        found.map(|(_, item)| item.as_str())
    }

    fn held_mut(&mut self, fence: &Fence) -> Option<&mut Held> {
        let held = match self.seat_number(&fence.name) {
            Some(number) => self.seat.as_mut().filter(|(own, _)| *own == number),
            None => return self.held.get_mut(&fence.name),
        };
        held.map(|(_, held)| held)
    }

    fn is_of_this_platform(&self, lease: &Lease) -> bool {
        let holder = lease.holder.as_deref();
        holder.is_some_and(|text| Holder::name_in(text) == self.holder.name())
    }

    /// True if a lease that this member does not hold may be taken: it was given back, an answer to
    /// this member was lost, an earlier run left it, or it stood still for a lease length.
    fn is_free(&self, seen: &Seen, now: Instant) -> bool {
        match seen.lease.holder.as_deref() {
            None => true,
            Some(holder) => {
                holder == self.holder.as_str()
                    || seen.inherited
                    || now.saturating_duration_since(seen.since) >= self.length
            }
        }
    }

    fn as_seen(&self, name: &str) -> Lease {
        let seen = self.seen.get(name);
        seen.map_or_else(|| Lease::untaken(name), |seen| seen.lease.clone())
    }

    /// The items that may be taken, beginning at the `start`th: members begin at different ones.
    fn free_items(&self, now: Instant, start: usize) -> impl Iterator<Item = Lease> {
        let start = start % self.items.len().max(1);
        let rotated = self.items[start..].iter().chain(&self.items[..start]);
        rotated
            .filter(move |(name, _)| {
                let seen = self.seen.get(name);
                !self.held.contains_key(name) && seen.is_none_or(|seen| self.is_free(seen, now))
            })
            .map(|(name, _)| self.as_seen(name))
    }

    /// The seats of the other members that are alive.
    fn living(&self, now: Instant) -> BTreeSet<usize> {
        let own = self.seat.map(|(number, _)| number);
        let others = self.seats().filter(|(number, _)| own != Some(*number));
        let living = others.filter(|(_, seen)| !self.is_free(seen, now));
        living.map(|(number, _)| number).collect()
    }

    fn free_seat(&self, now: Instant) -> Option<usize> {
        (0..MEMBERS).find(|number| {
            let seen = self.seen.get(&self.seat_name(*number));
            seen.is_none_or(|seen| self.is_free(seen, now))
        })
    }

    fn dead_seats(&self, now: Instant, own: usize) -> Vec<Lease> {
        let dead = self.seats().filter(|(number, seen)| {
            *number != own && seen.lease.holder.is_some() && self.is_free(seen, now)
        });
        dead.map(|(_, seen)| seen.lease.clone()).collect()
    }

    fn seats(&self) -> impl Iterator<Item = (usize, &Seen)> {
        let seats = self.seen.range(self.seats.clone()..);
        seats.filter_map(|(name, seen)| Some((self.seat_number(name)?, seen)))
    }

    /// Three digits, so that the order of the names is that of the numbers.
    fn seat_name(&self, number: usize) -> String {
        format!("{}{number:03}", self.seats)
    }

    fn seat_number(&self, name: &str) -> Option<usize> {
        name.strip_prefix(&self.seats)?.parse().ok()
    }
}

/// How many of `items` the member with this rank among `members` owns: all the same, and what is
/// left over goes to the first ones, so that the shares add up to all items.
fn share(items: usize, members: usize, rank: usize) -> usize {
    let members = members.max(1);
    items / members + usize::from(rank < items % members)
}
