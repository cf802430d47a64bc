//! A gateway, stub upstreams, and a client that sends exactly the bytes it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Stop, Tasks};
use ieum_discovery::{Instance, InstanceId, Registration, Registry, Resolver, memory};
use ieum_gateway::{Config, Deps, Gateway, Handle};
use ieum_testkit::{Reply, Request, Stub, eventually};
use serde_json::json;
use tokio::runtime::Runtime;

/// A running gateway with a registry of its own.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) handle: Handle,
    registry: Arc<memory::Registry>,
    resolver: Resolver,
}

/// Starts a gateway with the settings of `[gateway]` and its tables.
pub(crate) fn gateway(toml: &str) -> World {
    gateway_with(toml, |deps| deps)
}

pub(crate) fn gateway_with(toml: &str, adapt: impl FnOnce(Deps) -> Deps) -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let registry = Arc::new(memory::Registry::new());
    let resolver = {
        let _entered = runtime.enter();
        Resolver::new(
            Arc::clone(&registry) as Arc<dyn Registry>,
            Tasks::new(Stop::new()),
        )
    };
    let deps = adapt(Deps::new(resolver.clone()));
    let handle = Gateway::start(config(toml), deps).expect("a gateway");
    World {
        runtime,
        handle,
        registry,
        resolver,
    }
}

/// Reads settings as a configuration file has them, on a free port and one thread.
pub(crate) fn config(toml: &str) -> Config {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        gateway: Config,
    }
    let file: File = toml::from_str(toml).expect("valid settings");
    let mut config = file.gateway;
    config.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.threads = config.threads.or(Some(1));
    config
}

impl World {
    pub(crate) fn address(&self) -> String {
        self.handle.addr().to_string()
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.send(&Request::new("GET", target))
    }

    pub(crate) fn send(&self, request: &Request) -> Reply {
        request.send(&self.address()).expect("an answer")
    }

    /// Registers an instance of `service` at `address`, and waits until requests reach it.
    pub(crate) fn register(&self, service: &str, address: &str) {
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let instance = Instance {
            id: InstanceId(format!("{service}-{port}")),
            service: service.to_owned(),
            address: host.to_owned(),
            port: port.parse().expect("a port"),
            tags: Vec::new(),
            meta: std::collections::BTreeMap::new(),
            weight: 1,
        };
        let registration = Registration {
            instance,
            checks: Vec::new(),
        };
        self.runtime
            .block_on(self.registry.register(registration))
            .expect("registered");
        wait_for("the instance is known", || {
            let endpoints = self.resolver.service(service).endpoints();
            endpoints.iter().any(|e| e.authority().as_str() == address)
        });
    }

    /// Sends bytes as they are and reads until the gateway closes the connection.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.handle.addr()).expect("connected");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("a timeout");
        stream.write_all(bytes).expect("sent");
        let mut answer = Vec::new();
        // A reset after the answer is how a closed connection with unread bytes ends.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The value of a metric line that begins with `name`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.handle.metrics_text();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_default()
    }
}

/// A stub that answers 200 with what it saw: method, target and headers.
pub(crate) fn echo() -> Stub {
    Stub::start(|request| {
        let headers: serde_json::Map<_, _> = request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        Reply::json_of(
            200,
            &json!({
                "method": request.method, "target": request.target,
                "headers": headers, "body": body,
            }),
        )
    })
    .expect("a stub")
}

/// A stub that always answers this status, with its name as the body.
pub(crate) fn always(status: u16, name: &'static str) -> Stub {
    Stub::start(move |_| Reply {
        status,
        headers: Vec::new(),
        body: name.as_bytes().to_vec(),
    })
    .expect("a stub")
}

/// A problem document with this status, title and code.
#[track_caller]
pub(crate) fn assert_problem(reply: &Reply, status: u16, title: &str, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.get("content-type"), Some("application/problem+json"));
    let body = reply.json().expect("JSON");
    assert_eq!(body["title"], title, "{body}");
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status, "{body}");
}

/// Waits up to ten seconds for something to become true.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Duration::from_secs(10);
    eventually(what, limit, || condition().then_some(())).expect("it becomes true");
}

/// The address of a port that nobody listens on.
pub(crate) fn nobody() -> String {
    format!("127.0.0.1:{}", ieum_testkit::free_port().expect("a port"))
}
