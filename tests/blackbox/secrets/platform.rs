//! Secrets in everything that a platform is given: requests, registrations, events, sagas, files,
//! the command line.

use anyhow::Result;
use ieum_testkit::{Request, Stub};
use serde_json::json;

use super::world::World;

/// Headers that carry a secret, each with the text before it.
const HEADERS: [(&str, &str); 16] = [
    ("authorization", "Basic "),
    ("authorization", "Bearer "),
    ("proxy-authorization", "Basic "),
    ("cookie", "session="),
    ("idempotency-key", ""),
    ("x-api-key", ""),
    ("x-consul-token", ""),
    ("x-vault-token", ""),
    ("x-csrf-token", ""),
    ("x-forwarded-for", ""),
    ("x-request-id", "user:secret@"),
    ("traceparent", "00-"),
    ("tracestate", "Vendor="),
    ("baggage", "userinfo=user:"),
    ("grpc-metadata-authorization", "Bearer "),
    ("b3", ""),
];

/// What a client sends through the gateway.
pub(super) fn through_the_gateway(world: &mut World) -> Result<()> {
    for target in ["/open/header", "/users", "/gone", "/nowhere"] {
        for (name, before) in HEADERS {
            let secret = world
                .canaries
                .secret(&format!("the header {name} ({before}) to {target}"));
            let request = Request::new("POST", target).json(&json!({ "ok": true }));
            world.through(&request.header(name, &format!("{before}{secret}")))?;
        }
        for parameter in ["token", "access_token", "q"] {
            let secret = world
                .canaries
                .secret(&format!("the parameter {parameter} of {target}"));
            world.through(&Request::new(
                "GET",
                &format!("{target}?a=1&{parameter}={secret}#x"),
            ))?;
            world.through(&Request::new(
                "GET",
                &format!("{target}?{parameter}={secret}"),
            ))?;
        }
        let card = world
            .canaries
            .card(&format!("a card number in the path of {target}"));
        world.through(&Request::new("GET", &format!("{target}/{card}")))?;
        let secret = world
            .canaries
            .secret(&format!("the path of {target} behind its name"));
        world.through(&Request::new(
            "GET",
            &format!("{target}/reset-password/{secret}"),
        ))?;
        let secret = world
            .canaries
            .secret(&format!("a parameter in the path of {target}"));
        world.through(&Request::new(
            "GET",
            &format!("{target}/a;password={secret}/b"),
        ))?;
        let body = world
            .canaries
            .secret(&format!("the body of a request to {target}"));
        world.through(&Request::new("POST", target).json(&json!({ "password": body })))?;
    }
    let session = world.session("a valid session in Authorization", "u-1")?;
    world
        .through(&Request::new("GET", "/users/u-1").bearer(&session))?
        .expect(200)?;
    let session = world.session("a valid session in the query", "u-2")?;
    world.through(&Request::new(
        "GET",
        &format!("/users/u-1?session={session}"),
    ))?;
    let session = world.session("a valid session in a path", "u-3")?;
    world.through(&Request::new("GET", &format!("/open/{session}")))?;
    world.through(&Request::new("GET", "/open/error"))?;
    world.through(&Request::new("GET", "/open/garbage"))?;
    Ok(())
}

