//! Tunnel: after `101 Switching Protocols`, bytes both ways until one side ends.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ieum_base::{Stop, TaskKind};

use super::accept::Exchange;
use super::proxy::Answered;
use super::respond;
use crate::body::{Held, ResponseBody};
use crate::errors::{Code, Refusal};
use crate::worker::Worker;

/// Joins both ends once the client has the `101`. An upstream that switches unasked is refused.
pub(super) fn open(
    exchange: &Exchange,
    answered: Answered,
    client: Option<OnUpgrade>,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let Some(client) = client else {
        return Err(unasked());
    };
    let Answered {
        mut response, held, ..
    } = answered;
    let upstream = hyper::upgrade::on(&mut response);
    let worker = &exchange.worker;
    let join = join(worker, client, upstream, held);
    worker.tasks.spawn(TaskKind::Request, "tunnel", join);
    let mut response = respond::without_body(response);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    Ok(response)
}

/// The refusal of a switch that nobody asked for.
pub(super) fn unasked() -> Box<Refusal> {
    let detail = "the upstream switched protocols, which nobody asked for";
    Refusal::new(Code::BadGateway, detail)
}

fn join(
    worker: &Worker,
    client: OnUpgrade,
    upstream: OnUpgrade,
    held: Held,
) -> impl Future<Output = ()> + Send + use<> {
    let stop: Stop = worker.tasks.stop().clone();
    let tunnels = worker.telemetry.tunnels.clone();
    async move {
        let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else {
            return;
        };
        tunnels.inc();
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        let copy = tokio::io::copy_bidirectional(&mut client, &mut upstream);
        if let Some(Err(error)) = stop.unless_requested(copy).await {
            tracing::debug!(%error, "a tunnel broke");
        }
        tunnels.dec();
        drop(held);
    }
}
