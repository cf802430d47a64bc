//! Answers of which any part is something else: whatever comes, the client gets an answer of the right
//! form, and what was not damaged stays.

use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{
    Script, batch, entities, entity_fetch, fetch, query, rewrite, root_fetch, shop,
};
use crate::execute::{Config, Executable, Variables, execute};
use crate::plan::{Change, Node, Plan};

fn plan() -> Plan {
    let mut media = root_fetch("media", "media");
    media.output = vec![rewrite(
        "media.|Film._alias",
        Change::Rename("title".to_owned()),
    )];
    let batches = vec![
        batch(
            "_e0",
            "users.@ users.@.best",
            "...User{__typename id}",
            "name email",
        ),
        batch(
            "_e1",
            "users.@.orders.@.items.@",
            "...Product{__typename upc maker{id}}",
            "price",
        ),
    ];
    query(
        Node::Parallel(vec![
            Node::Fetch(media),
            Node::Sequence(vec![
                fetch("users", "users"),
                entities("orders", "users.@", "...User{__typename id}", "orders"),
                Node::Entities(entity_fetch("rest", batches)),
            ]),
        ]),
        "users { id role best { name email } orders { id total items { upc price } } }
         media { __typename title ...Film { minutes } }",
    )
}

fn answers() -> [Value; 4] {
    let product = json!({"__typename": "Product", "upc": "p", "maker": {"id": "m"}});
    let order = json!({"id": "o", "total": 1.5, "items": [product, null]});
    [
        json!({"data": {"media": [
            {"__typename": "Film", "_alias": "F", "minutes": 90}, {"__typename": "Book", "title": "B"},
        ]}}),
        json!({"data": {"users": [
            {"__typename": "User", "id": "1", "role": "ADMIN", "best": {"__typename": "User", "id": "2"}},
            {"__typename": "User", "id": "2", "role": null, "best": null},
        ]}, "errors": []}),
        json!({"data": {"_entities": [{"orders": [order]}, {"orders": []}]},
            "errors": [{"message": "late", "path": ["_entities", 1, "orders"], "extensions": {"code": "LATE"}}]}),
        json!({"data": {
            "_e0": [{"name": "One", "email": "1@x"}, {"name": "Two", "email": "2@x"}],
            "_e1": [{"price": 2}],
        }}),
    ]
}

/// Replaces the value that is met at `at`, counted from the root.
fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|value| replace(value, at, with)),
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|value| replace(value, at, with)),
        _ => {}
    }
}

fn run(answers: [Value; 4]) -> Value {
    let [media, users, orders, rest] = answers.map(|answer| answer.to_string());
    let script = Script::new()
        .answer("media", media)
        .answer("users", users)
        .answer("orders", orders)
        .answer("rest", rest);
    let plan = Executable::compile(&plan(), &shop()).expect("a plan");
    let (variables, config) = (Variables::new(), Config::default());
    let answer = execute(&plan, &variables, None, &script, &config)
        .now_or_never()
        .expect("nobody waits");
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn undamaged_answers_are_answered_whole() {
    assert_eq!(
        run(answers()),
        json!({
            "data": {
                "users": [
                    {"id": "1", "role": "ADMIN", "best": {"name": "Two", "email": "2@x"},
                     "orders": [{"id": "o", "total": 1.5, "items": [{"upc": "p", "price": 2}, null]}]},
                    {"id": "2", "role": null, "best": null, "orders": []},
                ],
                "media": [
                    {"__typename": "Film", "title": "F", "minutes": 90},
                    {"__typename": "Book", "title": "B"},
                ],
            },
            "errors": [{
                "message": "late",
                "path": ["users", 1, "orders"],
                "extensions": {"code": "LATE", "service": "orders"},
            }],
        })
    );
}

proptest! {
    #[test]
    fn a_damaged_part_harms_its_own_branch_only(
        which in 0..4usize,
        at in 0..30usize,
        with in prop::sample::select(vec![
            json!(null), json!([]), json!({}), json!("x"), json!(7), json!(true), json!([[{}]]),
            json!({"__typename": "Book"}), json!([{"id": "1"}]), json!({"path": 1}),
        ]),
    ) {
        let mut damaged = answers();
        replace(&mut damaged[which], &mut { at }, &with);
        let (whole, answer) = (run(answers()), run(damaged));
        let data = answer.get("data").expect("data, if only null");
        let untouched = if which == 0 { "users" } else { "media" };
        prop_assert_eq!(&data[untouched], &whole["data"][untouched]);
        for error in answer["errors"].as_array().into_iter().flatten() {
            prop_assert!(error["message"].is_string() && error["extensions"]["code"].is_string());
        }
    }
}
