//! Asking a provider over HTTP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result, invalid};
use crate::model::{Body, Headers, Message, Request, Response};

/// What a path does not have as it is.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// Fields that say how a message is sent, not what it is.
const OF_THE_WIRE: [&str; 4] = ["host", "content-length", "connection", "transfer-encoding"];

/// The request of an interaction, for the provider at `base`. `own` replaces fields of the example.
pub(super) fn request(
    base: &str,
    example: &Request,
    own: &[(HeaderName, HeaderValue)],
) -> Result<http::Request<Full<Bytes>>> {
    let path = utf8_percent_encode(example.path.trim_start_matches('/'), PATH);
    let mut url = format!("{}/{path}", base.trim_end_matches('/'));
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = example.query.iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(|value| format!("{}={}", encoded(name), encoded(value)))
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    if !query.is_empty() {
        url = format!("{url}?{query}");
    }
    let bad = |error: http::Error| {
        let url = shown(&url);
        invalid(format!(
            "no request to {url}: {error}; a provider's URL is like http://127.0.0.1:3001"
        ))
    };
    let mut request = http::Request::builder()
        .method(example.method.as_str())
        .uri(&url)
        .body(Full::new(example.body.bytes()))
        .map_err(bad)?;
    let headers = request.headers_mut();
    for (name, values) in example.headers.iter() {
        if OF_THE_WIRE.contains(&name.to_lowercase().as_str()) {
            continue;
        }
        let field = HeaderName::try_from(name).map_err(|error| bad(error.into()))?;
        let value = values.join(", ");
        headers.append(
            field,
            HeaderValue::try_from(value).map_err(|error| bad(error.into()))?,
        );
    }
    if !headers.contains_key("content-type")
        && let (Body::Present { .. }, Some(media_type)) = (&example.body, example.media_type())
        && let Ok(value) = HeaderValue::try_from(media_type.to_string())
    {
        headers.insert("content-type", value);
    }
    for (name, value) in own {
        headers.insert(name, value.clone());
    }
    Ok(request)
}

/// A URL without the credentials that stand in it: messages end in logs.
pub(super) fn shown(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['/', '?'])
        .map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &url[..start], &url[start + at..]),
        None => url.to_owned(),
    }
}

/// What a provider answered.
pub(super) fn response(answer: http::Response<Bytes>) -> Response {
    let (head, body) = answer.into_parts();
    Response {
        status: head.status.as_u16(),
        headers: Headers::of_wire(&head.headers),
        body: Body::of_wire(body),
        ..Response::default()
    }
}

/// The event in an answer of an endpoint: contents are the body, metadata a header in base64.
pub(super) fn message(answer: http::Response<Bytes>) -> Message {
    let (head, body) = answer.into_parts();
    let told = head.headers.get("pact-message-metadata");
    let told = told.and_then(|value| STANDARD.decode(value.as_bytes()).ok());
    let told = told.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let media_type = head
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let mut metadata: std::collections::BTreeMap<String, Value> = match told {
        Some(Value::Object(map)) => map.into_iter().collect(),
        _ => std::collections::BTreeMap::new(),
    };
    let contents = match Body::of_wire(body) {
        Body::Present { bytes, .. } => Body::Present {
            bytes,
            media_type: media_type.map(str::to_owned),
        },
        other => other,
    };
    if let Some(media_type) = media_type {
        metadata
            .entry("contentType".to_owned())
            .or_insert_with(|| media_type.into());
    }
    Message {
        contents,
        metadata,
        ..Message::default()
    }
}

/// Why nothing came: that nobody is there keeps a verification from being made; that somebody is too
/// slow or breaks off is a failure of the interaction.
pub(super) fn explain(error: &ieum_http::Error, what: &str) -> Result<String> {
    use ieum_http::ErrorKind as Kind;
    match error.kind() {
        Kind::Timeout | Kind::TooLarge | Kind::Broken | Kind::Decode => {
            Ok(format!("{what} gave no whole answer: {error}"))
        }
        _ => Err(Error::new(
            ErrorKind::Unreachable,
            format!("{what} cannot be asked: {error}"),
        )),
    }
}
