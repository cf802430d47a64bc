//! Tokens: who is let in, and as whom.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ieum_base::{Clock, ManualClock, Timestamp};
use ieum_testkit::{Reply, Request, Stub, TempFolder};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{World, assert_problem, echo, gateway_with};

const SECRET: &str = "a secret of more than thirty-two bytes";
const NOW: i64 = 1_700_000_000;

struct Fixture {
    world: World,
    upstream: Stub,
    clock: ManualClock,
    _folder: TempFolder,
}

fn fixture(extra: &str) -> Fixture {
    let upstream = echo();
    let folder = TempFolder::new().expect("a folder");
    let secret = folder.path().join("secret");
    let mut file = std::fs::File::create(&secret).expect("a file");
    writeln!(file, "{SECRET}").expect("written");
    let clock = ManualClock::starting_at(Timestamp::from_micros(NOW * 1_000_000));
    let settings = format!(
        r#"
        [gateway.jwt]
        {extra}
        keys = [{{ kid = "k1", algorithm = "HS256", secret-file = "{}" }}]
        [[gateway.routes]]
        name = "mine"
        path = "/mine"
        auth = "jwt"
        url = "http://{url}"
        [[gateway.routes]]
        name = "admin"
        path = "/admin"
        auth = "jwt"
        roles = ["admin", "owner"]
        url = "http://{url}"
        [[gateway.routes]]
        name = "open"
        path = "/open"
        auth = "none"
        url = "http://{url}"
        "#,
        secret.display(),
        url = upstream.address(),
    );
    let time: Clock = clock.clock();
    let world = gateway_with(&settings, |mut deps| {
        deps.clock = time;
        deps
    });
    Fixture {
        world,
        upstream,
        clock,
        _folder: folder,
    }
}

fn claims() -> Value {
    json!({ "userId": "u-1", "roles": ["customer", "owner"], "exp": NOW + 60 })
}

fn sign(claims: &Value) -> String {
    sign_with(claims, Some("k1"), SECRET)
}

fn sign_with(claims: &Value, kid: Option<&str>, secret: &str) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = kid.map(str::to_owned);
    encode(
        &header,
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .expect("signed")
}

impl Fixture {
    fn get(&self, path: &str, token: &str) -> Reply {
        self.world.send(&Request::new("GET", path).bearer(token))
    }

    #[track_caller]
    fn refuses(&self, token: &str) {
        let reply = self.get("/mine", token);
        assert_problem(&reply, 401, "Unauthorized", "IEUM-1021");
        assert_eq!(
            reply.get("www-authenticate"),
            Some("Bearer error=\"invalid_token\"")
        );
        assert_eq!(self.upstream.requests().len(), 0);
    }
}

#[test]
fn a_good_token_goes_inside_as_headers() {
    let fixture = fixture("");
    let request = Request::new("GET", "/mine")
        .bearer(&sign(&claims()))
        .header("x-user-id", "forged")
        .header("user_id", "forged")
        .header("connection", "x-user-id, user-id, x-user-roles");
    let seen = fixture.world.send(&request).expect(200).expect("JSON");
    assert_eq!(seen["headers"]["x-user-id"], "u-1");
    assert_eq!(seen["headers"]["user-id"], "u-1");
    assert_eq!(seen["headers"]["x-user-roles"], "customer,owner");
    assert_eq!(seen["headers"].get("user_id"), None);
}

#[test]
fn a_request_without_a_token_reaches_no_service() {
    let fixture = fixture("");
    for request in [
        Request::new("GET", "/mine"),
        Request::new("POST", "/mine/orders").json(&json!({ "items": [] })),
        Request::new("GET", "/admin").header("x-user-roles", "admin"),
    ] {
        assert_problem(
            &fixture.world.send(&request),
            401,
            "Unauthorized",
            "IEUM-1020",
        );
    }
    assert_eq!(fixture.upstream.requests().len(), 0);
}

#[test]
fn without_a_token_there_is_a_challenge() {
    let fixture = fixture("");
    let reply = fixture.world.get("/mine");
    assert_problem(&reply, 401, "Unauthorized", "IEUM-1020");
    assert_eq!(reply.get("www-authenticate"), Some("Bearer"));
    let basic = Request::new("GET", "/mine").header("authorization", "Basic eDp5");
    assert_problem(
        &fixture.world.send(&basic),
        401,
        "Unauthorized",
        "IEUM-1020",
    );
}

