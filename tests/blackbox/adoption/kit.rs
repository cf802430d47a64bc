//! A step of `examples/adoption/` in a copy of its own, started by its one command.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Reply, Request, TempFolder, binary, eventually};
use serde_json::{Value, json};

use crate::platform::SOON;

/// How long a step may take to start and to show what it shows.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A step that runs until it is dropped.
pub(crate) struct Step {
    process: Process,
    folder: PathBuf,
    /// Where callers of the shop call: the gateway, or the monolith itself.
    pub(crate) shop: String,
    /// Where the platform API is.
    pub(crate) api: String,
    _copy: TempFolder,
}

impl Step {
    /// Starts a step and waits until it has shown what it shows.
    pub(crate) fn start(number: u32) -> Result<Self> {
        let copy = copy()?;
        let process = run(copy.path(), number, &["--stay"])?;
        let ready = process.wait_for(LONG, |line| {
            let ended = line.starts_with("error: ").then_some(Value::Null);
            let state = line.strip_prefix("ready: ");
            state
                .and_then(|state| serde_json::from_str(state).ok())
                .or(ended)
        })?;
        ensure!(ready.is_object(), "step {number}: {}", process.output());
        let address = |value: &Value| {
            let address = value.as_str().unwrap_or_default();
            address.trim_start_matches("http://").to_owned()
        };
        let shop = match &ready["gateway"] {
            Value::Null => &ready["programs"]["monolith"]["address"],
            gateway => gateway,
        };
        Ok(Self {
            process,
            folder: copy.path().join("adoption").join(number.to_string()),
            shop: address(shop),
            api: address(&ready["platform"]),
            _copy: copy,
        })
    }

    /// Asks the platform.
    pub(crate) fn platform(&self, target: &str) -> Result<Value> {
        Request::new("GET", target).send(&self.api)?.expect(200)
    }

    /// Where a service of the step listens.
    pub(crate) fn address(&self, service: &str) -> Result<String> {
        let address = self.state()?["programs"][service]["address"].clone();
        let address = address.as_str().context("an address")?;
        Ok(address.trim_start_matches("http://").to_owned())
    }

    /// Runs a program of the step and answers what it prints.
    pub(crate) fn node(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new("node");
        let output = command
            .arg(self.folder.join(program))
            .args(arguments)
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program}: {errors}");
        Ok(output.stdout)
    }

    /// Kills a service of the step, which is then started again.
    pub(crate) fn kill(&self, service: &str) -> Result<()> {
        // One that was just started again may not be known by its new id yet.
        eventually("the service is there", SOON, || {
            let pid = self.state().ok()?["programs"][service]["pid"].to_string();
            let killed = Command::new("kill").args(["-9", &pid]).output().ok()?;
            killed.status.success().then_some(())
        })
    }

    /// Leaves the beginning of a row in the journal of a service, as a crash in the middle of a write does.
    pub(crate) fn tear(&self, service: &str) -> Result<()> {
        let file = self.folder.join(format!("data/{service}.jsonl"));
        let mut journal = std::fs::OpenOptions::new().append(true).open(file)?;
        Ok(journal.write_all(b"[[\"orders\",{\"id\":")?)
    }

    /// The journal of a service, as text.
    pub(crate) fn data(&self, service: &str) -> Result<String> {
        let file = self.folder.join(format!("data/{service}.jsonl"));
        std::fs::read_to_string(file).with_context(|| format!("the journal of {service}"))
    }

    /// The rows of a table, read from the journal by other code than the service's own.
    pub(crate) fn rows(&self, service: &str, table: &str) -> Result<BTreeMap<String, Value>> {
        let mut rows = BTreeMap::new();
        for line in self.data(service)?.lines() {
            let Ok(commit) = serde_json::from_str::<Vec<(String, Value)>>(line) else {
                // The end of what is being written.
                continue;
            };
            let of_table = commit.into_iter().filter(|(name, _)| name == table);
            let with_id =
                of_table.filter_map(|(_, row)| Some((row["id"].as_str()?.to_owned(), row)));
            rows.extend(with_id);
        }
        Ok(rows)
    }

    /// Places orders, all at the same time, and forgets what they are answered.
    pub(crate) fn place_at_once(&self, count: usize) -> Vec<JoinHandle<Result<Reply>>> {
        let caller = |_| {
            let shop = self.shop.clone();
            std::thread::spawn(move || place(&shop, &order()))
        };
        (0..count).map(caller).collect()
    }

    fn state(&self) -> Result<Value> {
        let state = std::fs::read(self.folder.join("data/state.json"))?;
        Ok(serde_json::from_slice(&state)?)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        // It ends its programs, which a kill would leave behind.
        if self.process.terminate().is_ok() {
            let _ = self.process.wait(LONG);
        }
    }
}

/// All steps, in a folder where they may write.
pub(crate) fn copy() -> Result<TempFolder> {
    let folder = TempFolder::new()?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/adoption");
    let mut copy = Command::new("cp");
    let copied = copy.arg("-r").arg(sources).arg(folder.path()).status()?;
    ensure!(copied.success(), "the examples cannot be copied");
    Ok(folder)
}

/// Starts the one command of a step.
pub(crate) fn run(copy: &Path, number: u32, arguments: &[&str]) -> Result<Process> {
    let mut command = Command::new(copy.join(format!("adoption/{number}/run")));
    command.env("IEUM", binary("ieum")?);
    Process::start(command.args(arguments))
}

/// The order that every step takes.
pub(crate) fn order() -> Value {
    json!({
        "userId": "u-1",
        "items": [
            { "productId": "p-1", "quantity": 2, "price": 10_000 },
            { "productId": "p-2", "quantity": 1, "price": 5_000 },
        ],
        "address": "서울",
    })
}

/// Places an order.
pub(crate) fn place(shop: &str, order: &Value) -> Result<Reply> {
    Request::new("POST", "/api/orders").json(order).send(shop)
}
