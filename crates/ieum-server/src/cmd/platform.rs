//! The platform that a command asks.

use anyhow::{Context, anyhow};
use ieum_base::{EngineUrl, Secret, Stop, Tasks, redact};
use ieum_remote::{ErrorKind, Platform};

/// Which platform to ask, and how to show what it answers.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Asking {
    /// The platform's address; those of several on one log are joined by commas.
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

impl Asking {
    /// Runs `ask` with the platform.
    pub(super) fn run<T>(
        &self,
        ask: impl AsyncFnOnce(Platform) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime can be started")?;
        runtime.block_on(async {
            let tasks = Tasks::new(Stop::new());
            let platform = ieum_remote::connect(&self.url()?, &tasks)?;
            ask(platform).await
        })
    }

    /// The URL of the platform's adapter.
    fn url(&self) -> anyhow::Result<EngineUrl> {
        let url = ieum_remote::locate(&self.platform)?;
        Ok(match &self.token {
            Some(token) => url.with_password(Secret::new(token.clone())),
            None => url,
        })
    }

    /// What to do when nobody answers.
    pub(super) fn unreachable(&self) -> String {
        format!(
            "no platform answers at {}: start one with `ieum up` (or `shop demo`), or say where it \
             is with `--platform URL` or IEUM_PLATFORM",
            redact::text(&self.platform)
        )
    }

    /// Says what to do when the platform could not be asked.
    pub(super) fn explain(&self, error: ieum_remote::Error) -> anyhow::Error {
        // One that answers with a code is there; what it lacks stands in its answer.
        let hint = match error.kind() {
            ErrorKind::Unavailable if error.code().is_none() => self.unreachable(),
            ErrorKind::Denied => "set IEUM_TOKEN or `--token` to the platform's token".to_owned(),
            _ => return anyhow!(error),
        };
        anyhow!(error).context(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The URL that is called for `platform` with `token`; `None` if it is refused.
    fn called(platform: &str, token: Option<&str>) -> Option<String> {
        let asking = Asking {
            platform: platform.to_owned(),
            token: token.map(str::to_owned),
            json: false,
        };
        let url = asking.url().ok()?;
        Some(format!("{}://{}", url.scheme(), url.rest()))
    }

    #[test]
    fn a_platform_is_named_as_people_write_addresses() {
        let expected = Some("ieum://127.0.0.1:8500".to_owned());
        for platform in [
            "http://127.0.0.1:8500",
            "127.0.0.1:8500",
            "ieum://127.0.0.1:8500",
        ] {
            assert_eq!(called(platform, None), expected);
            assert_eq!(called(platform, Some("s3cret")), expected);
        }
        let secure = Some("ieums://ieum.example".to_owned());
        assert_eq!(called("https://ieum.example", None), secure);
        assert_eq!(called("ftp://ieum.example", None), None);
    }
}
