//! The registry that a gateway follows: a platform, several on one log, or a Consul agent.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use ieum_base::{EngineUrl, Finding, Stop, Tasks};
use ieum_http::HttpClient;

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks each address of `url` for its health.
pub(super) async fn examine_platform(url: &EngineUrl) -> Vec<Finding> {
    let scheme = match url.scheme() {
        ieum_remote::SCHEME_TLS => "https",
        _ => "http",
    };
    let mut findings = Vec::new();
    for address in url.authority().split(',') {
        let health = get(&format!("{scheme}://{address}/health"), None).await;
        findings.push(match health {
            Err(why) => Finding::broken(
                format!("{address} does not answer: {why}"),
                "start the platform there (`ieum up`), or correct `registry.url`",
            ),
            Ok(answer) if answer.status() == StatusCode::OK => {
                let token = url.password().map(|token| token.expose().as_str());
                allowed(&format!("{scheme}://{address}"), address, token).await
            }
            Ok(answer) => Finding::weak(
                format!("{address} answers, and is not well ({})", answer.status()),
                format!("`ieum health {scheme}://{address}` says why"),
            ),
        });
    }
    findings
}

/// Whether our token is the right one there.
async fn allowed(base: &str, address: &str, token: Option<&str>) -> Finding {
    match get(&format!("{base}/api/v1/services"), token).await {
        Ok(answer) if answer.status() == StatusCode::OK => {
            Finding::fine(format!("{address} is well and lets us in"))
        }
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => Finding::broken(
            format!("{address} refuses our token"),
            "set its token with `registry.token-env` or `registry.token-file`",
        ),
        Ok(answer) => Finding::broken(
            format!("{address} answered {}", answer.status()),
            "look whether it is a platform, and of this version",
        ),
        Err(why) => Finding::broken(format!("{address} does not answer: {why}"), "ask again"),
    }
}

/// Asks a Consul agent whether it has a leader, without which it cannot write.
pub(super) async fn examine_consul(url: &EngineUrl) -> Vec<Finding> {
    let address = url.authority();
    let token = url.password().map(|token| token.expose().as_str());
    let answer = get(&format!("http://{address}/v1/status/leader"), token).await;
    vec![match answer {
        Ok(answer) if answer.status() != StatusCode::OK => Finding::broken(
            format!("{address} answered {}", answer.status()),
            "look whether it is a Consul agent, and whether it asks for a token",
        ),
        Ok(answer) if answer.body().len() > 2 => {
            Finding::fine(format!("{address} answers and has a leader"))
        }
        Ok(_) => Finding::weak(
            format!("{address} has no leader"),
            "registrations are refused until Consul's servers agree on one",
        ),
        Err(why) => Finding::broken(
            format!("{address} does not answer: {why}"),
            "start the agent there, or correct `registry.url`",
        ),
    }]
}

async fn get(url: &str, token: Option<&str>) -> Result<Response<bytes::Bytes>, String> {
    let http = HttpClient::new(Tasks::new(Stop::new()));
    let mut request = Request::get(url);
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| "the token has illegal characters".to_owned())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(http_body_util::Full::default());
    let request = request.map_err(|error| error.to_string())?;
    let answer = http.request(request, PATIENCE).await;
    answer.map_err(|error| error.to_string())
}
