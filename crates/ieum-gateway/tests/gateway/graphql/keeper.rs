//! The supergraph: composed from what the subgraphs say, kept when they say nothing any more.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ieum_testkit::TempFolder;
use serde_json::json;

use super::shop::{self, ORDERS, QUERY, USERS};
use super::{ask, graph, is_ready, settings, wait_until_composed};
use crate::support::{assert_problem, config, gateway, nobody, wait_for};

#[test]
fn until_the_first_composition_the_route_says_when_to_come_again() {
    let users = shop::users();
    let settings = format!(
        "[[gateway.routes]]\nname = 'graph'\npath = '/graphql'\nauth = 'none'\ngraphql = {{ subgraphs = {{ users = {{ url = 'http://{}' }}, orders = {{ url = 'http://{}' }} }} }}\n",
        users.address(),
        nobody(),
    );
    let world = gateway(&settings);
    let reply = ask(&world, QUERY);
    assert_problem(&reply, 503, "Service unavailable", "IEUM-1047");
    assert!(reply.get("retry-after").is_some());
    wait_for("the operator sees why", || {
        let routes = world.handle.routes();
        let graph = routes[0].graphql.as_ref().expect("a graph");
        !graph.ready
            && graph
                .subgraphs
                .iter()
                .any(|s| s.name == "orders" && s.problem.is_some())
    });
}

#[test]
fn subgraphs_by_name_are_composed_as_soon_as_they_are_there() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = gateway(
        "[[gateway.routes]]\nname = 'graph'\npath = '/graphql'\nauth = 'none'\ngraphql = { subgraphs = ['users', 'orders'], refresh = '1h' }\n",
    );
    assert!(!is_ready(&world));
    world.register("users", &users.address());
    world.register("orders", &orders.address());
    wait_until_composed(&world);
    let answer = ask(&world, QUERY).expect(200).expect("JSON");
    assert_eq!(answer["data"]["user"]["name"], "Kim");
}

#[test]
fn a_changed_schema_is_taken_over_and_one_that_does_not_fit_is_not() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let email = r#"{ user(id: "7") { email } }"#;
    assert_eq!(ask(&world, email).json().expect("JSON").get("data"), None);
    users.schema_is(&USERS.replace("name: String! }", "name: String! email: String }"));
    wait_for("the new field is known", || {
        ask(&world, email)
            .json()
            .is_ok_and(|answer| answer["data"].is_object())
    });
    orders.schema_is(&ORDERS.replace("id: ID! orders", "id: ID! name: Int orders"));
    wait_for("the operator sees why", || {
        let routes = world.handle.routes();
        routes[0]
            .graphql
            .as_ref()
            .is_some_and(|graph| graph.problem.is_some())
    });
    let answer = ask(&world, QUERY).expect(200).expect("JSON");
    assert_eq!(answer, json!({ "data": shop::answer() }));
    let failed = "ieum_gateway_graphql_compositions_total{route=\"graph\",outcome=\"failed\"}";
    wait_for("it is counted", || world.metric(failed) > 0.0);
}

#[test]
fn the_last_supergraph_stays_over_a_reload_while_a_subgraph_is_away() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    orders.answers(503);
    for extra in ["", "timeout = \"3s\"", "rate-limit = { requests = 1000 }"] {
        let settings = settings(&users, &orders, extra);
        world.handle.reload(config(&settings)).expect("accepted");
        let answer = ask(&world, r#"{ user(id: "7") { name } }"#).expect(200);
        assert_eq!(answer.expect("JSON")["data"]["user"]["name"], "Kim");
    }
    let changed = settings(&users, &orders, "")
        .replace("refresh = \"1s\"", "refresh = \"2s\"\nintrospection = true");
    world.handle.reload(config(&changed)).expect("accepted");
    let answer = ask(&world, "{ __schema { queryType { name } } }").expect(200);
    assert_eq!(
        answer.expect("JSON")["data"]["__schema"]["queryType"]["name"],
        "Query"
    );
}

