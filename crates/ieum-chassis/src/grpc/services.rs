//! The gRPC services of one process: their servers, and the descriptors that say what they serve.

use std::convert::Infallible;
use std::fmt;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use ieum_base::{ByteSize, Clock};
use prost::Message;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use tonic_health::pb::health_server::{self, HealthServer};
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;
use tower::Service;

use super::admit::admit;
use super::health::Serving;
use crate::{Config, Health};

/// The gRPC services of one process.
///
/// ```no_run
/// # fn example<S>(server: S, descriptors: &'static [u8]) -> Result<(), ieum_chassis::grpc::DescriptorError>
/// # where
/// #     S: tower::Service<axum::extract::Request, Response = axum::response::Response, Error = std::convert::Infallible>
/// #         + Clone + Send + Sync + 'static,
/// #     S::Future: Send + 'static,
/// # {
/// use ieum_chassis::{Chassis, Config, grpc};
///
/// let services = grpc::Services::described_by(descriptors)?.with("shop.users.v1.Users", server)?;
/// let chassis = Chassis::new(Config::new("users")).grpc(services)?;
/// # Ok(())
/// # }
/// ```
pub struct Services {
    descriptors: &'static [u8],
    files: FileDescriptorSet,
    names: Vec<&'static str>,
    router: Router,
}

/// Descriptors that cannot be read, or do not know a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptorError(String);

/// The services as routes.
pub(crate) struct Mounted {
    /// Calls that are observed.
    pub(crate) calls: Router,
    /// Health, which is asked every few seconds.
    pub(crate) health: Router,
}

impl Services {
    /// No services yet. `descriptors` is an encoded `google.protobuf.FileDescriptorSet` with all
    /// imports, as `protoc --descriptor_set_out --include_imports` writes it.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn described_by(descriptors: &'static [u8]) -> Result<Self, DescriptorError> {
        let files = FileDescriptorSet::decode(descriptors);
        let files = files.map_err(|error| DescriptorError(error.to_string()))?;
        Ok(Self {
            descriptors,
            files,
            names: Vec::new(),
            router: Router::new(),
        })
    }

    /// Adds a server under the service's full name, like `shop.users.v1.Users`.
    ///
    /// # Errors
    /// If the descriptors have no service of that name.
    pub fn with<S, R>(mut self, name: &'static str, server: S) -> Result<Self, DescriptorError>
    where
        S: Service<Request, Response = R, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        R: IntoResponse,
    {
        let methods = methods(&self.files, name)
            .ok_or_else(|| DescriptorError(format!("the descriptors have no service {name}")))?;
        // Each method is a route of its own, so that it has a name in spans and figures; what a
        // client invents has none.
        for method in methods {
            let path = format!("/{name}/{}", method.name());
            self.router = self.router.route_service(&path, server.clone());
        }
        let unknown = format!("/{name}/{{*method}}");
        self.router = self.router.route_service(&unknown, server);
        self.names.push(name);
        Ok(self)
    }

    /// With health and reflection, bounded as `config` says.
    pub(crate) fn mount(
        self,
        health: &Health,
        config: &Config,
        clock: &Clock,
    ) -> Result<Mounted, DescriptorError> {
        let ByteSize(most) = config.max_message;
        let limits = from_fn_with_state(most, admit);
        let pause = config.health_cache.0;
        let serving = Serving::new(health.clone(), &self.names, pause, clock.clone());
        let path = format!("/{}/{{*method}}", health_server::SERVICE_NAME);
        let health = Router::new().route_service(&path, HealthServer::new(serving));
        let error = |error: tonic_reflection::server::Error| DescriptorError(error.to_string());
        let reflection = self.reflection().build_v1().map_err(error)?;
        let older = self.reflection().build_v1alpha().map_err(error)?;
        let calls = self.router.route_service(&info(V1), reflection);
        let calls = calls.route_service(&info(V1ALPHA), older);
        Ok(Mounted {
            calls: calls.layer(limits.clone()),
            health: health.layer(limits),
        })
    }

    fn reflection(&self) -> Builder<'_> {
        let beside = [health_server::SERVICE_NAME, V1, V1ALPHA];
        let names = self.names.iter().copied().chain(beside);
        let builder = Builder::configure()
            .include_reflection_service(false)
            .register_encoded_file_descriptor_set(self.descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET);
        names.fold(builder, Builder::with_service_name)
    }
}

fn info(service: &str) -> String {
    format!("/{service}/ServerReflectionInfo")
}

fn methods(files: &FileDescriptorSet, name: &str) -> Option<Vec<MethodDescriptorProto>> {
    let (package, service) = name.rsplit_once('.').unwrap_or(("", name));
    let files = files.file.iter().filter(|file| file.package() == package);
    let mut services = files.flat_map(|file| &file.service);
    let service = services.find(|found| found.name() == service)?;
    Some(service.method.clone())
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Services").field(&self.names).finish()
    }
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptors of gRPC services: {}", self.0)
    }
}

impl std::error::Error for DescriptorError {}

const V1: &str = v1::server_reflection_server::SERVICE_NAME;
const V1ALPHA: &str = v1alpha::server_reflection_server::SERVICE_NAME;
