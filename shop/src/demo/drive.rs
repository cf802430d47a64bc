//! The customers: they sign up, sign in, search, order, and look until their order has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use ieum::base::{Deadline, Secret, TaskKind, Tasks};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::catalogue::{PRODUCTS, SCARCE, TOO_MANY};
use super::gateway::{Ask, Gateway};
use super::pace::Pace;
use super::plan::Outcome;
use super::progress::Progress;
use super::store::{Plan, Planned};

/// How long an order may take to end before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a session is used; it would last twice as long.
const SESSION: Duration = Duration::from_secs(1_800);
/// The pauses between two looks at an order: from the first to the longest.
const LOOKS: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(400));

/// What became of one order, as its customer saw it.
pub(super) type Seen = Result<Duration>;

/// Places `orders`, `concurrency` at a time and not faster than `pace` allows, and sends what became
/// of each. Each change of an order's state is noted in `progress`.
pub(super) fn start(
    plan: Plan,
    gateway: Gateway,
    orders: Vec<Planned>,
    concurrency: u32,
    pace: &Pace,
    progress: &Progress,
    tasks: &Tasks,
) -> mpsc::Receiver<Seen> {
    let (done, seen) = mpsc::channel(64);
    let crowd = Arc::new(Crowd {
        plan,
        gateway,
        pace: pace.clone(),
        progress: progress.clone(),
        queue: Mutex::new(orders.into_iter()),
        sessions: Mutex::default(),
    });
    for _ in 0..concurrency {
        let (crowd, done) = (Arc::clone(&crowd), done.clone());
        tasks.spawn(TaskKind::Request, "customer", async move {
            while let Some(order) = crowd.next().await {
                crowd.pace.begin().await;
                let seen = crowd.shop(order).await;
                if done.send(seen).await.is_err() {
                    return;
                }
            }
        });
    }
    seen
}

/// What the customers share: the plan, and who is signed in.
struct Crowd {
    plan: Plan,
    gateway: Gateway,
    pace: Pace,
    progress: Progress,
    queue: Mutex<std::vec::IntoIter<Planned>>,
    sessions: Mutex<HashMap<i64, Arc<Mutex<Option<Session>>>>>,
}

/// A customer who is signed in.
#[derive(Clone)]
struct Session {
    token: Secret,
    since: Instant,
    /// Tokens by card number.
    cards: HashMap<&'static str, String>,
}

impl Crowd {
    async fn next(&self) -> Option<Planned> {
        self.queue.lock().await.next()
    }

    /// Places one order and waits for its end.
    async fn shop(&self, order: Planned) -> Seen {
        let begun = Instant::now();
        let n = order.n;
        let outcome = self.place_and_wait(order).await;
        outcome.with_context(|| format!("planned order {n}"))?;
        Ok(begun.elapsed())
    }

    async fn place_and_wait(&self, order: Planned) -> Result<()> {
        let card = card_for(order.outcome);
        let session = self.signed_in(order.customer, card).await?;
        self.progress.made();
        let body = match &order.body {
            Some(body) => body.clone(),
            None => {
                let body = self.compose(&order, &session, card).await?;
                self.plan.settle_body(order.n, body.clone()).await?;
                body
            }
        };
        let ask = Ask {
            token: Some(&session.token),
            key: Some(&order.key),
            body: Some(&body),
        };
        let placed = self
            .gateway
            .must(Method::POST, "/api/v1/orders", ask)
            .await?;
        let id = placed["id"]
            .as_str()
            .context("an order has an id")?
            .to_owned();
        self.progress.made();
        self.plan.note_order(order.n, id.clone()).await?;
        let status = self.wait_for_end(&id, &session.token).await?;
        self.plan.note_end(order.n, status).await
    }

    /// Looks at an order, less and less often, until it has ended.
    async fn wait_for_end(&self, id: &str, token: &Secret) -> Result<String> {
        let deadline = Deadline::after(PATIENCE);
        let path = format!("/api/v1/orders/{id}");
        let mut pause = LOOKS.0;
        let mut before = None;
        while !deadline.is_over() {
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(1.5).min(LOOKS.1);
            let ask = Ask {
                token: Some(token),
                ..Ask::default()
            };
            let order = self.gateway.must(Method::GET, &path, ask).await?;
            let status = order["status"].as_str().map(str::to_owned);
            if status != before {
                self.progress.made();
                before = status;
            }
            if let Some(status @ ("completed" | "cancelled")) = before.as_deref() {
                return Ok(status.to_owned());
            }
        }
        bail!("order {id} has not ended after {PATIENCE:?}")
    }