/// What no client library would send.
pub(super) fn malformed(world: &mut World) -> Result<()> {
    for address in [world.gateway.clone(), world.api.clone()] {
        let lines: [(&str, &str); 9] = [
            (
                "an absolute target",
                "GET http://user:{}@host/open HTTP/1.1\r\nhost: host\r\nconnection: close\r\n\r\n",
            ),
            (
                "the host",
                "GET /open HTTP/1.1\r\nhost: user:{}@host\r\nconnection: close\r\n\r\n",
            ),
            (
                "a request line",
                "GET /open?password={} HTTP/9.9\r\nhost: h\r\n\r\n",
            ),
            (
                "a method",
                "{} /open HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
            ),
            (
                "a bad target",
                "GET /open/%zz?token={} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
            ),
            (
                "a malformed header",
                "GET /open HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization Bearer {}\r\n\r\n",
            ),
            (
                "a header with NUL",
                "GET /open HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-api-key: \0{}\r\n\r\n",
            ),
            (
                "a folded header",
                "GET /open HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncookie: a=b\r\n {}\r\n\r\n",
            ),
            (
                "a trailer",
                "POST /open HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
                 transfer-encoding: chunked\r\n\r\n0\r\nauthorization: {}\r\n\r\n",
            ),
        ];
        for (what, line) in lines {
            let whom = if address == world.gateway {
                "the gateway"
            } else {
                "the API"
            };
            let secret = world.canaries.secret(&format!("{what} sent to {whom}"));
            world.raw(&address, &line.replace("{}", &secret))?;
        }
        let long = world
            .canaries
            .secret(&format!("a header that is too long for {address}"));
        let head = format!(
            "GET /open HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-api-key: {}\r\n\r\n",
            long.repeat(2_000)
        );
        world.raw(&address, &head)?;
        let upgrade = world
            .canaries
            .secret(&format!("a protocol asked of {address}"));
        let head = format!(
            "GET /open HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: bearer, {upgrade}\r\n\r\n"
        );
        world.raw(&address, &head)?;
    }
    Ok(())
}

/// What a caller of the platform API sends.
pub(super) fn to_the_api(world: &mut World) -> Result<()> {
    let api = world.api.clone();
    for (name, before) in HEADERS {
        let secret = world
            .canaries
            .secret(&format!("the header {name} ({before}) to the API"));
        let request = Request::new("GET", "/api/v1/services");
        world.ask(&api, &request.header(name, &format!("{before}{secret}")))?;
    }
    for target in [
        "/v1/agent/services",
        "/api/v1/log",
        "/api/v1/nowhere",
        "/v1/kv/x",
    ] {
        let secret = world
            .canaries
            .secret(&format!("the token in the query of {target}"));
        let request = Request::new("GET", &format!("{target}?token={secret}"));
        world.ask(&api, &request)?;
        world.api(request)?;
    }
    let secret = world.canaries.secret("a parameter of the wrong type");
    world.api(Request::new("GET", &format!("/api/v1/log?limit={secret}")))?;
    let card = world.canaries.card("a path of the API");
    world.api(Request::new("GET", &format!("/api/v1/sagas/{card}")))?;
    bodies(world)?;
    registrations(world)?;
    sagas(world)
}

/// Bodies that are refused, with secrets in them.
fn bodies(world: &mut World) -> Result<()> {
    let targets = [
        ("POST", "/api/v1/log/streams/canary-1"),
        ("POST", "/api/v1/log"),
        ("POST", "/api/v1/topics/canary"),
        ("POST", "/api/v1/topics/canary/groups/readers/pull"),
        ("POST", "/api/v1/sagas"),
        ("PUT", "/api/v1/sagas/definitions/canary"),
        ("PUT", "/v1/agent/service/register"),
        ("PUT", "/v1/agent/check/register"),
        ("PUT", "/v1/agent/check/update/canary"),
        ("POST", "/v1/traces"),
    ];
    for (method, target) in targets {
        let mut secret = |what: &str| world.canaries.secret(&format!("{what} sent to {target}"));
        let bodies = [
            format!("{{\"password\": \"{}", secret("invalid JSON")),
            format!("\"{}\"", secret("text instead of an object")),
            format!("password={}", secret("a form instead of JSON")),
            json!({ "events": secret("text instead of a list"), "expect": "any" }).to_string(),
            json!({ "id": { "a": 1 }, "input": secret("the wrong input"), "Port": secret("a port"),
                "definition": 7, "epoch": secret("an epoch"), "Interval": secret("an interval") })
            .to_string(),
            json!({ "events": [{ "id": secret("an id"), "type": "x",
                "data": { "password": secret("a refused event") } }] })
            .to_string(),
            json!({ "Name": "a", "Check": { "HTTP": "http://127.0.0.1:1", "Interval": "1s",
                "ScriptArgs": ["sh", "-c", secret("a script")] } })
            .to_string(),
            json!({ "specversion": "1.0", "type": 5, "data": secret("a refused message") })
                .to_string(),
        ];
        for body in bodies {
            let mut request =
                Request::new(method, target).header("content-type", "application/json");
            request.body = body.into_bytes();
            world.api(request)?;
        }
    }
    Ok(())
}

