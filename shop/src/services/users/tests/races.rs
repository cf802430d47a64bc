//! What happens on PostgreSQL, where transactions run beside each other.

use super::{email, sign_up};
use crate::services::users::{SPEC, store};
use crate::support::testing::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_who_want_one_address_at_once_one_gets_it() {
    let bench = Bench::on_postgres(SPEC).await;
    let answers = bench.at_once(8, |work, _| sign_up(work, "kim@example.com"));
    let (new, refused): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(new.len(), 1);
    for refusal in refused {
        assert_eq!(refusal.expect_err("refused").problem().status, 409);
    }
    assert_eq!(bench.number("SELECT count(*) FROM users").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_move_to_one_address_at_once_one_does() {
    let bench = Bench::on_postgres(SPEC).await;
    let ids = bench.at_once(4, |work, number| {
        Ok(sign_up(work, &format!("kim-{number}@example.com"))?.id)
    });
    let ids: Vec<_> = ids.await.into_iter().map(|id| id.expect("new")).collect();
    let moves = bench.at_once(4, move |work, number| {
        let id = &ids[number as usize];
        store::update(work, id, Some(email("lee@example.com")), None)
    });
    let moved = moves.await.into_iter().filter(Result::is_ok).count();
    assert_eq!(moved, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_user_at_once_all_happen_one_after_the_other() {
    let bench = Bench::on_postgres(SPEC).await;
    let user = bench.work(|work| sign_up(work, "kim@example.com"));
    let id = user.await.expect("new").id;
    let changes = bench.at_once(8, move |work, number| {
        let address = email(&format!("kim-{number}@example.com"));
        store::update(work, &id, Some(address), None)
    });
    for change in changes.await {
        change.expect("changed");
    }
    assert_eq!(
        bench.number("SELECT max(version) FROM ieum_events").await,
        9
    );
    assert_eq!(bench.told().await.len(), 9);
}