    /// Searches for what is to be ordered, and writes the order.
    async fn compose(&self, order: &Planned, session: &Session, card: &str) -> Result<String> {
        let mut items = vec![
            self.found(
                PRODUCTS[order.n as usize % PRODUCTS.len()].part,
                1 + order.n % 3,
            )
            .await?,
        ];
        if order.outcome == Outcome::OutOfStock {
            items.push(self.found(SCARCE.part, i64::from(TOO_MANY)).await?);
        }
        let deliverable = order.outcome != Outcome::Undeliverable;
        let postal_code = if deliverable { "04524" } else { "99999" };
        let body = json!({
            "items": items,
            "cardToken": session.cards.get(card),
            "address": { "line": "세종대로 110", "city": "서울", "postalCode": postal_code },
            "flow": order.flow,
        });
        Ok(body.to_string())
    }

    /// The product that is found by `part`, as a line of an order.
    async fn found(&self, part: &str, quantity: i64) -> Result<Value> {
        let q = crate::support::web::percent_encoded(part);
        let path = format!("/api/v1/products?q={q}&limit=1");
        let products = self
            .gateway
            .must(Method::GET, &path, Ask::default())
            .await?;
        let id = products[0]["id"].as_str();
        let id = id.with_context(|| format!("nothing is found by {part}"))?;
        Ok(json!({ "productId": id, "quantity": quantity }))
    }

    /// The customer's session, with a token for the card; signs up and in the first time.
    async fn signed_in(&self, customer: i64, card: &'static str) -> Result<Session> {
        let place = Arc::clone(self.sessions.lock().await.entry(customer).or_default());
        let mut session = place.lock().await;
        let mut current = match session.take() {
            Some(session) if session.since.elapsed() < SESSION => session,
            _ => self.sign_in(customer).await?,
        };
        if !current.cards.contains_key(card) {
            let token = self.swap(&current.token, card).await?;
            current.cards.insert(card, token);
        }
        *session = Some(current.clone());
        Ok(current)
    }

    async fn sign_in(&self, customer: i64) -> Result<Session> {
        let customer = self.plan.customer(customer).await?;
        let name = format!("고객 {}", customer.n);
        let (email, password) = (&customer.email, &customer.password);
        let who = json!({ "email": email, "name": name, "password": password }).to_string();
        let ask = Ask {
            body: Some(&who),
            ..Ask::default()
        };
        let (status, answer) = self.gateway.ask(Method::POST, "/api/v1/users", ask).await?;
        // A sign-up whose answer was lost, or from before a restart, is a conflict.
        let known = status.is_success() || status == StatusCode::CONFLICT;
        ensure!(known, "a sign-up was answered {status}: {answer}");
        let who = json!({ "email": email, "password": password }).to_string();
        let ask = Ask {
            body: Some(&who),
            ..Ask::default()
        };
        let session = self
            .gateway
            .must(Method::POST, "/api/v1/sessions", ask)
            .await?;
        let token = session["token"].as_str().context("a session has a token")?;
        Ok(Session {
            token: Secret::new(token.to_owned()),
            since: Instant::now(),
            cards: HashMap::new(),
        })
    }

    async fn swap(&self, token: &Secret, card: &str) -> Result<String> {
        let body = json!({ "number": card, "expMonth": 12, "expYear": 40, "cvc": "123" });
        let ask = Ask {
            token: Some(token),
            body: Some(&body.to_string()),
            key: None,
        };
        let answer = self
            .gateway
            .must(Method::POST, "/api/v1/payments/cards", ask)
            .await?;
        let token = answer["cardToken"].as_str().context("a card has a token")?;
        Ok(token.to_owned())
    }
}

/// The test card that leads to the planned outcome.
const fn card_for(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Declined => "4000000000000002",
        _ => "4242424242424242",
    }
}
