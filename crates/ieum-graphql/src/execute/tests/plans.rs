//! Plans of the real planner, over subgraphs that answer any operation.

use serde_json::{Value, json};

use super::served::{Subgraph, World};

fn subgraph(name: &'static str, sdl: &'static str, data: Value) -> Subgraph {
    Subgraph {
        name,
        sdl,
        data,
        abstracts: &[],
    }
}

fn shop() -> World {
    let user = |id: &str, name: &str| json!({"__typename": "User", "id": id, "name": name});
    let users = subgraph(
        "users",
        "type Query { user(id: ID!): User users: [User] }
         type User @key(fields: \"id\") { id: ID! name: String! }
         type Mutation { rename(id: ID!): User touch: Int! @shareable }",
        json!({
            "Query": {
                "user(1)": user("1", "Ada"),
                "user": null,
                "users": [user("1", "Ada"), null, user("2", "Bob"), user("1", "Ada")],
            },
            "Mutation": {"rename": user("1", "Eva")},
            "entities": [user("1", "Ada"), user("2", "Bob")],
        }),
    );
    let orders = subgraph(
        "orders",
        "type Query { latest: [[Order]] }
         type User @key(fields: \"id\") { id: ID! orders: [Order!]! }
         type Order @key(fields: \"id\") { id: ID! total: Float! status: String buyer: User }
         type Mutation { place: Order }",
        json!({
            "Query": {"latest": [
                [{"__typename": "Order", "id": "a", "buyer": {"__typename": "User", "id": "2"}}, null],
                null,
            ]},
            "Mutation": {"place": {"__typename": "Order", "id": "n", "buyer": {"__typename": "User", "id": "1"}}},
            "entities": [
                {"__typename": "User", "id": "1", "orders": [
                    {"__typename": "Order", "id": "a", "total": 1.0, "status": "PAID"},
                    {"__typename": "Order", "id": "b", "total": 2.5, "status": null},
                ]},
                {"__typename": "User", "id": "2", "orders": []},
            ],
        }),
    );
    World::new(vec![users, orders])
}

/// Asks and checks the data and who was asked.
async fn check(world: &World, query: &str, data: Value, asked: &[&str]) {
    let (answer, calls) = world.ask(query, json!({}), &[]).await;
    assert_eq!(answer, json!({"data": data}), "{query}");
    assert_eq!(calls, asked, "{query}");
}

#[tokio::test]
async fn a_user_and_its_orders_take_one_fetch_of_each_service() {
    let orders = json!([
        {"id": "a", "total": 1.0, "status": "PAID"},
        {"id": "b", "total": 2.5, "status": null},
    ]);
    check(
        &shop(),
        "{ user(id: 1) { name orders { id total status } } }",
        json!({"user": {"name": "Ada", "orders": orders}}),
        &["users", "orders"],
    )
    .await;
}

#[tokio::test]
async fn a_list_of_users_takes_one_fetch_of_each_service_too() {
    let orders = json!([{"id": "a"}, {"id": "b"}]);
    check(
        &shop(),
        "{ users { orders { id } kind: __typename } }",
        json!({"users": [
            {"orders": orders, "kind": "User"}, null,
            {"orders": [], "kind": "User"}, {"orders": orders, "kind": "User"},
        ]}),
        &["users", "orders"],
    )
    .await;
}

#[tokio::test]
async fn entities_in_nested_lists_with_nulls_are_found() {
    check(
        &shop(),
        "{ latest { id buyer { name } } }",
        json!({"latest": [[{"id": "a", "buyer": {"name": "Bob"}}, null], null]}),
        &["orders", "users"],
    )
    .await;
}

#[tokio::test]
async fn a_service_that_is_down_leaves_the_rest_and_an_error_with_its_path() {
    let (answer, _) = shop()
        .ask(
            "{ users { name } user(id: 1) { name orders { id } } }",
            json!({}),
            &["orders"],
        )
        .await;
    assert_eq!(
        answer,
        json!({
            "data": {
                "users": [{"name": "Ada"}, null, {"name": "Bob"}, {"name": "Ada"}],
                // The orders may not be null, the user may.
                "user": null,
            },
            "errors": [{
                "message": "it is down",
                "path": ["user", "orders"],
                "extensions": {"code": "SUBGRAPH_UNREACHABLE", "service": "orders"},
            }],
        })
    );
}

#[tokio::test]
async fn variables_decide_what_is_fetched_and_answered() {
    let query = "query ($id: ID!, $orders: Boolean!, $plain: Boolean!) {
        user(id: $id) { name @skip(if: $plain) orders @include(if: $orders) { id } __typename }
    }";
    let world = shop();
    let ask = |orders: bool, plain: bool| {
        let variables = json!({"id": "1", "orders": orders, "plain": plain});
        world.ask(query, variables, &[])
    };
    let (answer, asked) = ask(false, false).await;
    assert_eq!(
        answer["data"],
        json!({"user": {"name": "Ada", "__typename": "User"}})
    );
    assert_eq!(asked, ["users"]);
    let (answer, asked) = ask(true, true).await;
    assert_eq!(
        answer["data"],
        json!({"user": {"orders": [{"id": "a"}, {"id": "b"}], "__typename": "User"}})
    );
    assert_eq!(asked, ["users", "orders"]);
}

#[tokio::test]
async fn the_fields_of_a_mutation_run_in_their_order() {
    check(
        &shop(),
        "mutation { first: rename(id: 1) { name } place { id buyer { name } } last: rename(id: 1) { id } }",
        json!({
            "first": {"name": "Eva"},
            "place": {"id": "n", "buyer": {"name": "Ada"}},
            "last": {"id": "1"},
        }),
        &["users", "orders", "users", "users"],
    )
    .await;
}

#[tokio::test]
async fn a_field_that_requires_another_with_other_arguments_gets_it() {
    let products = subgraph(
        "products",
        "type Query { product: Product }
         type Product @key(fields: \"upc\") { upc: ID! price(currency: String!): Float weight: Int }",
        json!({"Query": {"product": {
            "__typename": "Product", "upc": "p", "price(USD)": 1.5, "price(EUR)": 1.25, "weight": 3,
        }}}),
    );
    let shipping = subgraph(
        "shipping",
        "type Product @key(fields: \"upc\") {
            upc: ID! price(currency: String!): Float @external weight: Int @external
            estimate: Float @requires(fields: \"price(currency: \\\"EUR\\\") weight\")
         }",
        json!({"entities": [
            {"__typename": "Product", "upc": "p", "estimate": {"$from": "price"}},
        ]}),
    );
    check(
        &World::new(vec![products, shipping]),
        "{ product { price(currency: \"USD\") estimate } }",
        json!({"product": {"price": 1.5, "estimate": 1.25}}),
        &["products", "shipping"],
    )
    .await;
}

#[tokio::test]
async fn an_entity_is_followed_from_key_to_key() {
    let one = subgraph(
        "one",
        "type Query { item: Item } type Item @key(fields: \"id\") { id: ID! }",
        json!({"Query": {"item": {"__typename": "Item", "id": "1"}}}),
    );
    let two = subgraph(
        "two",
        "type Item @key(fields: \"id\") @key(fields: \"sku maker { code }\") {
            id: ID! sku: String! maker: Maker! @shareable }
         type Maker { code: String! @shareable }",
        json!({"entities": [
            {"__typename": "Item", "id": "1", "sku": "s", "maker": {"__typename": "Maker", "code": "m"}},
        ]}),
    );
    let three = subgraph(
        "three",
        "type Item @key(fields: \"sku maker { code }\") {
            sku: String! maker: Maker! @shareable name: String }
         type Maker { code: String! @shareable }",
        json!({"entities": [{"__typename": "Item", "sku": "s", "name": "Nail"}]}),
    );
    check(
        &World::new(vec![one, two, three]),
        "{ item { name } }",
        json!({"item": {"name": "Nail"}}),
        &["one", "two", "three"],
    )
    .await;
}

#[tokio::test]
async fn members_of_interfaces_and_unions_are_fetched_by_their_own_types() {
    let mut media = subgraph(
        "media",
        "type Query { media: [Media!]! found: [Found] }
         interface Media { id: ID! }
         union Found = Book | Film
         type Book implements Media @key(fields: \"id\") { id: ID! }
         type Film implements Media @key(fields: \"id\") { id: ID! minutes: Int }",
        json!({"Query": {
            "media": [{"__typename": "Film", "id": "f", "minutes": 90}, {"__typename": "Book", "id": "b"}],
            "found": [{"__typename": "Book", "id": "b"}, null, {"__typename": "Film", "id": "f", "minutes": 90}],
        }}),
    );
    media.abstracts = &[("Media", &["Book", "Film"]), ("Found", &["Book", "Film"])];
    let titles = subgraph(
        "titles",
        "type Book @key(fields: \"id\") { id: ID! title: String pages: Int }
         type Film @key(fields: \"id\") { id: ID! title: String }",
        json!({"entities": [
            {"__typename": "Book", "id": "b", "title": "On Growth", "pages": 793},
            {"__typename": "Film", "id": "f", "title": "Playtime"},
        ]}),
    );
    check(
        &World::new(vec![media, titles]),
        "{ media { kind: __typename id ... on Film { name: title minutes } ... on Book { name: title } }
           found { ... on Book { pages } ... on Film { title } __typename } }",
        json!({
            "media": [
                {"kind": "Film", "id": "f", "name": "Playtime", "minutes": 90},
                {"kind": "Book", "id": "b", "name": "On Growth"},
            ],
            "found": [
                {"pages": 793, "__typename": "Book"}, null, {"title": "Playtime", "__typename": "Film"},
            ],
        }),
        &["media", "titles"],
    )
    .await;
}

#[tokio::test]
async fn an_interface_object_adds_fields_to_every_member() {
    let mut media = subgraph(
        "media",
        "type Query { media: [Media] }
         interface Media @key(fields: \"id\") { id: ID! }
         type Book implements Media @key(fields: \"id\") { id: ID! pages: Int }
         type Film implements Media @key(fields: \"id\") { id: ID! }",
        json!({"Query": {"media": [
            {"__typename": "Book", "id": "b", "pages": 793}, {"__typename": "Film", "id": "f"},
        ]}}),
    );
    media.abstracts = &[("Media", &["Book", "Film"])];
    let reviews = subgraph(
        "reviews",
        "type Media @key(fields: \"id\") @interfaceObject { id: ID! stars: Int }",
        json!({"entities": [
            {"__typename": "Media", "id": "b", "stars": 5}, {"__typename": "Media", "id": "f", "stars": 4},
        ]}),
    );
    check(
        &World::new(vec![media, reviews]),
        "{ media { stars ... on Book { pages } __typename } }",
        json!({"media": [
            {"stars": 5, "pages": 793, "__typename": "Book"}, {"stars": 4, "__typename": "Film"},
        ]}),
        &["media", "reviews"],
    )
    .await;
}

#[tokio::test]
async fn what_a_field_provides_is_not_fetched_again() {
    let reviews = subgraph(
        "reviews",
        "type Query { review: Review }
         type Review { author: User @provides(fields: \"name\") }
         type User @key(fields: \"id\") { id: ID! name: String @external }",
        json!({"Query": {"review": {"__typename": "Review",
            "author": {"__typename": "User", "id": "1", "name": "Ada"}}}}),
    );
    let users = subgraph(
        "users",
        "type User @key(fields: \"id\") { id: ID! name: String @shareable }",
        json!({"entities": []}),
    );
    check(
        &World::new(vec![reviews, users]),
        "{ review { author { name } } }",
        json!({"review": {"author": {"name": "Ada"}}}),
        &["reviews"],
    )
    .await;
}

#[tokio::test]
async fn values_that_no_client_may_see_are_not_answered() {
    let users = subgraph(
        "users",
        "type Query { roles: [Role] }
         enum Role { ADMIN ROBOT @inaccessible }",
        json!({"Query": {"roles": ["ADMIN", "ROBOT"]}}),
    );
    let (answer, _) = World::new(vec![users])
        .ask("{ roles }", json!({}), &[])
        .await;
    assert_eq!(answer["data"], json!({"roles": ["ADMIN", null]}));
    assert_eq!(answer["errors"][0]["path"], json!(["roles", 1]));
}
