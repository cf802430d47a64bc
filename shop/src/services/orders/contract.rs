//! What orders needs of users and products, recorded from what it really asks.

use ieum::base::trace::Tracer;
use ieum::base::{Stop, Tasks};
use ieum::chassis::Identity;
use ieum::client::{Client, Config};
use ieum::contract::consumer::matchers::{from_state, integer, like, term};
use ieum::contract::consumer::{Mock, Recording, call, reply, send};
use ieum::discovery::{Instance, InstanceId, Resolver, static_};
use serde_json::{Value, json};

use super::upstream::{Wanted, look_up};
use crate::support::contract::keep;

/// A client that finds the mocks under the names of what they play.
fn client(mocks: &[(&str, &Mock)]) -> Client {
    let instances = mocks.iter().map(|(service, mock)| Instance {
        id: InstanceId(format!("{service}-mock")),
        service: (*service).to_owned(),
        address: mock.address().ip().to_string(),
        port: mock.address().port(),
        tags: Vec::new(),
        meta: std::collections::BTreeMap::new(),
        weight: 1,
    });
    let tasks = Tasks::new(Stop::new());
    let registry = std::sync::Arc::new(static_::Registry::new(instances));
    let resolver = Resolver::new(registry, tasks.clone());
    Client::new(resolver, Config::default(), Tracer::off("orders"), tasks)
}

/// A path whose last part is an id that the provider's state decides.
fn path(of: &str, id: &str, example: &str) -> Value {
    from_state(
        &format!("/{of}/${{{id}}}"),
        term(&format!("^/{of}/[^/]+$"), format!("/{of}/{example}")),
    )
}

fn users() -> Recording {
    let user = call("a user by its id")
        .given("there is a user")
        .request(
            send("GET", path("users", "userId", "user123"))
                .header("x-user-id", from_state("${userId}", term(".+", "user123"))),
        )
        .response(reply(200).json(json!({ "name": term(".+", "Test User") })));
    let unknown = call("a user whom nobody knows")
        .request(send("GET", "/users/nobody").header("x-user-id", "nobody"))
        .response(reply(404));
    Recording::new("orders", "users").call(user).call(unknown)
}

fn products() -> Recording {
    let product = call("a product by its id")
        .given("there is a product")
        .request(send("GET", path("products", "productId", "prod1")))
        .response(reply(200).json(json!({ "price": integer(100), "currency": like("KRW") })));
    Recording::new("orders", "products").call(product)
}

#[tokio::test]
async fn an_order_is_placed_with_the_name_of_users_and_the_price_of_products() {
    let users = users().start().await.expect("a mock");
    let products = products().start().await.expect("a mock");
    let client = client(&[("users", &users), ("products", &products)]);
    let wanted = [Wanted {
        product_id: "prod1".into(),
        quantity: 2,
    }];
    let caller = |id: &str| Identity {
        user_id: id.into(),
        roles: vec!["user".into()],
    };
    let basket = look_up(&client, &caller("user123"), "user123", &wanted).await;
    let basket = basket.expect("both answered");
    assert_eq!(
        (basket.user_name.as_str(), basket.items[0].price),
        ("Test User", 100)
    );
    let unknown = look_up(&client, &caller("nobody"), "nobody", &wanted).await;
    assert_eq!(unknown.expect_err("nobody").problem().status, 422);
    keep(&users.finish().await.expect("as recorded"));
    keep(&products.finish().await.expect("as recorded"));
}
