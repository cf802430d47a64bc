//! A platform that logs all it can, with a service behind it, and everything that they write.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use ieum_testkit::{Process, Reply, Request, Stub, TempFolder, binary, eventually};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::canary::{Canaries, Written};
use crate::platform::{SOON, address};

/// The world in which secrets are put.
pub(super) struct World {
    pub(super) gateway: String,
    pub(super) api: String,
    pub(super) token: String,
    pub(super) canaries: Canaries,
    /// The refusals that were answered.
    pub(super) answers: Vec<Written>,
    pub(super) folder: TempFolder,
    pub(super) process: Process,
    pub(super) upstream: Stub,
    jwt_key: String,
}

impl World {
    /// Starts the platform with log lines in `format`, at the level debug.
    pub(super) fn start(format: &str) -> Result<Self> {
        let mut canaries = Canaries::default();
        let leaked = canaries.secret("the body of an upstream's error");
        let cookie = canaries.secret("the cookie of an upstream");
        let header = canaries.secret("a malformed header of an upstream");
        let upstream = Stub::start(move |request| answer(request, &leaked, &cookie, &header))?;
        let folder = TempFolder::new()?;
        let token = canaries.secret("the platform's token in a file");
        let jwt_key = format!("{0}{0}", canaries.secret("a key for tokens in a file"));
        let env_key = format!(
            "{0}{0}",
            canaries.secret("a key for tokens in the environment")
        );
        let otlp = canaries.secret("a header of the telemetry's receiver");
        let endpoint = canaries.secret("the credentials of the telemetry's receiver");
        let parameter = canaries.secret("a parameter of the telemetry's receiver");
        // Nobody listens there: what cannot be sent is what is logged.
        let endpoint = format!("http://user:{endpoint}@127.0.0.1:9/?token={parameter}");
        folder.write("api.token", &token)?;
        folder.write("jwt.key", &jwt_key)?;
        let (gateway, api) = (address()?, address()?);
        let text = configuration(&gateway, &api, &upstream.address(), format);
        folder.write("ieum.toml", text)?;
        let mut command = Command::new(binary("ieum")?);
        command
            .args(["up", "-c", "ieum.toml"])
            .current_dir(folder.path())
            .env("RUST_LOG", "debug")
            .env("SECRETS_JWT_KEY", env_key)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization=Bearer {otlp}"),
            );
        let process = Process::start(&mut command)?;
        let mut world = Self {
            gateway,
            api,
            token,
            canaries,
            answers: Vec::new(),
            folder,
            process,
            upstream,
            jwt_key,
        };
        world.wait_until_ready()?;
        Ok(world)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for address in [&self.api, &self.gateway] {
            let process = &mut self.process;
            eventually("the platform answers", SOON, || {
                let answered = Request::new("GET", "/health").send(address).is_ok();
                (answered || process.has_ended()).then_some(())
            })?;
            anyhow::ensure!(!process.has_ended(), "{}", process.output());
        }
        Ok(())
    }

    /// A token that the gateway accepts; its signature is a canary.
    pub(super) fn session(&mut self, place: &str, user: &str) -> Result<String> {
        let claims = json!({ "userId": user, "roles": [], "exp": 4_102_444_800_i64 });
        let header = Header {
            kid: Some("file".to_owned()),
            ..Header::default()
        };
        let token = encode(
            &header,
            &claims,
            &EncodingKey::from_secret(self.jwt_key.as_bytes()),
        )?;
        let signature = token.rsplit('.').next().context("a signature")?;
        self.canaries.given(place, signature);
        Ok(token)
    }

    /// Sends `request` through the gateway.
    pub(super) fn through(&mut self, request: &Request) -> Result<Reply> {
        let gateway = self.gateway.clone();
        self.ask(&gateway, request)
    }

    /// Sends `request` to the platform API, with its token.
    pub(super) fn api(&mut self, request: Request) -> Result<Reply> {
        let (api, token) = (self.api.clone(), self.token.clone());
        self.ask(&api, &request.bearer(&token))
    }

    /// Sends `request` to `address`; what is refused by ieum is kept for the search.
    pub(super) fn ask(&mut self, address: &str, request: &Request) -> Result<Reply> {
        let reply = request.send(address)?;
        let ours = reply.get("content-type") != Some("text/x-upstream");
        if reply.status >= 400 && ours {
            let by = format!("the answer to {} {}", request.method, request.target);
            self.answers.push(Written::new(
                by,
                format!("{:?} {}", reply.headers, reply.text()),
            ));
        }
        Ok(reply)
    }

    /// Sends bytes that no client library would, and keeps the answer.
    pub(super) fn raw(&mut self, address: &str, bytes: &str) -> Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(bytes.as_bytes())?;
        let mut answer = Vec::new();
        // The other side may break the connection after its answer.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        // What succeeded is the upstream's.
        if !answer.starts_with("HTTP/1.1 200") {
            let first = bytes.lines().next().unwrap_or_default();
            let by = format!("the answer to {first}");
            self.answers.push(Written::new(by, &answer));
        }
        Ok(answer)
    }

    /// Runs `ieum` with the platform's token, keeps what it prints and answers it.
    pub(super) fn ieum(&mut self, args: &[&str]) -> Result<String> {
        let output = Command::new(binary("ieum")?)
            .args(args)
            .current_dir(self.folder.path())
            .env("RUST_LOG", "debug")
            .env("IEUM_TOKEN", &self.token)
            .env("IEUM_PLATFORM", format!("http://{}", self.api))
            .env("SECRETS_JWT_KEY", "only-checked-here-and-never-used-again")
            .output()?;
        let printed = [&output.stdout[..], &output.stderr].concat();
        let by = format!("the output of ieum {}", args[0]);
        // What lists events or sagas shows what was stored.
        let written = match args[0] {
            "events" | "sagas" => Written::data(by, &printed),
            _ => Written::new(by, &printed),
        };
        self.answers.push(written);
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    /// Everything that was written, by `ieum` and about what passed through it.
    pub(super) fn written(&mut self) -> Result<Vec<Written>> {
        let mut all = self.telemetry()?;
        for command in ["services", "sagas", "events --all", "check", "schema"] {
            self.ieum(&command.split(' ').collect::<Vec<_>>())?;
        }
        self.process.terminate()?;
        self.process.wait(SOON)?;
        all.push(Written::new("the log", self.process.output()));
        let access_log = std::fs::read(self.folder.path().join("access.log"))?;
        all.push(Written::new("the access log", access_log));
        all.extend(Written::files(&self.folder.path().join("data"))?);
        all.append(&mut self.answers);
        Ok(all)
    }

    /// What the API shows: spans, metrics, health, descriptions, lists.
    fn telemetry(&mut self) -> Result<Vec<Written>> {
        let mut all = Vec::new();
        let traces = self
            .api(Request::new("GET", "/api/v1/traces?limit=1000"))?
            .expect(200)?;
        for summary in traces["traces"].as_array().context("traces")? {
            let id = summary["traceId"]
                .as_str()
                .or(summary["id"].as_str())
                .context("an id")?;
            let trace = self.api(Request::new("GET", &format!("/api/v1/traces/{id}")))?;
            all.push(Written::new(format!("the trace {id}"), &trace.body));
            if summary == &traces["traces"][0] {
                self.ieum(&["trace", id])?;
            }
        }
        let shown = [
            "/metrics",
            "/health",
            "/api/openapi.json",
            "/api/v1/services",
            "/api/v1/routes",
            "/api/v1/topics",
            "/api/v1/groups",
            "/api/v1/dead-letters",
            "/v1/agent/services",
            "/v1/agent/checks",
            "/v1/agent/self",
            "/v1/health/service/canary",
            "/v1/catalog/services",
        ];
        for target in shown {
            let reply = self.api(Request::new("GET", target))?;
            anyhow::ensure!(reply.status == 200, "{target}: {}", reply.text());
            all.push(Written::new(target, &reply.body));
        }
        all.push(Written::new("all traces", traces.to_string()));
        Ok(all)
    }
}

