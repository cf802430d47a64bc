//! Cases about leases, made into tests by [`lease_conformance!`](crate::lease_conformance).

use std::sync::Arc;

use super::{Subject, event, events, name, refusal, sure};
use crate::{Append, ErrorKind, Expect, Fence, Lease, Leases, Position};

/// An empty log of the engine under test, with its leases.
pub struct LeaseSubject {
    /// The log.
    pub log: Subject,
    /// Its leases.
    pub leases: Arc<dyn Leases>,
}

impl LeaseSubject {
    async fn lease(&self, name: &str) -> Lease {
        let found = sure(self.leases.observe(name).await);
        let found = found.into_iter().find(|lease| lease.name == name);
        found.unwrap_or_else(|| Lease::untaken(name))
    }

    /// Takes a lease as it is.
    async fn take(&self, holder: &str, name: &str) -> Fence {
        let seen = self.lease(name).await;
        let taken = sure(self.leases.take(holder, &[seen]).await);
        assert_eq!(taken.len(), 1, "nobody else wanted it");
        taken[0].clone()
    }

    async fn append(&self, fence: &Fence) -> super::Outcome {
        let append = Append::to(name("a-1"), Expect::Any, vec![event("x")]);
        self.log.store.append(append.fenced(fence.clone())).await
    }
}

/// Makes a test of each case, as [`log_conformance!`](crate::log_conformance) does. `$open` is an
/// expression whose future is a [`LeaseSubject`](crate::conformance::LeaseSubject).
#[macro_export]
macro_rules! lease_conformance {
    ($open:expr, $engine:literal) => {
        $crate::lease_conformance! { @cases $open, $engine;
            a_lease_is_seen_as_it_was_left
            a_lease_is_taken_only_as_it_was_seen
            of_many_candidates_exactly_one_takes_a_lease
            a_renewal_counts_and_an_old_epoch_is_not_renewed
            a_released_lease_is_free_and_shuts_its_owner_out
            h13_taking_a_lease_shuts_its_earlier_owner_out
            h14_a_holders_name_used_again_is_no_right
            leases_and_fences_of_one_name_are_one
            leases_of_one_call_are_decided_one_by_one
            names_of_leases_have_limits
        }
    };
    (@cases $open:expr, $engine:literal; $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject: $crate::conformance::LeaseSubject = $open.await;
                $crate::conformance::$case(&subject).await;
                let passed = [stringify!($case)];
                ieum_testkit::conformance::record("leases", $engine, &passed, &[], &[]);
            }
        )*
    };
}

/// Observing tells epoch, counter and holder, of the names that begin so and no others.
pub async fn a_lease_is_seen_as_it_was_left(subject: &LeaseSubject) {
    assert_eq!(sure(subject.leases.observe("").await), []);
    let first = subject.take("one", "x/a%").await;
    subject.take("two", "x/b").await;
    subject.take("three", "x_a").await;
    sure(subject.leases.renew(std::slice::from_ref(&first)).await);
    let seen = |name: &str, renewals, holder: &str| Lease {
        name: name.to_owned(),
        epoch: 1,
        renewals,
        holder: Some(holder.to_owned()),
    };
    let both = [seen("x/a%", 1, "one"), seen("x/b", 0, "two")];
    assert_eq!(sure(subject.leases.observe("x/").await), both);
    assert_eq!(sure(subject.leases.observe("x/a%").await), both[..1]);
    assert_eq!(sure(subject.leases.observe("x%").await), []);
    assert_eq!(sure(subject.leases.observe("X/").await), []);
    assert_eq!(sure(subject.leases.observe("x").await).len(), 3);
}

/// Compare-and-set: a renewal or another owner in between is a lost race.
pub async fn a_lease_is_taken_only_as_it_was_seen(subject: &LeaseSubject) {
    let never = Lease::untaken("p");
    let fence = subject.take("one", "p").await;
    assert_eq!((&*fence.name, fence.epoch), ("p", 1));
    assert_eq!(sure(subject.leases.take("two", &[never]).await), []);
    let before = subject.lease("p").await;
    sure(subject.leases.renew(std::slice::from_ref(&fence)).await);
    let late = subject.leases.take("two", std::slice::from_ref(&before));
    assert_eq!(sure(late.await), []);
    assert_eq!(subject.lease("p").await.holder.as_deref(), Some("one"));
    let second = subject.take("two", "p").await;
    assert_eq!(second.epoch, 2);
    let now = subject.lease("p").await;
    assert_eq!((now.epoch, now.renewals), (2, 1));
    assert_eq!(now.holder.as_deref(), Some("two"));
    assert_eq!(sure(subject.leases.take("three", &[before]).await), []);
}

/// However many see the same, one of them wins.
pub async fn of_many_candidates_exactly_one_takes_a_lease(subject: &LeaseSubject) {
    subject.take("dead", "p").await;
    for round in 0..20 {
        let seen = vec![subject.lease("p").await];
        let names: Vec<String> = (0..8).map(|n| format!("{round}-{n}")).collect();
        let takes = names.iter().map(|who| subject.leases.take(who, &seen));
        let taken = futures_util::future::join_all(takes).await;
        let taken: Vec<_> = taken.into_iter().flat_map(sure).collect();
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!(taken[0].epoch, round + 2);
    }
}

