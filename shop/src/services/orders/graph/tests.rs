//! orders as a subgraph: whose orders are told, how often the database is asked, what is refused.

use serde_json::{Value, json};

use super::super::domain::{Created, Item};
use super::super::{SPEC, read_model};
use super::*;
use crate::support::money::Currency;
use crate::support::testing::{Alone, Who, answer, ask_graph, graph_request};
use crate::support::work::Work;

const ENTITIES: &str = "query ($of: [_Any!]!) {
    _entities(representations: $of) { ... on User { orders { id total status } } } }";

fn place(work: &Work<'_>, user_id: &str, price: i64) -> Reply<View> {
    let created = Created {
        user_id: user_id.to_owned(),
        user_name: "김이음".into(),
        currency: Currency::KRW,
        card_token: None,
        address: None,
        flow: Flow::Orchestrated,
    };
    let item = Item {
        product_id: "shoe".into(),
        quantity: 2,
        price,
    };
    store::place(work, created, vec![item])
}

/// A service in which each of these users has placed that many orders; their ids, each user's sorted,
/// which is a list's order from its end: ids of one millisecond have any order.
async fn with_orders(placed: &'static [(&'static str, usize)]) -> (Alone, Vec<String>) {
    let alone = Alone::start(SPEC).await;
    let ids = alone.service.write(move |work| {
        let mut all = Vec::new();
        for (user, times) in placed {
            let own = (0..*times).map(|_| place(work, user, 100).map(|view| view.id));
            let mut own = own.collect::<Reply<Vec<_>>>()?;
            own.sort();
            all.extend(own);
        }
        Ok(all)
    });
    let ids = ids.await.expect("placed");
    read_model::catch_up(&alone.service)
        .await
        .expect("projected");
    (alone, ids)
}

fn users(ids: &[&str]) -> Value {
    let of: Vec<_> = ids
        .iter()
        .map(|id| json!({ "__typename": "User", "id": id }))
        .collect();
    json!({ "of": of })
}

#[tokio::test]
async fn a_customer_has_the_orders_latest_first() {
    let (alone, ids) = with_orders(&[("kim", 2), ("lee", 1)]).await;
    let routes = router(Arc::clone(&alone.service));
    let told = ask_graph(&routes, Who::User("kim"), ENTITIES, users(&["kim"])).await;
    let order = |id: &String| json!({ "id": id, "total": 200, "status": "pending" });
    let orders = json!([order(&ids[1]), order(&ids[0])]);
    assert_eq!(
        told,
        json!({ "data": { "_entities": [{ "orders": orders }] } })
    );
}

#[tokio::test]
async fn the_orders_of_many_users_are_one_question() {
    let (alone, _) = with_orders(&[("kim", 3), ("lee", 1)]).await;
    let schema = schema(Arc::clone(&alone.service));
    let asked = Arc::<Asked>::default();
    let of: Vec<_> = (0..98).map(|n| format!("nobody-{n}")).collect();
    let of: Vec<_> = of
        .iter()
        .map(String::as_str)
        .chain(["kim", "lee"])
        .collect();
    let request = async_graphql::Request::new(ENTITIES)
        .variables(async_graphql::Variables::from_json(users(&of)))
        .data(Arc::clone(&asked));
    let told = schema.execute(graphql::testing::by_staff(request)).await;
    assert!(told.errors.is_empty(), "{:?}", told.errors);
    let told = told.data.into_json().expect("json");
    let counts: Vec<_> = [0, 97, 98, 99]
        .map(|n| told["_entities"][n]["orders"].as_array().map(Vec::len))
        .to_vec();
    assert_eq!(counts, [Some(0), Some(0), Some(3), Some(1)]);
    assert_eq!(asked.pages.asked(), 1);
}

#[tokio::test]
async fn orders_of_others_are_refused_where_they_would_be_and_the_rest_is_told() {
    let (alone, ids) = with_orders(&[("kim", 1), ("lee", 1)]).await;
    let routes = router(Arc::clone(&alone.service));
    let of = users(&["lee", "kim"]);
    let told = ask_graph(&routes, Who::User("kim"), ENTITIES, of.clone()).await;
    assert_eq!(told["data"]["_entities"][0], json!({ "orders": null }));
    assert_eq!(told["data"]["_entities"][1]["orders"][0]["id"], ids[0]);
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(1));
    let error = &told["errors"][0];
    assert_eq!(error["path"], json!(["_entities", 0, "orders"]));
    assert_eq!(error["extensions"]["code"], "FORBIDDEN");
    assert!(!told.to_string().contains(&ids[1]), "{told}");

    let staff = ask_graph(&routes, Who::Staff, ENTITIES, of.clone()).await;
    assert_eq!(staff["data"]["_entities"][0]["orders"][0]["id"], ids[1]);
    let nobody = ask_graph(&routes, Who::Nobody, ENTITIES, of).await;
    assert_eq!(nobody["errors"][1]["extensions"]["code"], "UNAUTHENTICATED");
    assert!(!nobody.to_string().contains(&ids[0]), "{nobody}");
}