#[test]
fn no_operation_fails_while_settings_change() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let stop = AtomicBool::new(false);
    let asked = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    let answer = ask(&world, QUERY).expect(200).expect("JSON");
                    assert_eq!(answer, json!({ "data": shop::answer() }));
                    asked.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        for round in 0..20 {
            let before = asked.load(Ordering::Acquire);
            let settings = settings(&users, &orders, "");
            let changed = settings.replace("\"1s\"", &format!("\"{}s\"", 2 + round % 3));
            world.handle.reload(config(&changed)).expect("accepted");
            wait_for("an answer in each round", || {
                asked.load(Ordering::Acquire) > before
            });
        }
        stop.store(true, Ordering::Release);
    });
}

#[test]
fn two_schemas_by_turns_keep_the_plans_of_both() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let newer = USERS.replace("name: String! }", "name: String! email: String }");
    let composed = |count: f64| {
        let metric =
            "ieum_gateway_graphql_compositions_total{route=\"graph\",outcome=\"composed\"}";
        wait_for("another composition", || world.metric(metric) >= count);
        let answer = ask(&world, QUERY).expect(200).expect("JSON");
        assert_eq!(answer, json!({ "data": shop::answer() }));
    };
    composed(1.0);
    for (turn, schema) in [(2.0, &*newer), (3.0, USERS), (4.0, &*newer)] {
        users.schema_is(schema);
        composed(turn);
    }
    let planned = "ieum_gateway_graphql_plans_total{route=\"graph\",cache=\"miss\"}";
    assert_eq!(world.metric(planned), 2.0, "one plan for each supergraph");
}

#[test]
fn nobody_asks_for_schemas_any_more_when_the_route_is_gone() {
    let (users, orders) = (shop::users(), shop::orders());
    let world = graph(&users, &orders, "");
    let asked = users.schemas();
    wait_for("they are asked again", || users.schemas() > asked);
    world.handle.reload(config("")).expect("accepted");
    assert_eq!(ask(&world, QUERY).status, 404);
    // A keeper of another graph, with the same pace, shows that time passes.
    let (others, other_orders) = (shop::users(), shop::orders());
    let other = graph(&others, &other_orders, "");
    let before = users.schemas();
    wait_for("time passes", || others.schemas() > 3);
    assert_eq!(users.schemas(), before);
    drop(other);
}

#[test]
fn a_supergraph_from_a_file_needs_nobody_for_its_schema() {
    let (users, orders) = (shop::users(), shop::orders());
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("supergraph.graphql");
    let settings = |text: &str| {
        std::fs::write(&path, text).expect("written");
        format!(
            "[[gateway.routes]]\nname = 'graph'\npath = '/graphql'\nauth = 'none'\ngraphql = {{ supergraph = '{}', subgraphs = {{ orders = {{ url = 'http://{}' }} }} }}\n",
            path.display(),
            orders.address()
        )
    };
    let sources = [("users", USERS), ("orders", ORDERS)].map(|(name, sdl)| {
        ieum_graphql::supergraph::SubgraphSource {
            name: name.to_owned(),
            url: format!("http://{}/from/the/file", users.address()),
            sdl: sdl.to_owned(),
        }
    });
    let supergraph = ieum_graphql::supergraph::compose(&sources).expect("composed");
    let world = gateway(&settings(&supergraph));
    let answer = ask(&world, QUERY).expect(200).expect("JSON");
    assert_eq!(answer, json!({ "data": shop::answer() }));
    assert_eq!(users.fetches()[0].target, "/from/the/file");
    assert_eq!(orders.fetches()[0].target, "/graphql");
    let wrong = config(&settings("type Query { a: Int }"));
    let errors = world.handle.reload(wrong).expect_err("refused");
    assert_eq!(errors[0].path, "gateway.routes[0].graphql.supergraph");
    let answer = ask(&world, QUERY).expect(200).expect("JSON");
    assert_eq!(answer, json!({ "data": shop::answer() }));
}
