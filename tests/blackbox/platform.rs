//! A running `ieum up` for the other tests, and what it promises about its start and stop.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use ieum_testkit::{Process, Reply, Request, TempFolder, binary, eventually, free_port};
use serde_json::{Value, json};

/// How long a test waits for something that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A platform with free ports and a data folder of its own.
pub(crate) struct Platform {
    pub(crate) process: Process,
    pub(crate) gateway: String,
    pub(crate) api: String,
    pub(crate) folder: TempFolder,
}

impl Platform {
    /// Starts `ieum up` with `routes` (TOML) appended to a minimal configuration.
    pub(crate) fn start(routes: &str) -> Result<Self> {
        Self::start_with(routes, &[])
    }

    /// The same, with `files` (name and content) beside the configuration.
    pub(crate) fn start_with(routes: &str, files: &[(&str, &str)]) -> Result<Self> {
        let (gateway, api) = (address()?, address()?);
        let config = configuration(&gateway, &api, routes);
        Self::start_as(gateway, api, &config, files)
    }

    /// The same without files, with a time between SIGTERM and the stop.
    pub(crate) fn start_lingering(routes: &str, linger: &str) -> Result<Self> {
        let (gateway, api) = (address()?, address()?);
        let config = configuration(&gateway, &api, routes);
        let config = config.replace("linger = \"0s\"", &format!("linger = \"{linger}\""));
        Self::start_as(gateway, api, &config, &[])
    }

    /// Starts it with `config`, which says the same addresses.
    pub(crate) fn start_as(
        gateway: String,
        api: String,
        config: &str,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = TempFolder::new()?;
        for (name, content) in files {
            folder.write(name, content)?;
        }
        folder.write("ieum.toml", config)?;
        let process = start(&folder)?;
        let mut platform = Self {
            process,
            gateway,
            api,
            folder,
        };
        platform.wait_until_ready()?;
        Ok(platform)
    }

    /// Starts the process again on the same data.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process = start(&self.folder)?;
        self.wait_until_ready()
    }

    /// Registers an instance of `service` at `address` without checks.
    pub(crate) fn register(&self, service: &str, id: &str, address: &str) -> Result<()> {
        let (host, port) = address.split_once(':').unwrap_or((address, "0"));
        let port: u16 = port.parse()?;
        let body = json!({ "Name": service, "ID": id, "Address": host, "Port": port });
        Request::new("PUT", "/v1/agent/service/register")
            .json(&body)
            .send(&self.api)?
            .expect(200)?;
        Ok(())
    }

    /// Asks the platform API.
    pub(crate) fn get(&self, target: &str) -> Result<Value> {
        Request::new("GET", target).send(&self.api)?.expect(200)
    }

    /// Sends a request through the gateway.
    pub(crate) fn send(&self, request: &Request) -> Result<Reply> {
        request.send(&self.gateway)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for (address, path) in [(&self.api, "/health"), (&self.gateway, "/")] {
            let process = &mut self.process;
            let answered = eventually("the platform answers", SOON, || {
                let answered = Request::new("GET", path).send(address).map(drop);
                (answered.is_ok() || process.has_ended()).then_some(answered)
            });
            answered
                .and_then(|answer| answer)
                .with_context(|| process.output())?;
        }
        Ok(())
    }
}

/// A free loopback address.
pub(crate) fn address() -> Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}

/// A configuration with these addresses, the data in the folder of the file.
pub(crate) fn configuration(gateway: &str, api: &str, rest: &str) -> String {
    format!(
        "[platform]\nlisten = \"{api}\"\ndata-dir = \"data\"\nlinger = \"0s\"\n\n[gateway]\nlisten = \"{gateway}\"\n\n{rest}\n"
    )
}

fn start(folder: &TempFolder) -> Result<Process> {
    let mut command = Command::new(binary("ieum")?);
    Process::start(
        command
            .args(["up", "-c", "ieum.toml"])
            .current_dir(folder.path()),
    )
}

#[test]
fn stops_with_status_0_on_sigterm() -> Result<()> {
    let mut platform = Platform::start("")?;
    platform.process.terminate()?;
    let status = platform.process.wait(SOON)?;
    assert_eq!(status.code(), Some(0), "{}", platform.process.output());
    Ok(())
}

#[test]
fn an_event_survives_kill_9() -> Result<()> {
    let mut platform = Platform::start("")?;
    let id = "0190a1b2-0000-7000-8000-000000000001";
    let event = json!({ "id": id, "type": "note.taken", "data": { "text": "이음" } });
    let append = json!({ "expect": "noStream", "events": [event] });
    let target = "/api/v1/log/streams/note-1";
    let first = Request::new("POST", target)
        .json(&append)
        .send(&platform.api)?;
    assert_eq!(first.expect(201)?["duplicate"], false);
    platform.process.kill()?;
    platform.restart()?;
    let again = Request::new("POST", target)
        .json(&append)
        .send(&platform.api)?;
    assert_eq!(
        again.expect(200)?["duplicate"],
        true,
        "the same ids are the same append"
    );
    let read = platform.get(target)?;
    assert_eq!(read["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(read["events"][0]["data"]["text"], "이음");
    Ok(())
}

#[test]
fn two_platforms_on_the_same_data_are_refused() -> Result<()> {
    let platform = Platform::start("")?;
    let other = configuration(&address()?, &address()?, "");
    platform.folder.write("other.toml", other)?;
    let mut command = Command::new(binary("ieum")?);
    command
        .args(["up", "-c", "other.toml"])
        .current_dir(platform.folder.path());
    let mut second = Process::start(&mut command)?;
    let status = second.wait(SOON)?;
    let output = second.output();
    assert_ne!(status.code(), Some(0), "{output}");
    assert!(
        output.contains(&platform.process.id().to_string()),
        "names the owner: {output}"
    );
    platform.get("/health")?;
    Ok(())
}

#[test]
fn the_platforms_own_streams_are_for_reading_only() -> Result<()> {
    let platform = Platform::start("")?;
    let event = json!({ "id": "0190a1b2-0000-7000-8000-000000000002", "type": "x", "data": {} });
    for stream in ["registry-users", "saga-1", "saga_definition-place-order"] {
        let request = Request::new("POST", &format!("/api/v1/log/streams/{stream}"));
        let reply = request
            .json(&json!({ "events": [event] }))
            .send(&platform.api)?;
        assert_eq!(reply.status, 400, "{stream}: {}", reply.text());
        assert!(reply.text().contains("platform's own"), "{}", reply.text());
    }
    let fence = Request::new("POST", "/api/v1/log/fences/saga-engine").send(&platform.api)?;
    assert_eq!(fence.status, 400, "{}", fence.text());
    Ok(())
}
