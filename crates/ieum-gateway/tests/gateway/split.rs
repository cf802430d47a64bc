//! Split: a share of a route's requests goes to another upstream, and who is on its side stays there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ieum_testkit::{Reply, Request, Stub, TempFolder};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use crate::support::{World, always, assert_problem, config, gateway, nobody, wait_for};

/// A route to `old` with a split of this inside.
fn routes(old: &Stub, split: &str) -> String {
    format!(
        "[[gateway.routes]]\nname = 'orders'\npath = '/orders'\nauth = 'none'\nurl = 'http://{}'\n\
         split = {{ {split} }}\n",
        old.address()
    )
}

fn to(new: &Stub, percent: u32, by: &str) -> String {
    format!(
        "url = 'http://{}', percent = {percent}, by = {by}",
        new.address()
    )
}

/// An upstream that says which side it is. Its answers have no body: they are one packet each, and fast.
fn named(side: &'static str) -> Stub {
    let headers = vec![("x-side".to_owned(), side.to_owned())];
    Stub::start(move |_| Reply {
        status: 200,
        headers: headers.clone(),
        body: Vec::new(),
    })
    .expect("a stub")
}

/// The side that answered.
fn side(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.get("x-side").unwrap_or_default().to_owned()
}

fn share(world: &World, requests: u32) -> f64 {
    let on_new = (0..requests).filter(|_| side(&world.get("/orders")) == "new");
    100.0 * on_new.count() as f64 / f64::from(requests)
}

/// The users out of 150 who are on the new side.
fn moved(world: &World, header: &str, prefix: &str) -> BTreeSet<u32> {
    let is_moved = |user: &u32| {
        let request = Request::new("GET", "/orders").header(header, &format!("{prefix}{user}"));
        let first = side(&world.send(&request));
        if *user < 20 {
            assert_eq!(first, side(&world.send(&request)), "one caller, one side");
        }
        first == "new"
    };
    (0..150).filter(is_moved).collect()
}

#[test]
fn the_share_is_right_within_two_points_from_a_hundred_requests_of_one_caller_on() {
    let (old, new) = (named("old"), named("new"));
    let world = gateway(&routes(&old, &to(&new, 0, "'request'")));
    for percent in [10, 50, 100, 0, 33] {
        let reload = config(&routes(&old, &to(&new, percent, "'request'")));
        world.handle.reload(reload).expect("accepted");
        let got = share(&world, 100);
        let off = (got - f64::from(percent)).abs();
        assert!(off <= 2.0, "{got} % in place of {percent} %");
    }
    let count = |side| {
        let name = format!("ieum_gateway_split_total{{path=\"/orders\",side=\"{side}\"}}");
        world.metric(&name)
    };
    assert_eq!(count("old"), old.requests().len() as f64);
    assert_eq!(count("new"), new.requests().len() as f64);
    assert_eq!(count("old") + count("new"), 500.0);
}

#[test]
fn a_share_that_grows_moves_nobody_back_whatever_callers_are_known_by() {
    let (old, new) = (named("old"), named("new"));
    let world = gateway(&routes(&old, &to(&new, 0, "'request'")));
    let cases = [
        ("{ header = 'X-Device' }", "x-device", "device-"),
        ("{ cookie = 'sid' }", "cookie", "a=b; sid=session-"),
    ];
    for (by, header, prefix) in cases {
        let mut before = BTreeSet::new();
        for percent in [0, 10, 50, 100] {
            let reload = config(&routes(&old, &to(&new, percent, by)));
            world.handle.reload(reload).expect("accepted");
            let now = moved(&world, header, prefix);
            assert!(
                before.is_subset(&now),
                "{by} at {percent} %: somebody went back"
            );
            let got = 100.0 * now.len() as f64 / 150.0;
            let off = (got - f64::from(percent)).abs();
            assert!(
                off < 10.0,
                "{by}: {got} % in place of {percent} % of 150 callers"
            );
            before = now;
        }
    }
}