/// The service behind the gateway: fails below `/…/error`, breaks HTTP below `/…/garbage`.
fn answer(request: &Request, leaked: &str, cookie: &str, header: &str) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    if path.ends_with("/error") {
        let body = format!("panic: cannot connect to postgres://app:{leaked}@db/shop");
        let plain = ("content-type".to_owned(), "text/x-upstream".to_owned());
        return Reply {
            status: 500,
            headers: vec![plain],
            body: body.into_bytes(),
        };
    }
    let mut reply = Reply::json_of(200, &json!({ "ok": true }));
    match path.rsplit('/').next() {
        Some("garbage") => reply
            .headers
            .push(("bad header".to_owned(), header.to_owned())),
        _ => reply
            .headers
            .push(("set-cookie".to_owned(), format!("session={cookie}"))),
    }
    reply
}

fn configuration(gateway: &str, api: &str, upstream: &str, format: &str) -> String {
    format!(
        r#"
[platform]
listen = "{api}"
data-dir = "data"
linger = "0s"
token-file = "api.token"

[telemetry.log]
format = "{format}"
level = "debug"

[gateway]
listen = "{gateway}"
access-log = "access.log"

[gateway.jwt]
keys = [
  {{ kid = "file", algorithm = "HS256", secret-file = "jwt.key" }},
  {{ kid = "env", algorithm = "HS256", secret-env = "SECRETS_JWT_KEY" }},
]

[[gateway.routes]]
name = "control-of-the-metrics"
path = "/open"
url = "http://{upstream}"
auth = "none"
idempotent = true
upgrade = true

[[gateway.routes]]
name = "users"
path = "/users"
url = "http://{upstream}"
auth = "jwt"

[[gateway.routes]]
name = "gone"
path = "/gone"
service = "nobody"
auth = "none"
"#
    )
}
