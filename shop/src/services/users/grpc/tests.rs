//! users over gRPC: who is told of whom, and how it says no.

use futures_util::StreamExt;
use tonic::Code;

use super::super::password::Passwords;
use super::super::token::Tokens;
use super::super::{Change, SPEC};
use super::users_server::Users as _;
use super::*;
use crate::support::keys;
use crate::support::testing::{Alone, Who};

/// A service in which this many have signed up; their ids.
async fn signed_up(names: &[&str]) -> (Alone, Calls, Vec<String>) {
    let alone = Alone::start(SPEC).await;
    let key = keys::load_or_create(alone.folder()).expect("a key");
    let calls = Calls(Arc::new(Users {
        passwords: Passwords::new().await.expect("a hasher"),
        tokens: Tokens::new(&key, alone.service.clock().clone()).expect("a signer"),
        service: Arc::clone(&alone.service),
    }));
    let mut ids = Vec::new();
    for name in names {
        let made = calls.create_user(Request::new(proto::CreateUserRequest {
            email: format!("{name}@example.com"),
            name: (*name).to_owned(),
            password: "correct horse".to_owned(),
        }));
        ids.push(made.await.expect("signed up").into_inner().id);
    }
    (alone, calls, ids)
}

/// A call as the gateway passes it on.
fn by<T>(who: &Who, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let (id, roles) = match who {
        Who::Nobody => return request,
        Who::User(id) => (*id, ""),
        Who::Staff => ("boss", "admin"),
    };
    let metadata = request.metadata_mut();
    metadata.insert("x-user-id", id.parse().expect("an id"));
    metadata.insert("x-user-roles", roles.parse().expect("roles"));
    request
}

fn user(id: &str) -> Who {
    Who::User(id.to_owned().leak())
}

#[tokio::test]
async fn a_user_is_told_to_itself_and_to_the_staff() {
    let (_alone, calls, ids) = signed_up(&["kim", "lee"]).await;
    let get = async |who: &Who, id: &str| {
        let id = id.to_owned();
        let got = calls.get_user(by(who, proto::GetUserRequest { id })).await;
        got.map(|user| user.into_inner().name)
            .map_err(|no| no.code())
    };
    let kim = user(&ids[0]);
    assert_eq!(get(&kim, "me").await, Ok("kim".to_owned()));
    assert_eq!(get(&kim, &ids[0]).await, Ok("kim".to_owned()));
    assert_eq!(get(&kim, &ids[1]).await, Err(Code::NotFound));
    assert_eq!(get(&Who::Staff, &ids[1]).await, Ok("lee".to_owned()));
    assert_eq!(get(&Who::Staff, "nobody").await, Err(Code::NotFound));
    assert_eq!(get(&Who::Nobody, &ids[0]).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn many_are_told_in_the_order_asked_for_as_far_as_they_may_be() {
    let (_alone, calls, ids) = signed_up(&["kim", "lee"]).await;
    let get = async |who: &Who, ids: Vec<String>| {
        let got = calls.batch_get_users(by(who, proto::BatchGetUsersRequest { ids }));
        let users = got.await.map(|got| got.into_inner().users);
        let names = users.map(|users| users.into_iter().map(|user| user.name).collect::<Vec<_>>());
        names.map_err(|no| no.code())
    };
    let asked = || vec![ids[1].clone(), "nobody".to_owned(), ids[0].clone()];
    let both = ["lee", "kim"].map(str::to_owned).to_vec();
    assert_eq!(get(&Who::Staff, asked()).await, Ok(both));
    assert_eq!(
        get(&user(&ids[0]), asked()).await,
        Ok(vec!["kim".to_owned()])
    );
    let too_many = vec![String::new(); MOST_AT_ONCE + 1];
    assert_eq!(get(&Who::Staff, too_many).await, Err(Code::InvalidArgument));
}

#[tokio::test]
async fn the_staff_reads_page_after_page() {
    let (_alone, calls, ids) = signed_up(&["kim", "lee", "park"]).await;
    let list = async |who: &Who, page_size: i32, page_token: &str| {
        let page_token = page_token.to_owned();
        let asked = proto::ListUsersRequest {
            page_size,
            page_token,
        };
        let page = calls.list_users(by(who, asked)).await;
        page.map(Response::into_inner).map_err(|no| no.code())
    };
    let first = list(&Who::Staff, 2, "").await.expect("a page");
    assert_eq!((first.users.len(), &first.next_page_token), (2, &ids[1]));
    let last = list(&Who::Staff, 2, &first.next_page_token)
        .await
        .expect("a page");
    assert_eq!((&last.users[0].id, &*last.next_page_token), (&ids[2], ""));
    let refused = |code| Err::<proto::ListUsersResponse, _>(code);
    assert_eq!(
        list(&Who::Staff, -1, "").await,
        refused(Code::InvalidArgument)
    );
    assert_eq!(
        list(&user(&ids[0]), 2, "").await,
        refused(Code::PermissionDenied)
    );
}

#[tokio::test]
async fn a_watcher_sees_each_change_until_the_user_leaves() {
    let (_alone, calls, ids) = signed_up(&["kim"]).await;
    let id = ids[0].clone();
    let asked = proto::WatchUserRequest {
        id: "me".to_owned(),
    };
    let watched = calls.watch_user(by(&user(&id), asked)).await;
    let mut watched = watched.expect("watched").into_inner();
    let mut next = async || watched.next().await.map(|user| user.expect("a user").name);
    assert_eq!(next().await.as_deref(), Some("kim"));
    // What changes nothing of the user is not told.
    signed_up_too(&calls).await;
    let change = |name: &str| serde_json::from_value::<Change>(serde_json::json!({ "name": name }));
    let changed = calls.0.change(id.clone(), change("Kim").expect("a change"));
    changed.await.expect("changed");
    assert_eq!(next().await.as_deref(), Some("Kim"));
    let left = calls.0.service.write(move |work| store::delete(work, &id));
    left.await.expect("left");
    assert_eq!(next().await, None);
}

async fn signed_up_too(calls: &Calls) {
    let asked = proto::CreateUserRequest {
        email: "lee@example.com".to_owned(),
        name: "lee".to_owned(),
        password: "correct horse".to_owned(),
    };
    calls
        .create_user(Request::new(asked))
        .await
        .expect("signed up");
}

#[tokio::test]
async fn who_signs_up_twice_is_told_why_not() {
    let (_alone, calls, _) = signed_up(&["kim"]).await;
    let again = proto::CreateUserRequest {
        email: "KIM@example.com".to_owned(),
        name: "Kim".to_owned(),
        password: "correct horse".to_owned(),
    };
    let refused = calls.create_user(Request::new(again.clone())).await;
    assert_eq!(refused.expect_err("taken").code(), Code::AlreadyExists);
    let wrong = proto::CreateUserRequest {
        email: "kim".to_owned(),
        ..again
    };
    let refused = calls.create_user(Request::new(wrong)).await;
    assert_eq!(
        refused.expect_err("no address").code(),
        Code::InvalidArgument
    );
}
