//! What happens at the same time, what waits, and what is left behind when nobody waits any more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Barrier, Notify};
use tokio::time::timeout;

use super::support::{entities, fetch, query, shop};
use crate::execute::{Answer, Config, Executable, Variables, execute};
use crate::plan::{Node, Plan};
use crate::transport::{Call, FetchError, Fetched, Subgraphs};

async fn run(plan: &Plan, subgraphs: &impl Subgraphs) -> Answer {
    let plan = Executable::compile(plan, &shop()).expect("a plan");
    let (variables, config) = (Variables::new(), Config::default());
    let running = execute(&plan, &variables, None, subgraphs, &config);
    timeout(Duration::from_secs(1), running)
        .await
        .expect("nobody waits for somebody who waits")
}

fn answered(body: &'static str) -> Result<Fetched, FetchError> {
    let body = body.as_bytes().into();
    Ok(Fetched { body })
}

/// Answers only when so many calls are under way.
struct Together(Barrier);

impl Subgraphs for Together {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        self.0.wait().await;
        answered(match call.subgraph {
            "users" => r#"{"data":{"user":{"id":"1"}}}"#,
            _ => r#"{"data":{"product":{"upc":"1"}}}"#,
        })
    }
}

#[tokio::test(start_paused = true)]
async fn parallel_fetches_are_under_way_at_the_same_time() {
    let plan = query(
        Node::Parallel(vec![fetch("users", "user"), fetch("products", "product")]),
        "user { id } product { upc }",
    );
    let answer = run(&plan, &Together(Barrier::new(2))).await;
    assert_eq!(
        answer.body,
        r#"{"data":{"user":{"id":"1"},"product":{"upc":"1"}}}"#
    );
}

/// The products come only after the orders were asked for.
#[derive(Default)]
struct Late(Notify);

impl Subgraphs for Late {
    async fn fetch(&self, call: Call<'_>) -> Result<Fetched, FetchError> {
        match call.subgraph {
            "users" => answered(r#"{"data":{"user":{"__typename":"User","id":"1"}}}"#),
            "orders" => {
                self.0.notify_one();
                answered(r#"{"data":{"_entities":[{"orders":[]}]}}"#)
            }
            _ => {
                self.0.notified().await;
                answered(r#"{"data":{"product":{"upc":"1"}}}"#)
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_branch_does_not_hold_the_next_step_of_another() {
    let users = Node::Sequence(vec![
        fetch("users", "user"),
        entities("orders", "user", "...User{__typename id}", "orders"),
    ]);
    let plan = query(
        Node::Parallel(vec![fetch("products", "product"), users]),
        "user { orders { id } } product { upc }",
    );
    let answer = run(&plan, &Late::default()).await;
    assert_eq!(
        answer.body,
        r#"{"data":{"user":{"orders":[]},"product":{"upc":"1"}}}"#
    );
}

/// Never answers, and counts the calls that are under way.
#[derive(Default)]
struct Silent(AtomicUsize);

impl Subgraphs for Silent {
    async fn fetch(&self, _: Call<'_>) -> Result<Fetched, FetchError> {
        struct Flying<'a>(&'a AtomicUsize);
        impl Drop for Flying<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        let _flying = Flying(&self.0);
        std::future::pending().await
    }
}

#[tokio::test]
async fn who_drops_the_execution_drops_its_fetches() {
    let fetches = vec![fetch("users", "user"), fetch("products", "product")];
    for (nodes, under_way) in [(fetches.clone(), 2), (fetches[..1].to_vec(), 1)] {
        let plan = query(Node::Parallel(nodes), "user { id } product { upc }");
        let plan = Executable::compile(&plan, &shop()).expect("a plan");
        let (variables, config, silent) = (Variables::new(), Config::default(), Silent::default());
        let mut running = Box::pin(execute(&plan, &variables, None, &silent, &config));
        assert!(running.as_mut().now_or_never().is_none());
        assert_eq!(silent.0.load(Ordering::Relaxed), under_way);
        drop(running);
        assert_eq!(silent.0.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn an_execution_may_move_between_threads() {
    fn is_send(_: impl Send) {}
    let plan = query(fetch("users", "user"), "user { id }");
    let plan = Executable::compile(&plan, &shop()).expect("a plan");
    let (variables, config, silent) = (Variables::new(), Config::default(), Silent::default());
    is_send(execute(&plan, &variables, None, &silent, &config));
}