#[test]
fn requests_without_the_key_take_turns() {
    let (old, new) = (named("old"), named("new"));
    let world = gateway(&routes(&old, &to(&new, 50, "{ header = 'x-device' }")));
    assert!((share(&world, 100) - 50.0).abs() <= 2.0);
}

#[test]
fn the_share_changes_under_load_and_nothing_is_lost() {
    let (old, new) = (named("old"), named("new"));
    let world = Arc::new(gateway(&routes(&old, &to(&new, 0, "'request'"))));
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (world, stop, asked) = (Arc::clone(&world), Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    assert_eq!(world.get("/orders").status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..20 {
        let before = asked.load(Ordering::Relaxed);
        let reload = config(&routes(&old, &to(&new, round * 5, "'request'")));
        world.handle.reload(reload).expect("accepted");
        wait_for("requests in each round", || {
            asked.load(Ordering::Relaxed) > before + 5
        });
    }
    stop.store(true, Ordering::Release);
    for client in clients {
        client.join().expect("no request failed");
    }
    let answered = old.requests().len() + new.requests().len();
    assert_eq!(answered, asked.load(Ordering::Relaxed) as usize);
}

#[test]
fn without_an_instance_on_the_new_side_the_old_one_answers_only_where_that_is_configured() {
    let old = named("old");
    let world = gateway(&routes(&old, "service = 'orders', percent = 100"));
    let refused = world.get("/orders");
    assert_problem(&refused, 503, "Service unavailable", "IEUM-1040");
    let configured = "service = 'orders', percent = 100, old-if-absent = true";
    world
        .handle
        .reload(config(&routes(&old, configured)))
        .expect("accepted");
    assert_eq!(side(&world.get("/orders")), "old");
    let absent = "ieum_gateway_split_total{path=\"/orders\",side=\"absent\"}";
    assert_eq!(world.metric(absent), 1.0);
    let new = named("new");
    world.register("orders", &new.address());
    assert_eq!(side(&world.get("/orders")), "new");
    assert_eq!(world.metric(absent), 1.0);
}

#[test]
fn while_every_breaker_of_the_new_side_is_open_the_old_one_answers() {
    let old = named("old");
    let split = format!(
        "url = 'http://{}', percent = 100, old-if-absent = true",
        nobody()
    );
    let world = gateway(&routes(&old, &split));
    wait_for("the breaker opens and the old side answers", || {
        world.get("/orders").status == 200
    });
    assert!(!old.requests().is_empty());
}

#[test]
fn further_tries_stay_on_their_side() {
    let (old, new) = (named("old"), always(503, "new"));
    let split = to(&new, 100, "'request'");
    let world = gateway(&(routes(&old, &split) + "retries = 2\n"));
    assert_eq!(world.get("/orders").status, 503);
    assert_eq!(new.requests().len(), 3);
    assert!(old.requests().is_empty());
}

#[test]
fn a_split_is_told_among_the_routes() {
    let (old, new) = (named("old"), named("new"));
    let world = gateway(&routes(&old, &to(&new, 10, "{ cookie = 'sid' }")));
    let routes = serde_json::to_value(world.handle.routes()).expect("JSON");
    let upstreams = [&old, &new].map(|stub| format!("http://{}", stub.address()));
    let split = json!({
        "upstream": upstreams[1], "percent": 10, "by": { "cookie": "sid" }, "oldIfAbsent": false,
    });
    assert_eq!(routes[0]["split"], split);
    assert_eq!(routes[0]["upstreams"], json!(upstreams));
}

#[test]
fn what_makes_no_sense_of_a_split_is_refused() {
    const GRAPH: &str = "graphql = { subgraphs = ['a'] }";
    let cases = [
        (
            "service = 'a'",
            "service = 'b', percent = 101",
            ".percent",
            "at most 100",
        ),
        (
            "service = 'a'",
            "percent = 10",
            "",
            "exactly one of `service` and `url`",
        ),
        (
            "service = 'a'",
            "service = 'b', url = 'http://c', percent = 1",
            "",
            "exactly one",
        ),
        (
            "service = 'a'",
            "service = 'a', percent = 10",
            "",
            "goes already",
        ),
        (
            "service = 'a'",
            "url = 'nonsense', percent = 10",
            ".url",
            "neither http nor https",
        ),
        (
            "compose = { p = { service = 'a', path = '/' } }",
            "service = 'b', percent = 1",
            "",
            "compose",
        ),
        (GRAPH, "service = 'b', percent = 1", "", "graphql"),
        (
            "service = 'a'\ncache = {}",
            "service = 'b', percent = 1",
            "",
            "cache",
        ),
        (
            "service = 'a'",
            "service = 'b', percent = 1, by = 'user'",
            ".by",
            "auth",
        ),
        (
            "service = 'a'",
            "service = 'b', percent = 1, by = { header = 'a b' }",
            ".by",
            "no header name",
        ),
        (
            "service = 'a'",
            "service = 'b', percent = 1, by = { header = 'x-user-id' }",
            ".by",
            "not believed",
        ),
        (
            "service = 'a'",
            "service = 'b', percent = 1, by = { cookie = '' }",
            ".by",
            "no name of a cookie",
        ),
    ];
    let mut missing = String::new();
    for (target, split, field, message) in cases {
        let wrong = config(&format!(
            "[[gateway.routes]]\nname = 'r'\npath = '/r'\nauth = 'none'\n{target}\n\
             split = {{ {split} }}\n"
        ));
        let path = format!("gateway.routes[0].split{field}");
        let errors = wrong.validate();
        let is_told = errors
            .iter()
            .any(|e| e.path == path && e.message.contains(message));
        if !is_told {
            writeln!(missing, "{split}: {errors:?}").expect("written");
        }
    }
    assert_eq!(missing, "");
}

#[test]
fn a_repeat_that_may_reach_the_other_side_is_warned_of() {
    let warned = |by: &str| {
        let text = format!(
            "[[gateway.routes]]\nname = 'r'\npath = '/r'\nauth = 'none'\nidempotent = true\n\
             service = 'a'\nsplit = {{ service = 'b', percent = 10, by = {by} }}\n"
        );
        config(&text).warnings().len()
    };
    assert_eq!(warned("'request'"), 1);
    assert_eq!(warned("{ header = 'idempotency-key' }"), 0);
}

#[test]
fn the_user_and_a_claim_of_the_token_decide_on_the_side() {
    let (old, new) = (named("old"), named("new"));
    let folder = TempFolder::new().expect("a folder");
    let secret = "a secret of more than thirty-two bytes";
    let file = folder.write("secret", secret).expect("written");
    let world = gateway("");
    for by in ["'user'", "{ claim = 'tenant' }"] {
        let settings = format!(
            "[gateway.jwt]\nkeys = [{{ algorithm = 'HS256', secret-file = '{}' }}]\n\
             headers = {{ userId = ['x-user-id'], tenant = ['x-tenant-id'] }}\n{}",
            file.display(),
            routes(&old, &to(&new, 50, by)).replace("auth = 'none'", "auth = 'jwt'"),
        );
        world.handle.reload(config(&settings)).expect("accepted");
        let side_of = |user: u32, tenant: u32| {
            let claims = json!({
                "userId": format!("u-{user}"), "tenant": format!("t-{tenant}"), "exp": 4_000_000_000_u32,
            });
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = encode(&Header::default(), &claims, &key).expect("signed");
            side(&world.send(&Request::new("GET", "/orders").bearer(&token)))
        };
        let is_by_user = by == "'user'";
        let same = |n: u32| {
            if is_by_user {
                side_of(n, n + 1)
            } else {
                side_of(n + 1, n)
            }
        };
        let first: Vec<_> = (0..40).map(|n| side_of(n, n)).collect();
        let second: Vec<_> = (0..40).map(same).collect();
        assert_eq!(first, second, "{by}");
        let on_new = first.iter().filter(|side| *side == "new").count();
        assert!((8..=32).contains(&on_new), "{by}: {on_new} of 40");
    }
}