#[test]
fn tokens_that_prove_nothing_are_refused() {
    let fixture = fixture("");
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let none = format!(
        "{}.{}.",
        part(&json!({"alg":"none","kid":"k1"})),
        part(&claims())
    );
    fixture.refuses(&none);
    let odd = format!(
        "{}.{}.x",
        part(&json!({"alg":"nOnE","kid":"k1"})),
        part(&claims())
    );
    fixture.refuses(&odd);
    fixture.refuses(&sign_with(
        &claims(),
        Some("k1"),
        "another secret of thirty-two bytes",
    ));
    fixture.refuses(&sign_with(&claims(), Some("k2"), SECRET));
    fixture.refuses("garbage");
    let good = sign(&claims());
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let forged = part(&json!({"userId":"admin","roles":["admin"],"exp":NOW + 60}));
    let header = head.split('.').next().expect("a header");
    fixture.refuses(&format!("{header}.{forged}.{signature}"));
}

#[test]
fn another_algorithm_than_the_keys_is_refused() {
    let fixture = fixture("");
    let mut header = Header::new(Algorithm::HS512);
    header.kid = Some("k1".to_owned());
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    fixture.refuses(&encode(&header, &claims(), &key).expect("signed"));
}

#[test]
fn times_are_always_checked() {
    let fixture = fixture("leeway = '5s'");
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        sign(&claims)
    };
    fixture.refuses(&with("exp", json!(NOW - 6)));
    fixture.refuses(&with("exp", Value::Null));
    fixture.refuses(&with("exp", json!("tomorrow")));
    fixture.refuses(&with("nbf", json!(NOW + 6)));
    assert_eq!(
        fixture.get("/mine", &with("exp", json!(NOW - 4))).status,
        200
    );
    assert_eq!(
        fixture.get("/mine", &with("nbf", json!(NOW + 4))).status,
        200
    );
}

#[test]
fn a_remembered_token_expires_too() {
    let fixture = fixture("leeway = '0s'");
    let token = sign(&claims());
    assert_eq!(fixture.get("/mine", &token).status, 200);
    assert_eq!(fixture.get("/mine", &token).status, 200);
    fixture.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(fixture.get("/mine", &token).status, 401);
}

#[test]
fn issuer_and_audience_are_checked_where_they_are_configured() {
    let fixture = fixture("issuer = 'shop'\naudience = ['web', 'app']\nleeway = '0s'");
    fixture.refuses(&sign(&claims()));
    let with = |issuer: &str, audience: Value| {
        let mut claims = claims();
        claims["iss"] = json!(issuer);
        claims["aud"] = audience;
        sign(&claims)
    };
    fixture.refuses(&with("other", json!("web")));
    fixture.refuses(&with("shop", json!(["else"])));
    assert_eq!(
        fixture
            .get("/mine", &with("shop", json!(["else", "app"])))
            .status,
        200
    );
    assert_eq!(
        fixture.get("/mine", &with("shop", json!("web"))).status,
        200
    );
}

#[test]
fn a_token_must_name_its_user() {
    let fixture = fixture("");
    for user in [Value::Null, json!(""), json!({"id": 1}), json!("a\nb")] {
        let mut claims = claims();
        claims["userId"] = user;
        fixture.refuses(&sign(&claims));
    }
    let mut smuggled = claims();
    smuggled["roles"] = json!(["customer,admin"]);
    fixture.refuses(&sign(&smuggled));
}

#[test]
fn roles_decide_where_they_are_asked_for() {
    let fixture = fixture("");
    assert_eq!(fixture.get("/admin", &sign(&claims())).status, 200);
    let mut customer = claims();
    customer["roles"] = json!("customer");
    let reply = fixture.get("/admin", &sign(&customer));
    assert_problem(&reply, 403, "Forbidden", "IEUM-1022");
}

#[test]
fn an_open_route_gives_nobody_an_identity() {
    let fixture = fixture("");
    let seen = fixture
        .get("/open", &sign(&claims()))
        .expect(200)
        .expect("JSON");
    assert_eq!(seen["headers"].get("x-user-id"), None);
    assert_eq!(seen["headers"].get("user-id"), None);
}

#[test]
fn the_users_claim_and_its_headers_can_be_chosen() {
    let extra = "user-claim = 'sub'\nheaders = { sub = ['x-shop-user'], tier = ['x-shop-tier'] }";
    let fixture = fixture(extra);
    let token = sign(&json!({ "sub": 7, "tier": "gold", "exp": NOW + 60 }));
    let request = Request::new("GET", "/mine")
        .bearer(&token)
        .header("x_shop_user", "forged");
    let seen = fixture.world.send(&request).expect(200).expect("JSON");
    assert_eq!(seen["headers"]["x-shop-user"], "7");
    assert_eq!(seen["headers"]["x-shop-tier"], "gold");
    assert_eq!(seen["headers"].get("x_shop_user"), None);
}
