//! Instances of a service whose answers a test decides, and a client that calls them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use ieum_base::trace::{SpanData, SpanSink, Tracer};
use ieum_base::{Clock, HumanDuration, Stop, TaskKind, Tasks};
use ieum_client::{Client, Config, ServiceClient};
use ieum_discovery::{Instance, InstanceId, Resolver, balance, memory};
use ieum_http::{listener, server};
use tokio::sync::Notify;
use tower::service_fn;

/// What reaches an instance.
pub(crate) type Seen = Arc<Mutex<Vec<(Parts, Bytes)>>>;
type Answers = Arc<dyn Fn(usize) -> Response<Bytes> + Send + Sync>;

/// An instance of a service whose n-th answer the test decides.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Seen,
    /// Requests to `/hang` wait for it.
    pub(crate) gate: Arc<Notify>,
    pub(crate) entered: Arc<Notify>,
    _tasks: Tasks,
}

impl Stub {
    pub(crate) fn start(answer: impl Fn(usize) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (seen, gate, entered) = (Seen::default(), Arc::default(), Arc::default());
        let shared = (
            Arc::new(answer) as Answers,
            Arc::clone(&seen),
            Arc::<Notify>::clone(&gate),
            Arc::<Notify>::clone(&entered),
        );
        let service = service_fn(move |request: Request<Incoming>| {
            let (answer, seen, gate, entered) = shared.clone();
            async move {
                let (parts, body) = request.into_parts();

                let body = body.collect().await.expect("whole").to_bytes();
                let hangs = parts.uri.path() == "/hang";
                let nth = {
                    let mut seen = seen.lock().expect("not poisoned");
                    seen.push((parts, body));
                    seen.len() - 1
                };
                entered.notify_one();
                if hangs {
                    gate.notified().await;
                }
                Ok::<_, Infallible>(answer(nth).map(Full::new))
            }
        });
        let tasks = Tasks::new(Stop::new());
        let connections = tasks.clone();
        tasks.spawn(TaskKind::Background, "stub", async move {
            let (config, stop) = (server::Config::default(), connections.stop().clone());
            server::serve(listener, service, config, stop, &connections).await;
        });
        Self {
            address,
            seen,
            gate,
            entered,
            _tasks: tasks,
        }
    }

    pub(crate) fn answering(status: StatusCode) -> Self {
        Self::start(move |_| answer(status, ""))
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().expect("not poisoned").len()
    }

    pub(crate) fn header(&self, nth: usize, name: &str) -> Option<String> {
        let seen = self.seen.lock().expect("not poisoned");
        let value = seen[nth].0.headers.get(name)?;
        Some(value.to_str().expect("text").to_owned())
    }
}

pub(crate) fn answer(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let answer = Response::builder().status(status).body(Bytes::from(body));
    answer.expect("valid")
}

/// An address on which nobody listens.
pub(crate) fn dead_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

pub(crate) fn instance(number: usize, address: SocketAddr) -> Instance {
    Instance {
        id: InstanceId(format!("users-{number}")),
        service: "users".into(),
        address: address.ip().to_string(),
        port: address.port(),
        tags: Vec::new(),
        meta: BTreeMap::new(),
        weight: 1,
    }
}

#[derive(Clone, Default)]
pub(crate) struct Spans(pub(crate) Arc<Mutex<Vec<SpanData>>>);

impl SpanSink for Spans {
    fn record(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }
}

/// A client, taking the endpoints in turn.
pub(crate) struct Setup {
    pub(crate) client: Client,
    pub(crate) registry: Arc<memory::Registry>,
    pub(crate) spans: Spans,
}

pub(crate) fn set_up(change: impl FnOnce(&mut Config)) -> Setup {
    let registry = Arc::new(memory::Registry::new());
    let tasks = Tasks::new(Stop::new());
    let spans = Spans::default();
    let mut config = Config {
        balance: balance::Policy::RoundRobin,
        ..Config::default()
    };
    config.timeout.request = HumanDuration::from_secs(5);
    config.retry.backoff = HumanDuration::from_millis(1);
    change(&mut config);
    let resolver = Resolver::new(registry.clone(), tasks.clone());
    let tracer = Tracer::new("orders", Arc::new(spans.clone()), Clock::system());
    Setup {
        client: Client::new(resolver, config, tracer, tasks),
        registry,
        spans,
    }
}

pub(crate) fn users(setup: &Setup, addresses: &[SocketAddr]) -> ServiceClient {
    let instances = addresses.iter().enumerate();
    let instances = instances.map(|(number, &address)| instance(number, address));
    setup.client.fixed("users", instances.collect())
}
