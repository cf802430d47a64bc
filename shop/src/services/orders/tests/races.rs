//! What happens on PostgreSQL, where transactions run beside each other.

use super::place;
use crate::services::orders::domain::{Command, Flow};
use crate::services::orders::{SPEC, store};
use crate::support::testing::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_confirmed_and_cancelled_at_once_ends_one_way() {
    let bench = Bench::on_postgres(SPEC).await;
    let view = bench.work(|work| place(work, Flow::Orchestrated));
    let view = view.await.expect("placed");
    let answers = bench.at_once(8, move |work, number| {
        let command = match number % 2 {
            0 => Command::Confirm,
            _ => Command::Cancel {
                reason: "payment-declined".to_owned(),
            },
        };
        store::act(work, &view.id, &command)
    });
    let answers = answers.await;
    for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refusal.problem().status, 409, "{refusal}");
    }
    // Those of one kind, since repeating what took effect is no refusal.
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4);
    let ends = "SELECT count(*) FROM ieum_events
        WHERE type IN ('OrderConfirmed', 'OrderCancelled')";
    assert_eq!(bench.number(ends).await, 1);
}
