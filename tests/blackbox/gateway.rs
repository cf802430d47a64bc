//! The gateway as a client, and a service behind it, see it.

use anyhow::Result;
use ieum_testkit::{Reply, Request, Stub};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::platform::{Platform, address};

const KEY: &str = "a-key-of-at-least-thirty-two-bytes!!";

/// Routes to a stub at `users`, with a key for HS256.
fn routes(users: &str) -> String {
    format!(
        r#"
[gateway.jwt]
keys = [{{ kid = "test", algorithm = "HS256", secret-file = "jwt.key" }}]

[[gateway.routes]]
name = "users"
path = "/api/v1/users"
url = "http://{users}"
auth = "jwt"

[[gateway.routes]]
name = "admin"
path = "/api/v1/admin"
url = "http://{users}"
auth = "jwt"
roles = ["admin"]

[[gateway.routes]]
name = "open"
path = "/open"
url = "http://{users}"
auth = "none"

[[gateway.routes]]
name = "limited"
path = "/limited"
url = "http://{users}"
auth = "none"
rate-limit = {{ requests = 3, per = "1h", by = "ip" }}

[[gateway.routes]]
name = "policyless"
path = "/policyless"
url = "http://{users}"
"#
    )
}

/// A platform in front of a stub that answers what it was asked.
fn gateway() -> Result<(Platform, Stub)> {
    let users = Stub::start(|request| {
        let headers: serde_json::Map<String, Value> = request
            .headers
            .iter()
            .map(|(k, v)| (k.clone(), Value::from(v.as_str())))
            .collect();
        Reply::json_of(
            200,
            &json!({ "target": request.target, "headers": headers }),
        )
    })?;
    let platform = Platform::start_with(&routes(&users.address()), &[("jwt.key", KEY)])?;
    Ok((platform, users))
}

fn token(claims: &Value, kid: &str, key: &str) -> Result<String> {
    let header = Header {
        kid: Some(kid.to_owned()),
        ..Header::default()
    };
    Ok(encode(
        &header,
        claims,
        &EncodingKey::from_secret(key.as_bytes()),
    )?)
}

fn token_for(user: &str, roles: &[&str]) -> Result<String> {
    token(
        &json!({ "userId": user, "roles": roles, "exp": 4_102_444_800_i64 }),
        "test",
        KEY,
    )
}

#[track_caller]
fn assert_problem(reply: &Reply, status: u16, title: &str) -> Result<()> {
    let body = reply.expect(status)?;
    assert_eq!(reply.get("content-type"), Some("application/problem+json"));
    assert_eq!(body["title"], title, "{body}");
    let code = body["code"].as_str().unwrap_or_default();
    assert!(code.starts_with("IEUM-"), "{body}");
    Ok(())
}

#[test]
fn a_token_is_asked_for_and_its_claims_go_inside() -> Result<()> {
    let (platform, _users) = gateway()?;
    let list = Request::new("GET", "/api/v1/users/u-1?x=1");
    let refused = platform.send(&list)?;
    assert_problem(&refused, 401, "Unauthorized")?;
    assert!(
        refused
            .get("www-authenticate")
            .is_some_and(|value| value.starts_with("Bearer"))
    );
    let reply = platform
        .send(&list.bearer(&token_for("u-1", &["customer"])?))?
        .expect(200)?;
    assert_eq!(reply["target"], "/api/v1/users/u-1?x=1");
    assert_eq!(reply["headers"]["x-user-id"], "u-1");
    assert_eq!(reply["headers"]["user-id"], "u-1");
    Ok(())
}

#[test]
fn a_forged_token_is_refused() -> Result<()> {
    let (platform, _users) = gateway()?;
    let claims = json!({ "userId": "u-1", "exp": 4_102_444_800_i64 });
    let expired = json!({ "userId": "u-1", "exp": 1_000_000_000 });
    let none = "eyJhbGciOiJub25lIiwia2lkIjoidGVzdCJ9.eyJ1c2VySWQiOiJ1LTEiLCJleHAiOjQxMDI0NDQ4MDB9.";
    let demanding = Header {
        kid: Some("test".to_owned()),
        crit: Some(vec!["b64".to_owned()]),
        ..Header::default()
    };
    let demanding = encode(
        &demanding,
        &claims,
        &EncodingKey::from_secret(KEY.as_bytes()),
    )?;
    let forged = [
        demanding,
        token(&claims, "test", "another-key-of-at-least-32-bytes!!!!")?,
        token(&claims, "unknown", KEY)?,
        token(&expired, "test", KEY)?,
        token(&json!({ "userId": "u-1" }), "test", KEY)?,
        none.to_owned(),
        "not.a.token".to_owned(),
    ];
    for token in forged {
        let reply = platform.send(&Request::new("GET", "/api/v1/users").bearer(&token))?;
        assert_problem(&reply, 401, "Unauthorized")?;
    }
    Ok(())
}