#[tokio::test]
async fn an_order_of_another_is_like_one_that_does_not_exist() {
    let (alone, ids) = with_orders(&[("kim", 1)]).await;
    let routes = router(Arc::clone(&alone.service));
    let query = "query ($id: ID!) { order(id: $id) {
        id userId userName currency items { productId quantity price } createdAt } }";
    let own = ask_graph(&routes, Who::User("kim"), query, json!({ "id": ids[0] })).await;
    let order = &own["data"]["order"];
    assert_eq!(
        (&order["userName"], &order["items"]),
        (
            &json!("김이음"),
            &json!([{ "productId": "shoe", "quantity": 2, "price": 100 }])
        )
    );
    let mut refused = Vec::new();
    for id in [ids[0].as_str(), "no-such-order"] {
        refused.push(ask_graph(&routes, Who::User("lee"), query, json!({ "id": id })).await);
    }
    assert_eq!(refused[0], refused[1]);
    assert_eq!(refused[0]["errors"][0]["extensions"]["code"], "NOT_FOUND");
    assert_eq!(refused[0]["errors"][0]["path"], json!(["order"]));
}

#[tokio::test]
async fn an_order_is_told_although_the_stock_is_not_known() {
    let (alone, ids) = with_orders(&[("kim", 2)]).await;
    let routes = router(Arc::clone(&alone.service));
    let query = "query ($of: [_Any!]!) {
        _entities(representations: $of) { ... on User { orders { id items { available } } } } }";
    let told = ask_graph(&routes, Who::User("kim"), query, users(&["kim"])).await;
    let orders = &told["data"]["_entities"][0]["orders"];
    let latest = json!({ "id": ids[1], "items": [{ "available": null }] });
    assert_eq!(orders[0], latest, "{told}");
    let errors = told["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 2);
    for error in errors {
        assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{told}");
        let path = error["path"].as_array().expect("a path");
        assert_eq!(path[..3], [json!("_entities"), json!(0), json!("orders")]);
        assert_eq!(path[4..], [json!("items"), json!(0), json!("available")]);
    }
}

#[tokio::test]
async fn an_entity_that_the_read_model_has_not_seen_is_told_from_its_events() {
    let (alone, mut ids) = with_orders(&[("kim", 1)]).await;
    let fresh = alone
        .service
        .write(|work| place(work, "kim", 1_500_000_000));
    ids.push(fresh.await.expect("placed").id);
    let routes = router(Arc::clone(&alone.service));
    let query = "query ($of: [_Any!]!) {
        _entities(representations: $of) { ... on Order { id total } } }";
    let of: Vec<_> = ids
        .iter()
        .map(|id| json!({ "__typename": "Order", "id": id }))
        .collect();
    let told = ask_graph(&routes, Who::User("kim"), query, json!({ "of": of })).await;
    // More than an Int of GraphQL holds.
    let expected = json!([
        { "id": ids[0], "total": 200 },
        { "id": ids[1], "total": 3_000_000_000_i64 },
    ]);
    assert_eq!(told["data"]["_entities"], expected, "{told}");
}

#[tokio::test]
async fn pages_follow_each_other_and_are_bounded() {
    let (alone, ids) = with_orders(&[("kim", 3)]).await;
    let routes = router(Arc::clone(&alone.service));
    let query = "query ($of: [_Any!]!, $after: ID, $first: Int!) {
        _entities(representations: $of) { ... on User { orders(first: $first, after: $after) { id } } } }";
    let page = async |first: i32, after: Option<&String>| {
        let mut variables = users(&["kim"]);
        variables["first"] = json!(first);
        variables["after"] = json!(after);
        ask_graph(&routes, Who::User("kim"), query, variables).await
    };
    let latest = page(2, None).await;
    assert_eq!(
        latest["data"]["_entities"][0]["orders"],
        json!([{ "id": ids[2] }, { "id": ids[1] }])
    );
    let rest = page(2, Some(&ids[1])).await;
    assert_eq!(
        rest["data"]["_entities"][0]["orders"],
        json!([{ "id": ids[0] }])
    );
    for first in [0, -1, 101] {
        let refused = page(first, None).await;
        let error = &refused["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{first}");
    }
}

#[tokio::test]
async fn too_many_entities_are_refused_and_nothing_is_looked_up() {
    let (alone, _) = with_orders(&[("kim", 1)]).await;
    let routes = router(Arc::clone(&alone.service));
    let many = vec!["kim"; 3_000];
    let told = ask_graph(&routes, Who::User("kim"), ENTITIES, users(&many)).await;
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(1));
    assert_eq!(told["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert!(told["data"].is_null(), "{told}");

    let body = json!({ "query": ENTITIES, "variables": users(&vec!["kim"; 20_000]) });
    let (status, _) = answer(&routes, graph_request(Who::User("kim"), &body)).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn the_schema_is_the_one_that_is_written_down() {
    let alone = Alone::start(SPEC).await;
    let written = include_str!("../../../../graph/orders.graphql");
    let served = graphql::testing::written(&schema(Arc::clone(&alone.service)));
    assert_eq!(served, written, "what is served now:\n{served}");
}
