//! The channel.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use ieum_http::BoxError;
use ieum_http::identity::{X_USER_ID, X_USER_ROLES};

use super::body::GrpcBody;
use super::tries::Tries;
use crate::{Error, ErrorKind, Result, ServiceClient};

/// A channel to a service. Clones, and all of one client for the same service, share its connections,
/// its retry budget and its bulkhead.
///
/// A call's head must come within the client's timeout. The whole call is bounded by the `grpc-timeout`
/// that the caller set (tonic: `Request::set_timeout`) or by [`Self::timeout`], whichever is shorter;
/// what is left is sent on. Without either a stream may last as long as both sides like.
///
/// A call is made again if it was certainly not processed; if it was answered `UNAVAILABLE`, or its
/// connection broke, only if its method is [`Self::idempotent`]. In both cases at most 64 KiB of its
/// body may have gone by, and the budget has to pay for it.
#[derive(Clone)]
pub struct GrpcChannel {
    pub(super) service: ServiceClient,
    pub(super) metadata: HeaderMap,
    pub(super) timeout: Option<Duration>,
    idempotent: Arc<[Box<str>]>,
}

impl GrpcChannel {
    pub(crate) fn new(service: ServiceClient) -> Self {
        Self {
            service,
            metadata: HeaderMap::new(),
            timeout: None,
            idempotent: Arc::default(),
        }
    }

    /// Bounds each call, its streams included, and tells the service.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says which methods may be called twice, by their paths: `/shop.users.v1.Users/GetUser`.
    #[must_use]
    pub fn idempotent<'a>(mut self, methods: impl IntoIterator<Item = &'a str>) -> Self {
        self.idempotent = methods.into_iter().map(Box::from).collect();
        self
    }

    /// A channel that also sends this with each call, in place of what the call has of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it is no header.
    pub fn metadata<N, V>(mut self, name: N, value: V) -> Result<Self>
    where
        N: TryInto<HeaderName, Error: Into<BoxError>>,
        V: TryInto<HeaderValue, Error: Into<BoxError>>,
    {
        let invalid = |error| Error::new(ErrorKind::Invalid, self.service.name()).caused_by(error);
        let name = name.try_into().map_err(|error| invalid(error.into()))?;
        let value = value.try_into().map_err(|error| invalid(error.into()))?;
        self.metadata.insert(name, value);
        Ok(self)
    }

    /// A channel that says for whom it calls: the identity that the gateway established.
    ///
    /// # Errors
    /// As [`Self::metadata`].
    pub fn on_behalf_of<R: AsRef<str>>(self, user: &str, roles: &[R]) -> Result<Self> {
        let roles: Vec<_> = roles.iter().map(AsRef::as_ref).collect();
        self.metadata(X_USER_ID, user)?
            .metadata(X_USER_ROLES, roles.join(","))
    }

    pub(super) fn is_idempotent(&self, path: &str) -> bool {
        self.idempotent.iter().any(|method| **method == *path)
    }
}

impl<B> tower::Service<Request<B>> for GrpcChannel
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<GrpcBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, std::result::Result<Response<GrpcBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        // Calls are admitted in `call`: a channel that is ready and not used holds nothing.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let channel = self.clone();
        let answer = async move {
            let answered = match Tries::begin(channel, request).await {
                Ok(tries) => tries.run().await,
                Err(refused) => Err(refused),
            };
            Ok(answered.unwrap_or_else(super::body::Refused::into_response))
        };
        answer.boxed()
    }
}

impl fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcChannel").field(&self.service).finish()
    }
}