/// Registrations whose checks carry credentials.
fn registrations(world: &mut World) -> Result<()> {
    let refusing = Stub::start(|_| ieum_testkit::Reply::json_of(401, &json!({ "status": "no" })))?;
    let user = world.canaries.secret("the credentials in a check's URL");
    let query = world.canaries.data("the token in a check's URL");
    let header = world.canaries.data("a header of a check");
    let address = refusing.address();
    let checks = [
        json!({ "HTTP": format!("http://user:{user}@{address}/health"), "Interval": "1s" }),
        json!({ "HTTP": format!("http://{address}/health?token={query}"), "Interval": "1s" }),
        json!({ "HTTP": format!("http://{address}/health"), "Interval": "1s",
            "Header": { "Authorization": [format!("Bearer {header}")] } }),
    ];
    for (place, check) in checks.into_iter().enumerate() {
        let body = json!({ "Name": "canary", "ID": format!("canary-{place}"),
            "Address": "127.0.0.1", "Port": refusing.port(), "Check": check });
        world.api(Request::new("PUT", "/v1/agent/service/register").json(&body))?;
    }
    let upstream = world.upstream.port();
    let body = json!({ "Name": "canary", "ID": "alive", "Address": "127.0.0.1", "Port": upstream });
    world
        .api(Request::new("PUT", "/v1/agent/service/register").json(&body))?
        .expect(200)?;
    Ok(())
}

/// Events and sagas: what was accepted is stored, and only stored.
fn sagas(world: &mut World) -> Result<()> {
    let stored = world.canaries.data(CONTROL_OF_THE_STORE);
    let event = json!({ "id": "0190a1b2-0000-7000-8000-000000000009", "type": "canary.kept",
        "data": { "secret": stored } });
    let append = Request::new("POST", "/api/v1/log/streams/canary-2");
    world
        .api(append.json(&json!({ "events": [event] })))?
        .expect(201)?;
    let value = world.canaries.data("a value of a key");
    let mut put = Request::new("PUT", "/v1/kv/canary");
    put.body = value.into_bytes();
    world.api(put)?.expect(200)?;
    let message = world.canaries.data("a message");
    let publish = json!({ "specversion": "1.0", "id": "m-1", "source": "test", "type": "canary.sent",
        "data": { "secret": message } });
    let mut request = Request::new("POST", "/api/v1/topics/canary.events")
        .header("content-type", "application/cloudevents+json");
    request.body = publish.to_string().into_bytes();
    anyhow::ensure!(world.api(request)?.status == 202, "the message is taken");
    let step = |name: &str, path: &str| {
        json!({ "name": name, "undo": "none", "call": {
            "service": "canary", "path": path, "body": { "secret": "${input.secret}" } } })
    };
    let steps = [step("works", "/open/fine"), step("fails", "/open/error")];
    let definition = json!({ "name": "keep", "deadline": "1s", "steps": steps });
    let define = Request::new("PUT", "/api/v1/sagas/definitions/keep").json(&definition);
    let defined = world.api(define)?;
    anyhow::ensure!(defined.status < 300, "{}", defined.text());
    for (key, place) in [
        ("k-1", "the input of a saga"),
        ("k-2", "the input of another saga"),
    ] {
        let input = world.canaries.data(place);
        let start = json!({ "definition": "keep", "key": key, "input": { "secret": input } });
        world
            .api(Request::new("POST", "/api/v1/sagas").json(&start))?
            .expect(201)?;
    }
    Ok(())
}

/// The event whose canary must be found in the store: else the search is blind.
pub(super) const CONTROL_OF_THE_STORE: &str = "the data of an event";