/// Only the epoch that holds is renewed, and whoever holds another one learns of it.
pub async fn a_renewal_counts_and_an_old_epoch_is_not_renewed(subject: &LeaseSubject) {
    let zombie = subject.take("one", "p").await;
    for renewals in 1..4 {
        let renewed = subject.leases.renew(std::slice::from_ref(&zombie));
        assert_eq!(sure(renewed.await), std::slice::from_ref(&zombie));
        assert_eq!(subject.lease("p").await.renewals, renewals);
    }
    let owner = subject.take("two", "p").await;
    let both = [zombie.clone(), owner.clone()];
    assert_eq!(sure(subject.leases.renew(&both).await), [owner]);
    assert_eq!(subject.lease("p").await.renewals, 4);
    let unknown = Fence {
        name: "never".to_owned(),
        epoch: 0,
    };
    assert_eq!(sure(subject.leases.renew(&[unknown]).await), []);
    assert_eq!(sure(subject.leases.renew(&[]).await), []);
}

/// Giving back ends the epoch; doing so twice, or as a zombie, ends nobody else's.
pub async fn a_released_lease_is_free_and_shuts_its_owner_out(subject: &LeaseSubject) {
    let first = subject.take("one", "p").await;
    let given = std::slice::from_ref(&first);
    sure(subject.leases.release(given).await);
    let free = subject.lease("p").await;
    assert_eq!((free.epoch, free.holder.as_deref()), (2, None));
    let late = refusal(subject.append(&first).await);
    assert_eq!(late, ErrorKind::Fenced { actual: 2 });
    assert_eq!(sure(subject.leases.renew(given).await), []);
    sure(subject.leases.release(given).await);
    assert_eq!(subject.lease("p").await, free);
    let second = subject.take("two", "p").await;
    assert_eq!(second.epoch, 3);
    sure(subject.leases.release(given).await);
    sure(subject.append(&second).await);
}

/// H13: from the moment that a lease is taken, its earlier owner appends and moves nothing.
pub async fn h13_taking_a_lease_shuts_its_earlier_owner_out(subject: &LeaseSubject) {
    let zombie = subject.take("one", "p").await;
    sure(subject.append(&zombie).await);
    let owner = subject.take("two", "p").await;
    let late = refusal(subject.append(&zombie).await);
    assert_eq!(late, ErrorKind::Fenced { actual: 2 });
    sure(subject.append(&owner).await);
    let head = sure(subject.log.store.head().await);
    let to = head.checkpoint(Position(1));
    let checkpoints = &subject.log.checkpoints;
    let late = checkpoints.store_fenced("view", None, to, &zombie).await;
    assert_eq!(refusal(late), ErrorKind::Fenced { actual: 2 });
    sure(checkpoints.store_fenced("view", None, to, &owner).await);
}

/// H14: the epoch is the right to write and the name is not.
pub async fn h14_a_holders_name_used_again_is_no_right(subject: &LeaseSubject) {
    let before = subject.take("worker-1", "p").await;
    let after = subject.take("worker-1", "p").await;
    assert_eq!((before.epoch, after.epoch), (1, 2));
    let late = refusal(subject.append(&before).await);
    assert_eq!(late, ErrorKind::Fenced { actual: 2 });
    let both = [before, after.clone()];
    assert_eq!(sure(subject.leases.renew(&both).await), [after]);
}

/// A fence that is raised takes the lease from its holder, and a lease begins above a raised fence.
pub async fn leases_and_fences_of_one_name_are_one(subject: &LeaseSubject) {
    sure(subject.log.fences.raise("p").await);
    let raised = subject.lease("p").await;
    assert_eq!((raised.epoch, raised.holder), (1, None));
    let owner = subject.take("one", "p").await;
    assert_eq!(owner.epoch, 2);
    let fence = sure(subject.log.fences.raise("p").await);
    assert_eq!(fence.epoch, 3);
    assert_eq!(subject.lease("p").await.holder, None);
    assert_eq!(sure(subject.leases.renew(&[owner]).await), []);
}

/// One lost race takes nothing from the others.
pub async fn leases_of_one_call_are_decided_one_by_one(subject: &LeaseSubject) {
    let all = ["p/1", "p/2", "p/3"].map(Lease::untaken);
    let lost = subject.take("other", "p/2").await;
    let taken = sure(subject.leases.take("one", &all).await);
    let names = |fences: &[Fence]| -> Vec<String> {
        let mut names: Vec<_> = fences.iter().map(|fence| fence.name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&taken), ["p/1", "p/3"]);
    let mut held = taken.clone();
    held.push(Fence { epoch: 9, ..lost });
    let renewed = sure(subject.leases.renew(&held).await);
    assert_eq!(names(&renewed), ["p/1", "p/3"]);
    sure(subject.leases.release(&held).await);
    let left = sure(subject.leases.observe("p/").await);
    let holders: Vec<_> = left.iter().map(|lease| lease.holder.as_deref()).collect();
    assert_eq!(holders, [None, Some("other"), None]);
    sure(subject.log.append("a-1", Expect::Any, events("x", 1)).await);
}

/// Names are neither empty nor without end.
pub async fn names_of_leases_have_limits(subject: &LeaseSubject) {
    let long = "x".repeat(Lease::MAX_NAME_BYTES + 1);
    let cases = [("one", ""), ("", "p"), ("one", &*long), (&*long, "p")];
    for (holder, name) in cases {
        let refused = subject.leases.take(holder, &[Lease::untaken(name)]).await;
        assert_eq!(refusal(refused), ErrorKind::Invalid, "{holder:?} {name:?}");
    }
    let longest = &long[1..];
    assert_eq!(subject.take(longest, longest).await.epoch, 1);
}
