//! The response future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Error, Open, Permit, Policy};

pin_project! {
    /// Reports the outcome to the breaker when the call ends; dropped early, it reports nothing.
    #[derive(Debug)]
    pub struct ResponseFuture<F, P> {
        #[pin]
        state: State<F, P>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F, P> {
        Admitted { #[pin] call: F, permit: Option<Permit>, policy: P },
        Refused { open: Open },
    }
}

impl<F, P> ResponseFuture<F, P> {
    pub(super) const fn admitted(call: F, permit: Permit, policy: P) -> Self {
        Self {
            state: State::Admitted {
                call,
                permit: Some(permit),
                policy,
            },
        }
    }

    pub(super) const fn refused(open: Open) -> Self {
        Self {
            state: State::Refused { open },
        }
    }
}

impl<F, P, Response, E> Future for ResponseFuture<F, P>
where
    F: Future<Output = Result<Response, E>>,
    P: Policy<Response, E>,
{
    type Output = Result<Response, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Refused { open } => Poll::Ready(Err(Error::Open(*open))),
            StateProjection::Admitted {
                call,
                permit,
                policy,
            } => {
                let result = ready!(call.poll(cx));
                if let Some(permit) = permit.take() {
                    permit.record(policy.judge(result.as_ref()));
                }
                Poll::Ready(result.map_err(Error::Inner))
            }
        }
    }
}
