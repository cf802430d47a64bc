//! The client, and its view of one service.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use ieum_base::Tasks;
use ieum_base::trace::Tracer;
use ieum_discovery::{Instance, Resolver, Service};
use ieum_http::{HttpClient, client, connector};

use crate::call::Call;
use crate::dispatch::Dispatch;
use crate::graphql::{Operation, PATH};
use crate::request::RequestBuilder;
use crate::stack::Protections;
use crate::{Config, Response, Result};

/// Calls services by their names. Clones share connections, budgets and bulkheads.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    resolver: Resolver,
    http: HttpClient,
    tracer: Tracer,
    config: Config,
    services: Mutex<HashMap<String, ServiceClient>>,
}

/// Calls one service. Clones, and all that one client made for the same name, share its retry
/// budget and its bulkhead; the health of endpoints is shared by the whole process.
#[derive(Clone)]
pub struct ServiceClient(Arc<Shared>);

struct Shared {
    service: Arc<Service>,
    protections: Protections,
    http: HttpClient,
    tracer: Tracer,
    config: Config,
}

impl Client {
    /// A client that finds services by `resolver`. Its connections are tasks of `tasks`.
    pub fn new(resolver: Resolver, config: Config, tracer: Tracer, tasks: Tasks) -> Self {
        let http = HttpClient::with_config(
            client::Config {
                connector: connector::Config {
                    connect_timeout: config.timeout.connect.0,
                    ..connector::Config::default()
                },
                ..client::Config::default()
            },
            tasks,
        );
        Self::with_http(resolver, config, tracer, http)
    }

    /// A client with an HTTP client that others share.
    pub fn with_http(resolver: Resolver, config: Config, tracer: Tracer, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            resolver,
            http,
            tracer,
            config,
            services: Mutex::default(),
        }))
    }

    /// The service called `name`. The first use begins to watch the registry for it; a call that
    /// comes before the registry's first answer waits for it.
    pub fn service(&self, name: &str) -> ServiceClient {
        let mut services = self
            .0
            .services
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = services.get(name) {
            return known.clone();
        }
        if services.len() >= MOST_SERVICES {
            services.retain(|_, service| Arc::strong_count(&service.0) > 1);
        }
        let made = self.make(self.0.resolver.service(name));
        services.insert(name.to_owned(), made.clone());
        made
    }

    /// An operation of GraphQL for the service called `name`, see [`ServiceClient::graphql`].
    pub fn graphql(&self, name: &str, document: &str) -> Operation<'static> {
        graphql(Cow::Owned(self.service(name)), document)
    }

    /// A service at addresses that are given, beside the registry.
    pub fn fixed(&self, name: &str, instances: Vec<Instance>) -> ServiceClient {
        self.make(self.0.resolver.fixed(name, instances))
    }

    /// The HTTP client behind it, for calls to addresses.
    pub fn http(&self) -> &HttpClient {
        &self.0.http
    }

    fn make(&self, service: Arc<Service>) -> ServiceClient {
        ServiceClient(Arc::new(Shared {
            service,
            protections: Protections::new(self.0.config),
            http: self.0.http.clone(),
            tracer: self.0.tracer.clone(),
            config: self.0.config,
        }))
    }
}

impl ServiceClient {
    /// The service's name.
    pub fn name(&self) -> &str {
        self.0.service.name()
    }

    /// A `GET`; `path` begins with `/`.
    pub fn get(&self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::GET, path)
    }

    /// A `POST`. It is retried only with an [`RequestBuilder::idempotency_key`], or if it never left.
    pub fn post(&self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::POST, path)
    }

    /// A `PUT`.
    pub fn put(&self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::PUT, path)
    }

    /// A `PATCH`; retried like a `POST`.
    pub fn patch(&self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::PATCH, path)
    }

    /// A `DELETE`.
    pub fn delete(&self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::DELETE, path)
    }

    /// A request with any method.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder<'_> {
        RequestBuilder::new(Cow::Borrowed(self), method, path)
    }

    /// An operation of GraphQL, sent to `/graphql` unless it is told otherwise. A document of queries
    /// alone is retried like a `GET`, one with a mutation like a `POST`.
    pub fn graphql(&self, document: &str) -> Operation<'_> {
        graphql(Cow::Borrowed(self), document)
    }

    /// A channel for calls by gRPC.
    #[cfg(feature = "grpc")]
    pub fn grpc(&self) -> crate::GrpcChannel {
        crate::GrpcChannel::new(self.clone())
    }

    /// The endpoints behind it.
    pub fn discovered(&self) -> &Arc<Service> {
        &self.0.service
    }

    #[cfg(feature = "grpc")]
    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    #[cfg(feature = "grpc")]
    pub(crate) fn protections(&self) -> &Protections {
        &self.0.protections
    }

    #[cfg(feature = "grpc")]
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.0.tracer
    }

    #[cfg(feature = "grpc")]
    pub(crate) fn http(&self) -> &HttpClient {
        &self.0.http
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.0.config.timeout.request.0
    }

    pub(crate) async fn execute(&self, call: Call, timeout: Duration) -> Result<Response> {
        let config = &self.0.config;
        let dispatch = Dispatch {
            service: Arc::clone(&self.0.service),
            http: self.0.http.clone(),
            tracer: self.0.tracer.clone(),
            policy: config.balance,
            per_try: timeout / config.retry.retries.saturating_add(1),
            retries: config.retry.retries,
            max_answer: usize::try_from(config.max_answer.0).unwrap_or(usize::MAX),
        };
        let attempts = call.clone();
        let answer = self.0.protections.call(call, dispatch).await?;
        Ok(Response {
            service: self.name().to_owned(),
            inner: answer.response,
            attempts: u32::try_from(attempts.tried().len()).unwrap_or(u32::MAX),
        })
    }
}

fn graphql<'a>(service: Cow<'a, ServiceClient>, document: &str) -> Operation<'a> {
    let request = RequestBuilder::new(service, Method::POST, PATH);
    Operation::new(request, document)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceClient")
            .field(&self.0.service)
            .finish()
    }
}

/// Above this, services that nobody holds are forgotten.
const MOST_SERVICES: usize = 1024;
