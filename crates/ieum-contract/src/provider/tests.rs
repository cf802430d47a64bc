//! A provider is played by a mock of another contract; what differs must be found.

use ieum_base::{Stop, Tasks};
use serde_json::json;

use super::*;
use crate::ErrorKind;
use crate::consumer::matchers::*;
use crate::consumer::{Recording, call, event, reply, send};
use crate::model::{Body, Message};

/// A provider whose user has this price, and the contract of who needs an integer.
async fn verify(price: serde_json::Value) -> Report {
    let one = |price: serde_json::Value| {
        let items = json!({ "items": [{ "price": price }] });
        call("items")
            .given("there are items")
            .request(send("GET", "/a b"))
            .response(reply(200).json(items))
    };
    let provider = Recording::new("c", "p")
        .call(one(price))
        .start()
        .await
        .expect("a mock");
    let needs = Recording::new("c", "p").call(one(integer(5)));
    let pact = needs.checked().expect("well-formed");
    let verifier = Verifier::new(&provider.url(), &Tasks::new(Stop::new()));
    verifier.verify(&pact).await.expect("a report")
}

#[tokio::test]
async fn a_provider_that_answers_as_agreed_holds() {
    let report = verify(json!(1_200)).await;
    assert!(report.holds(), "{report}");
    assert_eq!((report.held(), report.outcomes.len()), (1, 1));
}

#[tokio::test]
async fn a_field_that_changed_is_named() {
    let report = verify(json!("12")).await;
    assert!(!report.holds());
    let text = report.to_string();
    assert!(
        text.contains("$.body.items[0].price: expected an integer, was \"12\""),
        "{text}"
    );
    let told = serde_json::to_value(&report).expect("json");
    assert_eq!(
        told["outcomes"][0]["mismatches"][0]["path"],
        "$.body.items[0].price"
    );
}

#[tokio::test]
async fn a_provider_that_is_not_there_cannot_be_judged() {
    let call = call("x").request(send("GET", "/")).response(reply(200));
    let pact = Recording::new("c", "p")
        .call(call)
        .checked()
        .expect("well-formed");
    let verifier = Verifier::new("http://127.0.0.1:1", &Tasks::new(Stop::new()));
    let error = verifier.verify(&pact).await.expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn states_are_set_up_and_events_made_by_callbacks() {
    let placed = event("an order was placed")
        .given_with(
            "an order",
            json!({ "id": 7 }).as_object().expect("a map").clone(),
        )
        .metadata("topic", "order.events")
        .json(json!({ "orderId": like("o-1"), "total": integer(5) }));
    let pact = Recording::new("analytics", "orders").event(placed);
    let pact = pact
        .consume(async |_: &Message| Ok::<_, String>(()))
        .await
        .expect("well-formed");
    let made = |total: serde_json::Value| {
        Verifier::new("http://127.0.0.1:1", &Tasks::new(Stop::new()))
            .states(|change: StateChange| async move {
                assert_eq!(change.state.params["id"], 7);
                Ok(serde_json::Map::new())
            })
            .messages(move |_| {
                let total = total.clone();
                async move {
                    Ok(Message {
                        contents: Body::json(&json!({ "orderId": "o-2", "total": total })),
                        metadata: [
                            ("topic".to_owned(), json!("order.events")),
                            ("contentType".to_owned(), json!("application/json")),
                        ]
                        .into(),
                        ..Message::default()
                    })
                }
            })
    };
    let good = made(json!(9)).verify(&pact).await.expect("a report");
    assert!(good.holds(), "{good}");
    let bad = made(json!("9"))
        .verify(&pact)
        .await
        .expect("a report")
        .to_string();
    assert!(
        bad.contains("$.contents.total: expected an integer, was \"9\""),
        "{bad}"
    );
}

#[test]
fn a_header_that_is_refused_does_not_show_its_value() {
    let refused = |name: &str, value: &str| {
        let verifier = Verifier::new("http://127.0.0.1:1", &Tasks::new(Stop::new()));
        verifier
            .header(name, value)
            .expect_err("refused")
            .to_string()
    };
    for error in [refused("Bearer secret", "x"), refused("token", "sec\nret")] {
        assert!(!error.contains("sec"), "{error}");
    }
}

#[tokio::test]
async fn a_url_that_is_refused_does_not_show_its_credentials() {
    let call = call("x").request(send("GET", "/")).response(reply(200));
    let pact = Recording::new("c", "p").call(call).checked();
    let pact = pact.expect("well-formed");
    for url in ["http://me:secret@127.0.0.1:1", "me:secret@127.0.0.1:1"] {
        let verifier = Verifier::new(url, &Tasks::new(Stop::new()));
        assert!(!format!("{verifier:?}").contains("secret"));
        let error = verifier.verify(&pact).await.expect_err("refused");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

/// An event that is needed in a state, and a verifier whose provider makes another one.
async fn another_event() -> (crate::Pact, Verifier) {
    let placed = event("placed")
        .given("an order")
        .json(json!({ "total": integer(5) }));
    let pact = Recording::new("c", "p").event(placed);
    let pact = pact.consume(async |_: &Message| Ok::<_, String>(())).await;
    let verifier = Verifier::new("http://127.0.0.1:1", &Tasks::new(Stop::new()));
    let verifier = verifier.messages(async |_| {
        Ok(Message {
            contents: Body::json(&json!({ "total": "5" })),
            ..Message::default()
        })
    });
    (pact.expect("well-formed"), verifier)
}

#[tokio::test]
async fn what_is_pending_is_told_and_breaks_nothing() {
    let (mut pact, verifier) = another_event().await;
    assert!(!verifier.verify(&pact).await.expect("a report").holds());
    pact.interactions[0].pending = true;
    let report = verifier.verify(&pact).await.expect("a report");
    assert!(report.holds() && report.held() == 0, "{report}");
    assert!(report.to_string().contains("pending placed"), "{report}");
}

#[tokio::test]
async fn a_state_is_taken_down_after_what_failed_if_that_is_asked_for() {
    for teardown in [false, true] {
        let (pact, verifier) = another_event().await;
        let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
        let verifier = verifier
            .teardown(teardown)
            .states(move |change: StateChange| {
                let told = told.send(change.action);
                async move {
                    told.map(|()| serde_json::Map::new())
                        .map_err(|e| e.to_string())
                }
            });
        verifier.verify(&pact).await.expect("a report");
        drop(verifier);
        assert_eq!(changes.recv().await, Some(Action::Setup));
        assert_eq!(changes.recv().await, teardown.then_some(Action::Teardown));
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_set_up_is_named() {
    let (pact, verifier) = another_event().await;
    let verifier = verifier.states(async |_| Err("no database".to_owned()));
    let report = verifier.verify(&pact).await.expect("a report").to_string();
    let expected = "$.providerStates: setup of `an order` failed: no database";
    assert!(report.contains(expected), "{report}");
}
