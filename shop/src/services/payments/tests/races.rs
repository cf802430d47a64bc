//! What happens on PostgreSQL, where transactions run beside each other.

use super::{BALANCE, KEPT, charge};
use crate::services::payments::{SPEC, store};
use crate::support::testing::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_refunded_eight_times_at_once_is_refunded_once() {
    let bench = Bench::on_postgres(SPEC).await;
    let charged = bench.work(|work| store::charge(work, &charge(None)));
    charged.await.expect("charged");
    let refunds = bench.at_once(8, |work, _| store::refund(work, "o-1"));
    let refunds = refunds
        .await
        .into_iter()
        .map(|r| r.expect("refunded").len());
    assert_eq!(refunds.sum::<usize>(), 1);
    assert_eq!(
        (bench.number(KEPT).await, bench.number(BALANCE).await),
        (0, 0)
    );
}