#[test]
fn a_role_is_asked_for() -> Result<()> {
    let (platform, _users) = gateway()?;
    let request = Request::new("GET", "/api/v1/admin");
    let customer = request.clone().bearer(&token_for("u-1", &["customer"])?);
    assert_problem(&platform.send(&customer)?, 403, "Forbidden")?;
    platform
        .send(&request.bearer(&token_for("u-2", &["admin"])?))?
        .expect(200)?;
    Ok(())
}

#[test]
fn a_route_without_a_policy_is_refused() -> Result<()> {
    let (platform, users) = gateway()?;
    let reply = platform.send(&Request::new("GET", "/policyless"))?;
    assert_problem(&reply, 403, "Forbidden")?;
    assert_eq!(users.requests().len(), 0);
    Ok(())
}

#[test]
fn identity_from_outside_never_arrives() -> Result<()> {
    let (platform, _users) = gateway()?;
    let mut request = Request::new("GET", "/open");
    let forged = [
        "x-user-id",
        "x_user_id",
        "user-id",
        "User_Id",
        "X-User-Roles",
        "x-tenant-id",
        "x-forwarded-user",
        "x-original-url",
        "X-Client-Cert",
        "x_forwarded_user",
        "x-real-ip",
        "x-forwarded-port",
        "userid",
        "x-user.id",
    ];
    for name in forged {
        request = request.header(name, "forged");
    }
    // `Connection` must not be able to remove what the gateway adds, nor let a header through.
    request = request.header("connection", "x-request-id, traceparent");
    let seen = platform.send(&request)?.expect(200)?;
    let text = seen["headers"].to_string();
    assert!(!text.contains("forged"), "{text}");
    assert!(seen["headers"]["x-request-id"].is_string(), "{text}");
    assert!(seen["headers"]["traceparent"].is_string(), "{text}");
    Ok(())
}

#[test]
fn a_prefix_ends_at_a_segment() -> Result<()> {
    let (platform, users) = gateway()?;
    let token = token_for("u-1", &[])?;
    for path in [
        "/api/v1/users-evil",
        "/api/v1/usersevil",
        "/api/v1/user",
        "/api/v1",
    ] {
        let reply = platform.send(&Request::new("GET", path).bearer(&token))?;
        assert_problem(&reply, 404, "Service not found")?;
    }
    for path in [
        "/api/v1/users/%2e%2e/admin",
        "/api/v1/users/..%2fadmin",
        "/api/v1/users/%00",
    ] {
        let reply = platform.send(&Request::new("GET", path).bearer(&token))?;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
    }
    assert_eq!(users.requests().len(), 0);
    Ok(())
}

#[test]
fn a_limit_answers_429_with_the_time_to_wait() -> Result<()> {
    let (platform, users) = gateway()?;
    let mut last = Reply::default();
    for _ in 0..12 {
        last = platform.send(&Request::new("GET", "/limited"))?;
    }
    assert_problem(&last, 429, "Too Many Requests")?;
    let wait: u64 = last.get("retry-after").unwrap_or_default().parse()?;
    assert!((1..=3_600).contains(&wait), "{wait}");
    assert!(users.requests().len() < 12);
    Ok(())
}

#[test]
fn nobody_there_is_503_and_a_declared_fallback_answers() -> Result<()> {
    let dead = address()?;
    let routes = format!(
        r#"
[[gateway.routes]]
name = "gone"
path = "/gone"
service = "nobody"
auth = "none"

[[gateway.routes]]
name = "fallback"
path = "/fallback"
url = "http://{dead}"
auth = "none"
fallback = {{ status = 200, json = {{ status = "FALLBACK", message = "일시적으로 서비스를 이용할 수 없습니다." }} }}
"#
    );
    let platform = Platform::start(&routes)?;
    let gone = platform.send(&Request::new("GET", "/gone"))?;
    assert_problem(&gone, 503, "Service unavailable")?;
    for _ in 0..10 {
        let reply = platform
            .send(&Request::new("GET", "/fallback"))?
            .expect(200)?;
        assert_eq!(reply["status"], "FALLBACK");
    }
    let metrics = String::from_utf8(Request::new("GET", "/metrics").send(&platform.api)?.body)?;
    assert!(metrics.contains("api_requests_total{"), "{metrics}");
    Ok(())
}

#[test]
fn a_dead_instance_is_left_alone_while_another_answers() -> Result<()> {
    let alive = Stub::start(|_| Reply::json_of(200, &json!({ "alive": true })))?;
    let routes = r#"
[[gateway.routes]]
name = "users"
path = "/users"
service = "users"
auth = "none"
"#;
    let platform = Platform::start(routes)?;
    platform.register("users", "users-1", &alive.address())?;
    platform.register("users", "users-2", &address()?)?;
    let statuses: Vec<u16> = (0..60)
        .map(|_| {
            platform
                .send(&Request::new("GET", "/users"))
                .map_or(0, |reply| reply.status)
        })
        .collect();
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert!(
        failed <= 1,
        "a dead instance is retried elsewhere and then ejected: {statuses:?}"
    );
    Ok(())
}