/// Configurations that are wrong, each with a secret where none belongs.
pub(super) fn configurations(world: &mut World) -> Result<()> {
    const ROUTE: &str = "[[gateway.routes]]\nname = \"a\"\npath = \"/a\"\nauth = \"none\"\n";
    let texts = [
        ("a key that does not exist", "[platform]\ntoken = \"{}\"\n".to_owned()),
        ("a password that does not exist", "[log]\ndb-password = \"{}\"\n".to_owned()),
        ("a secret between other keys", "keys = [{ kid = \"a\", secret = \"{}\", x = 1 }]\n".to_owned()),
        ("an inline key", "[gateway.jwt]\nkeys = [{ kid = \"a\", secret = \"{}\", algorithm = \"HS256\" }]\n".to_owned()),
        ("a line that is no TOML", "[platform]\ntoken = \"{}\nlisten = 1\n".to_owned()),
        ("a value that is no TOML", "[platform]\ntoken-env = {}-\"x\"\n".to_owned()),
        ("the log's URL", "[log]\nurl = \"postgres://app:{}@db/shop\"\n".to_owned()),
        ("the log's URL with parameters", "[log]\nurl = \"postgres://db/shop?user=app&password={}\"\n".to_owned()),
        ("the log's URL with a slash", "[log]\nurl = \"postgres://app:a/{}@db/shop\"\n".to_owned()),
        ("the registry's URL", "[registry]\nurl = \"vault://:{}@h\"\n".to_owned()),
        ("a route's URL", format!("{ROUTE}url = \"http://user:{{}}@host\"\n")),
        ("a route's URL that is none", format!("{ROUTE}url = \"ftp://user:{{}}@host\"\n")),
        ("a route's URL with a parameter", format!("{ROUTE}url = \"http://host/?token={{}}\"\n")),
        ("a fallback's URL", format!("{ROUTE}url = \"http://h\"\nfallback = {{ url = \"http://u:{{}}@h\" }}\n")),
        ("a check's URL", "[[registry.instances]]\nservice = \"a\"\naddress = \"h\"\nport = 0\ncheck = \"ftp://u:{}@h\"\n".to_owned()),
        ("a token of the wrong type", "[platform]\ntoken-env = [\"{}\"]\n".to_owned()),
    ];
    for (place, text) in texts {
        let secret = world.canaries.secret(&format!("a configuration: {place}"));
        world
            .folder
            .write("wrong.toml", text.replace("{}", &secret))?;
        world.ieum(&["check", "-c", "wrong.toml"])?;
        world.ieum(&["up", "-c", "wrong.toml"])?;
    }
    Ok(())
}

/// Arguments that are refused, or lead nowhere.
pub(super) fn arguments(world: &mut World) -> Result<()> {
    let mut secret = |what: &str| world.canaries.secret(&format!("an argument: {what}"));
    let lines = [
        format!(
            "services --platform http://user:{}@127.0.0.1:1",
            secret("a platform with a user")
        ),
        format!(
            "services --platform ftp://user:{}@127.0.0.1:1",
            secret("a platform that is none")
        ),
        format!(
            "services --platform http://127.0.0.1:1/?token={}",
            secret("a platform with a token")
        ),
        format!(
            "services --platform http://127.0.0.1:1 --token {}",
            secret("a token")
        ),
        format!("services --token={}", secret("a wrong token")),
        format!("services --password={}", secret("an unknown flag")),
        format!("up --token {}", secret("a token that is refused")),
        format!(
            "up -c GATEWAY --registry ieum://:{}@127.0.0.1:1",
            secret("a registry with a token")
        ),
        format!(
            "up -c GATEWAY --registry vault://a:{}@127.0.0.1:1",
            secret("a registry that is none")
        ),
        format!(
            "health http://user:{}@127.0.0.1:1",
            secret("a process with a user")
        ),
        format!(
            "up --token={}",
            secret("a token that is refused, with a sign")
        ),
    ];
    for line in lines {
        let line = line.replace("GATEWAY", "wrong.toml --roles gateway --listen 127.0.0.1:0");
        world.ieum(&line.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}
