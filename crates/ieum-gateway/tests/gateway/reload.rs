//! A new configuration is taken whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ieum_gateway::Gateway;

use crate::support::{always, config, gateway, wait_for};

fn routes(path: &str, address: &str) -> String {
    format!(
        "[[gateway.routes]]\nname = 'r'\npath = '{path}'\nauth = 'none'\nurl = 'http://{address}'\n"
    )
}

#[test]
fn routes_change_under_load_and_nothing_fails() {
    let upstream = always(200, "ok");
    let world = Arc::new(gateway(&routes("/", &upstream.address())));
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (world, stop, asked) = (Arc::clone(&world), Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    assert_eq!(world.get("/x").status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..40 {
        let path = if round % 2 == 0 { "/x" } else { "/" };
        let before = asked.load(Ordering::Relaxed);
        world
            .handle
            .reload(config(&routes(path, &upstream.address())))
            .expect("accepted");
        let wrong = config("[[gateway.routes]]\nname = ''\npath = 'x'\n");
        assert!(!world.handle.reload(wrong).expect_err("refused").is_empty());
        wait_for("a request in each round", || {
            asked.load(Ordering::Relaxed) > before
        });
    }
    stop.store(true, Ordering::Release);
    for client in clients {
        client.join().expect("no request failed");
    }
    assert_eq!(
        world.metric("ieum_gateway_reloads_total{accepted=\"true\"}"),
        40.0
    );
    assert_eq!(
        world.metric("ieum_gateway_reloads_total{accepted=\"false\"}"),
        40.0
    );
}

#[test]
fn a_rate_limit_that_did_not_change_keeps_its_counts() {
    let upstream = always(200, "ok");
    let settings = routes("/", &upstream.address()) + "rate-limit = { requests = 1, per = '1h' }\n";
    let world = gateway(&settings);
    assert_eq!(world.get("/").status, 200);
    world.handle.reload(config(&settings)).expect("accepted");
    assert_eq!(world.get("/").status, 429);
}

#[test]
fn what_needs_a_restart_is_said() {
    let world = gateway("[gateway]\nthreads = 1\n");
    let mut after = config("[gateway]\nthreads = 1\naccess-log = 'stderr'\n");
    after.listen = Some(world.handle.addr());
    let warnings = world.handle.reload(after).expect("accepted");
    let paths: Vec<&str> = warnings.iter().map(|w| &*w.path).collect();
    assert_eq!(paths, ["gateway.listen", "gateway.access-log"]);
}

#[test]
fn all_mistakes_are_told_at_once_with_their_keys() {
    let wrong = config(
        r#"
        [gateway]
        threads = 0
        [gateway.timeouts]
        request = "0s"
        [gateway.jwt]
        leeway = "5m"
        keys = [
          { algorithm = "HS256", secret-env = "IEUM_TEST_NO_SUCH_VARIABLE" },
          { kid = "b", algorithm = "RS256", public-key = "nonsense" },
        ]
        [[gateway.routes]]
        name = "a"
        path = "/a"
        auth = "jwt"
        service = "s"
        [[gateway.routes]]
        name = "a"
        path = "/a/"
        auth = "none"
        roles = ["admin"]
        service = "s"
        url = "http://x"
        rate-limit = { requests = 0 }
        [[gateway.routes]]
        name = "c"
        path = "/c/{id"
        auth = "none"
        service = "s"
        methods = ["get"]
        fallback = { status = 99 }
        "#,
    );
    let errors = wrong.validate();
    let paths: Vec<&str> = errors.iter().map(|e| &*e.path).collect();
    assert!(
        !paths.contains(&"gateway.routes[0].timeout"),
        "a default is blamed once"
    );
    for path in [
        "gateway.threads",
        "gateway.timeouts.request",
        "gateway.jwt.leeway",
        "gateway.jwt.keys",
        "gateway.jwt.keys[0].kid",
        "gateway.jwt.keys[0].secret-env",
        "gateway.jwt.keys[1].public-key",
        "gateway.routes[1].name",
        "gateway.routes[1].path",
        "gateway.routes[1].roles",
        "gateway.routes[1]",
        "gateway.routes[2].methods[0]",
        "gateway.routes[1].rate-limit.requests",
        "gateway.routes[2].path",
        "gateway.routes[2].fallback.status",
    ] {
        assert!(paths.contains(&path), "{path} is missing in {paths:#?}");
    }
}

#[test]
fn a_port_in_use_is_refused() {
    let world = gateway("");
    let mut second = config("");
    second.listen = Some(world.handle.addr());
    let resolver = {
        let _entered = world.runtime.enter();
        let registry = Arc::new(ieum_discovery::memory::Registry::new());
        let tasks = ieum_base::Tasks::new(ieum_base::Stop::new());
        ieum_discovery::Resolver::new(registry, tasks)
    };
    let error = Gateway::start(second, ieum_gateway::Deps::new(resolver)).expect_err("in use");
    assert!(error.to_string().contains("is in use"), "{error}");
}

#[test]
fn a_route_without_a_policy_is_warned_about() {
    let warnings = config("[[gateway.routes]]\nname = 'r'\npath = '/'\nservice = 's'\n").warnings();
    assert_eq!(warnings[0].path, "gateway.routes[0]");
    assert!(
        warnings[0].message.contains("403"),
        "{}",
        warnings[0].message
    );
}
