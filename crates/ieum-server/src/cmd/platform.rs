//! The platform that a command asks: where it is, and what it answers.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use ieum_base::{Stop, Tasks};
use ieum_http::{HttpClient, Problem};
use serde::de::DeserializeOwned;

/// Which platform to ask, and how to show what it answers.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Asking {
    /// The platform's address.
    #[arg(
        long,
        value_name = "URL",
        env = "IEUM_PLATFORM",
        default_value = "http://127.0.0.1:8500"
    )]
    platform: String,
    /// The platform's token, if it asks for one.
    #[arg(long, value_name = "TOKEN", env = "IEUM_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print JSON for programs.
    #[arg(long)]
    pub(super) json: bool,
}

/// A connection to the platform.
pub(super) struct Platform {
    http: HttpClient,
    base: String,
    token: Option<String>,
}

/// Longer than the API's longest wait.
const TIMEOUT: Duration = Duration::from_secs(75);

impl Asking {
    /// Runs `ask` with a connection to the platform.
    pub(super) fn run<T, F>(&self, ask: impl FnOnce(Platform) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime can be started")?;
        runtime.block_on(async {
            let platform = Platform {
                http: HttpClient::new(Tasks::new(Stop::new())),
                base: self.platform.trim_end_matches('/').to_owned(),
                token: self.token.clone(),
            };
            ask(platform).await
        })
    }
}

impl Platform {
    /// The answer to a `GET` of `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.fetch(path).await?;
        if !answer.status().is_success() {
            bail!("{}", refusal(&answer));
        }
        serde_json::from_slice(answer.body())
            .with_context(|| format!("{} does not answer like a platform of ieum", self.base))
    }

    /// As [`Platform::get`]; `None` if there is no such thing.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let answer = self.fetch(path).await?;
        if answer.status() == http::StatusCode::NOT_FOUND && ieum_http::problem::is_problem(answer.headers()) {
            return Ok(None);
        }
        if !answer.status().is_success() {
            bail!("{}", refusal(&answer));
        }
        let found = serde_json::from_slice(answer.body())
            .with_context(|| format!("{} does not answer like a platform of ieum", self.base))?;
        Ok(Some(found))
    }

    async fn fetch(&self, path: &str) -> anyhow::Result<Response<Bytes>> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(Bytes::new()))
            .with_context(|| format!("`{}` is not the address of a platform", self.base))?;
        self.http.request(request, TIMEOUT).await.with_context(|| {
            format!(
                "no platform answers at {}: start one with `ieum up` (or `shop demo`), or say \
                 where it is with `--platform URL` or IEUM_PLATFORM",
                self.base
            )
        })
    }
}

fn refusal(answer: &Response<Bytes>) -> String {
    let problem = Problem::from_response(answer);
    let hint = match problem.code.as_deref() {
        Some("IEUM-5005") => "; set IEUM_TOKEN or `--token`",
        _ => "",
    };
    format!("the platform refused: {problem}{hint}")
}
