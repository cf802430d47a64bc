//! What happens on PostgreSQL, where transactions run beside each other.

use crate::services::inventory::SPEC;
use crate::services::inventory::domain::Line;
use crate::services::inventory::store;
use crate::support::testing::Bench;

const LEFT: &str = "SELECT stock FROM stock WHERE product_id = 'shoe'";
const HELD: &str = "SELECT CAST(sum(quantity) AS BIGINT) FROM reservations WHERE status = 'held'";

fn lines(products: &[&str]) -> Vec<Line> {
    let line = |product: &&str| Line {
        product_id: (*product).to_owned(),
        quantity: 1,
    };
    products.iter().map(line).collect()
}

/// Ten shoes and as many bags on the shelves.
async fn shelves() -> Bench {
    let bench = Bench::on_postgres(SPEC).await;
    let stocked = bench.work(|work| {
        store::stock_up(work, "shoe", 10)?;
        store::stock_up(work, "bag", 10)
    });
    stocked.await.expect("stocked");
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_orders_at_once_ten_get_the_ten_pieces() {
    let bench = shelves().await;
    let answers = bench.at_once(20, |work, number| {
        store::reserve(work, &format!("o-{number}"), &lines(&["shoe"]))
    });
    let answers: Vec<_> = answers
        .await
        .into_iter()
        .map(|a| a.expect("decided"))
        .collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
    assert_eq!(
        (bench.number(LEFT).await, bench.number(HELD).await),
        (0, 10)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_name_products_in_any_order_do_not_stand_in_each_others_way() {
    let bench = shelves().await;
    for round in 0..5 {
        let answers = bench.at_once(8, move |work, number| {
            let order = format!("o-{round}-{number}");
            let products = match number % 2 {
                0 => ["shoe", "bag"],
                _ => ["bag", "shoe"],
            };
            let reserved = store::reserve(work, &order, &lines(&products))?;
            // Half of them change their minds in the same transaction.
            store::release(work, &order)?;
            Ok(reserved)
        });
        for answer in answers.await {
            assert_eq!(answer.expect("decided"), Ok(()));
        }
    }
    assert_eq!(bench.number(LEFT).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_back_eight_times_at_once_is_put_back_once() {
    let bench = shelves().await;
    let reserved = bench.work(|work| store::reserve(work, "o-1", &lines(&["bag", "shoe"])));
    assert_eq!(reserved.await.expect("decided"), Ok(()));
    for answer in bench
        .at_once(8, |work, _| store::release(work, "o-1"))
        .await
    {
        answer.expect("put back");
    }
    assert_eq!(bench.number(LEFT).await, 10);
}
