//! Server-sent events: an answer that goes on, for pages (the `text/event-stream` of the HTML standard).

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use ieum::base::Clock;
use serde::Serialize;

/// An event with this name and these data, as it is sent. JSON has no line breaks of its own.
pub(crate) fn event<T: Serialize>(name: &str, data: &T) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Answers with `events` as they come. In the silence between them a comment says that the connection
/// lives, well before anything between here and the page gives up on it.
pub(crate) fn answer(events: BoxStream<'static, Bytes>, clock: Clock) -> Response {
    let begin = format!("retry: {}\n\n", RETRY.as_millis());
    let begin = stream::once(async { Bytes::from(begin) });
    let body = begin.chain(stream::unfold((events, clock), next));
    let body = Body::from_stream(body.map(Ok::<_, std::convert::Infallible>));
    let headers = [
        (CONTENT_TYPE, MEDIA_TYPE),
        // What is true now is not to be kept.
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

type Open = (BoxStream<'static, Bytes>, Clock);

async fn next((mut events, clock): Open) -> Option<(Bytes, Open)> {
    let said = tokio::select! {
        biased;
        event = events.next() => event?,
        () = clock.sleep(SILENCE) => Bytes::from_static(KEEP_ALIVE),
    };
    Some((said, (events, clock)))
}

/// The media type.
const MEDIA_TYPE: &str = "text/event-stream";
/// A comment.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
/// How soon whoever lost the stream may ask again.
const RETRY: Duration = Duration::from_secs(2);
/// The longest silence.
const SILENCE: Duration = Duration::from_secs(15);
