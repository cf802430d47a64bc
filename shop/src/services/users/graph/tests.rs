//! users as a subgraph: who is told of whom, and what may be changed.

use ieum::base::Stop;
use ieum::client::graphql::ErrorKind;
use ieum::discovery::{Instance, InstanceId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::password::Passwords;
use super::super::token::Tokens;
use super::super::{SPEC, domain};
use super::*;
use crate::support::keys;
use crate::support::testing::{Alone, Who, ask_graph};

/// A service in which Kim and Lee have signed up; their ids.
async fn signed_up() -> (Alone, Router, [&'static str; 2]) {
    let alone = Alone::start(SPEC).await;
    let ids = alone.service.write(|work| {
        let sign_up = |address: &str, name: &str| {
            let email = domain::Email::parse(address).expect("valid");
            let name = domain::Name::parse(name).expect("valid");
            store::create(work, email, name, "hash").map(|user| &*user.id.leak())
        };
        Ok([
            sign_up("kim@example.com", "김이음")?,
            sign_up("lee@example.com", "이이음")?,
        ])
    });
    let ids = ids.await.expect("signed up");
    let routes = router(Arc::new(users_of(&alone).await));
    (alone, routes, ids)
}

/// The service's own view of itself.
async fn users_of(alone: &Alone) -> Users {
    let key = keys::load_or_create(alone.folder()).expect("a key");
    Users {
        passwords: Passwords::new().await.expect("a hasher"),
        tokens: Tokens::new(&key, alone.service.clock().clone()).expect("a signer"),
        service: Arc::clone(&alone.service),
    }
}

fn code(told: &Value) -> (&Value, &Value) {
    let error = &told["errors"][0];
    (&error["path"], &error["extensions"]["code"])
}

#[tokio::test]
async fn a_user_is_told_to_itself_and_to_the_staff() {
    let (_alone, routes, [kim, lee]) = signed_up().await;
    let query = "query ($id: ID!) { user(id: $id) { id name email } }";
    let told = async |who, id: &str| ask_graph(&routes, who, query, json!({ "id": id })).await;
    let user =
        json!({ "data": { "user": { "id": kim, "name": "김이음", "email": "kim@example.com" } } });
    assert_eq!(told(Who::User(kim), kim).await, user);
    assert_eq!(told(Who::Staff, kim).await, user);

    let refused = told(Who::User(lee), kim).await;
    assert_eq!(code(&refused), (&json!(["user"]), &json!("FORBIDDEN")));
    assert_eq!(refused["data"], json!({ "user": null }));
    // The answer does not tell whether there is such a user.
    assert_eq!(refused, told(Who::User(lee), "no-such-user").await);
    let unknown = told(Who::Staff, "no-such-user").await;
    assert_eq!(code(&unknown), (&json!(["user"]), &json!("NOT_FOUND")));
    let nobody = told(Who::Nobody, kim).await;
    assert_eq!(code(&nobody), (&json!(["user"]), &json!("UNAUTHENTICATED")));
}

#[tokio::test]
async fn me_is_who_asks() {
    let (_alone, routes, [kim, _]) = signed_up().await;
    let query = "{ me { id createdAt } }";
    let told = ask_graph(&routes, Who::User(kim), query, json!({})).await;
    assert_eq!(told["data"]["me"]["id"], kim);
    let at = told["data"]["me"]["createdAt"].as_str().expect("a time");
    assert!(at.ends_with('Z') && at.contains('T'), "{at}");
    let nobody = ask_graph(&routes, Who::Nobody, query, json!({})).await;
    assert_eq!(code(&nobody), (&json!(["me"]), &json!("UNAUTHENTICATED")));
}

#[tokio::test]
async fn entities_are_one_question_and_each_is_refused_by_itself() {
    let (alone, routes, [kim, lee]) = signed_up().await;
    let query =
        "query ($of: [_Any!]!) { _entities(representations: $of) { ... on User { name } } }";
    let of = json!({ "of": [
        { "__typename": "User", "id": lee },
        { "__typename": "User", "id": kim },
        { "__typename": "User", "id": "no-such-user" },
    ] });
    let told = ask_graph(&routes, Who::User(kim), query, of.clone()).await;
    let paths = told["errors"].as_array().expect("errors").iter();
    let paths: Vec<_> = paths.map(|error| error["path"].clone()).collect();
    assert_eq!(paths, [json!(["_entities", 0]), json!(["_entities", 2])]);
    assert_eq!(
        told["data"]["_entities"],
        json!([null, { "name": "김이음" }, null])
    );

    let asked = Arc::<Asked>::default();
    let request = async_graphql::Request::new(query)
        .variables(async_graphql::Variables::from_json(of))
        .data(Arc::clone(&asked));
    let schema = schema(Arc::new(users_of(&alone).await));
    let told = schema.execute(graphql::testing::by_staff(request)).await;
    assert_eq!(told.errors.len(), 1);
    assert_eq!(asked.asked(), 1);
}

#[tokio::test]
async fn only_the_staff_lists_users() {
    let (_alone, routes, [kim, lee]) = signed_up().await;
    // Who signed up in the same millisecond is listed in any order.
    let (first, second) = (kim.min(lee), kim.max(lee));
    let query = "query ($after: ID) { users(first: 1, after: $after) { id } }";
    let page = async |after: Value| ask_graph(&routes, Who::Staff, query, after).await;
    assert_eq!(
        page(json!({})).await["data"]["users"],
        json!([{ "id": first }])
    );
    let next = page(json!({ "after": first })).await;
    assert_eq!(next["data"]["users"], json!([{ "id": second }]));
    let refused = ask_graph(&routes, Who::User(kim), query, json!({})).await;
    assert_eq!(code(&refused), (&json!(["users"]), &json!("FORBIDDEN")));
}

#[tokio::test]
async fn a_user_changes_itself_by_the_rules_of_the_http_interface() {
    let (_alone, routes, [kim, lee]) = signed_up().await;
    let query = "mutation ($id: ID!, $name: String, $email: String) {
        updateUser(id: $id, name: $name, email: $email) { name email } }";
    let change = async |who, change: Value| ask_graph(&routes, who, query, change).await;
    let renamed = change(Who::User(kim), json!({ "id": kim, "name": " 김잇다 " })).await;
    let user = json!({ "name": "김잇다", "email": "kim@example.com" });
    assert_eq!(renamed["data"]["updateUser"], user);
    for (who, variables, expected) in [
        (
            Who::User(lee),
            json!({ "id": kim, "name": "x" }),
            "FORBIDDEN",
        ),
        (
            Who::Nobody,
            json!({ "id": kim, "name": "x" }),
            "UNAUTHENTICATED",
        ),
        (
            Who::User(kim),
            json!({ "id": kim, "email": "no" }),
            "BAD_USER_INPUT",
        ),
        (
            Who::User(kim),
            json!({ "id": kim, "email": "LEE@example.com" }),
            "CONFLICT",
        ),
    ] {
        let refused = change(who, variables).await;
        assert_eq!(code(&refused), (&json!(["updateUser"]), &json!(expected)));
    }
}

#[tokio::test]
async fn the_schema_is_the_one_that_is_written_down() {
    let (alone, ..) = signed_up().await;
    let written = include_str!("../../../../graph/users.graphql");
    let schema = schema(Arc::new(users_of(&alone).await));
    let served = graphql::testing::written(&schema);
    assert_eq!(served, written, "what is served now:\n{served}");
}

#[derive(Debug, Deserialize)]
struct Told {
    mine: Option<Named>,
    yours: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[tokio::test]
async fn the_houses_client_reads_what_is_told_and_why_the_rest_is_not() {
    let (alone, routes, [kim, lee]) = signed_up().await;
    let stop = Stop::new();
    let serving = alone.service.serve(routes, stop.clone()).expect("serves");
    let instance = Instance {
        id: InstanceId("users-1".into()),
        service: SPEC.name.into(),
        address: serving.address.ip().to_string(),
        port: serving.address.port(),
        tags: Vec::new(),
        meta: BTreeMap::new(),
        weight: 1,
    };
    let users = alone.service.client().fixed(SPEC.name, vec![instance]);
    let query = "query Names($me: ID!, $you: ID!) {
        mine: user(id: $me) { name } yours: user(id: $you) { name } }";
    let asking = async {
        let call = users
            .graphql(query)
            .variable("me", kim)
            .variable("you", lee);
        let told = call.on_behalf_of(kim, &["buyer"]).send::<Told>().await;
        stop.request();
        told
    };
    let (_, told) = tokio::join!(serving.life, asking);
    let refused = told.expect_err("in part");
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::Partial, Some("FORBIDDEN"))
    );
    assert_eq!(
        refused.reports()[0].to_string(),
        "yours: this belongs to another user"
    );
    let told: Told = refused.data().expect("it fits").expect("something");
    assert_eq!(told.mine.map(|user| user.name).as_deref(), Some("김이음"));
    assert!(told.yours.is_none());
}
