//! The three services of `examples/polyglot/`, made ready once and started by the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Reply, Request, TempFolder, binary, eventually, free_port};
use serde_json::{Value, json};

use crate::platform::SOON;

/// What a service is called, and how it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) undo: &'static str,
    pub(crate) ledger: &'static str,
}

pub(crate) const LOYALTY: Service = Service {
    name: "loyalty",
    undo: "/points/cancel",
    ledger: "loyalty.db",
};
pub(crate) const INVOICES: Service = Service {
    name: "invoices",
    undo: "/invoices/void",
    ledger: "invoices.db",
};
pub(crate) const DONATIONS: Service = Service {
    name: "donations",
    undo: "/donations/cancel",
    ledger: "donations.log",
};

impl Service {
    /// The path of the step; that of an order is below it.
    pub(crate) fn path(&self) -> &'static str {
        let (path, _) = self.undo.rsplit_once('/').unwrap_or_default();
        path
    }

    fn command(&self, kit: &Path) -> Command {
        let (program, arguments) = match self.name {
            "loyalty" => ("node", vec![kit.join("node/loyalty.mjs")]),
            "invoices" => ("python3", vec![kit.join("python/invoices.py")]),
            _ => (
                "java",
                vec!["-cp".into(), kit.join("java"), "Donations".into()],
            ),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PYTHONPATH", kit.join("python/site"));
        command
    }
}

/// What the services send to a platform that asks for it.
pub(crate) const TOKEN: &str = "a-token-of-the-test";

/// A service that runs, on a ledger of its own.
pub(crate) struct Running {
    pub(crate) service: Service,
    pub(crate) process: Process,
    pub(crate) address: String,
    pub(crate) folder: TempFolder,
    platform: String,
}

impl Running {
    /// Starts it for the platform at `platform` (`host:port`), and waits until it answers.
    pub(crate) fn start(service: Service, platform: &str) -> Result<Self> {
        let folder = TempFolder::new()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let process = start(service, folder.path(), &address, platform)?;
        let mut running = Self {
            service,
            process,
            address,
            folder,
            platform: platform.to_owned(),
        };
        running.wait_until_ready()?;
        Ok(running)
    }

    /// One that nobody needs to find.
    pub(crate) fn alone(service: Service) -> Result<Self> {
        Self::start(service, "127.0.0.1:1")
    }

    /// Starts another process on the same ledger and address.
    pub(crate) fn second(&self) -> Result<Process> {
        start(
            self.service,
            self.folder.path(),
            &self.address,
            &self.platform,
        )
    }

    /// Starts it again, after it was killed.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process = self.second()?;
        self.wait_until_ready()
    }

    /// What the ledger says of an order: effects that were not undone, and entries of any kind.
    pub(crate) fn of_order(&self, order: &str) -> Result<(Value, Value)> {
        let target = format!("{}/{order}", self.service.path());
        let found = Request::new("GET", &target)
            .send(&self.address)?
            .expect(200)?;
        Ok((found["live"].clone(), found["entries"].clone()))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let process = &mut self.process;
        let health = Request::new("GET", "/health");
        let ready = eventually("the service answers", SOON, || {
            let ready = health
                .send(&self.address)
                .is_ok_and(|reply| reply.status == 200);
            (ready || process.has_ended()).then_some(ready)
        });
        ensure!(
            ready?,
            "{} did not start:\n{}",
            self.service.name,
            process.output()
        );
        Ok(())
    }
}

/// A call of a step or of its undo, as the engine makes it. The order has the saga's id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) saga: &'a str,
    pub(crate) round: u32,
    pub(crate) epoch: u64,
    pub(crate) undo: bool,
}

impl Call<'_> {
    pub(crate) fn request(&self, service: Service) -> Request {
        let suffix = if self.undo { "/undo" } else { "" };
        let path = if self.undo {
            service.undo
        } else {
            service.path()
        };
        let body =
            json!({ "orderId": self.saga, "userId": "u-1", "amount": 12_345, "currency": "KRW" });
        Request::new("POST", path)
            .header("Ieum-Saga-Id", self.saga)
            .header("Ieum-Step", "the-step")
            .header("Ieum-Epoch", &self.epoch.to_string())
            .header(
                "Idempotency-Key",
                &format!("{}/the-step/{}{suffix}", self.saga, self.round),
            )
            .json(&body)
    }

    pub(crate) fn send(&self, to: &Running) -> Result<Reply> {
        self.request(to.service).send(&to.address)
    }
}

fn start(service: Service, data: &Path, address: &str, platform: &str) -> Result<Process> {
    let mut command = service.command(&kit()?);
    command.env("IEUM_TOKEN", TOKEN);
    command.args(["--listen", address, "--linger", "1"]);
    command.args(["--platform", &format!("http://{platform}"), "--data"]);
    Process::start(command.arg(data))
}

/// The folder of the services with all that they need.
fn kit() -> Result<PathBuf> {
    static KIT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut kit = KIT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*kit {
        Some(folder) => Ok(folder.clone()),
        None => Ok(kit.insert(make_kit()?).clone()),
    }
}

fn make_kit() -> Result<PathBuf> {
    let folder = binary("shop")?.with_file_name("polyglot-tests");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/polyglot");
    run(Command::new("mkdir").arg("-p").arg(&folder))?;
    for part in ["node", "python", "java"] {
        run(Command::new("cp")
            .arg("-r")
            .arg(sources.join(part))
            .arg(&folder))?;
    }
    let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    once(&folder.join("node"), "package-lock.json", "npm", &npm)?;
    let pip = "-m pip install -q --no-deps --upgrade --target site -r requirements.txt";
    let pip: Vec<&str> = pip.split(' ').collect();
    once(&folder.join("python"), "requirements.txt", "python3", &pip)?;
    let javac = ["-Xlint:all", "-Werror", "Donations.java"];
    once(&folder.join("java"), "Donations.java", "javac", &javac)?;
    Ok(folder)
}

/// Runs a program in a folder, if it has not done so for this content of the file `what`.
fn once(folder: &Path, what: &str, program: &str, arguments: &[&str]) -> Result<()> {
    let (made, wanted) = (folder.join("made-from"), fs::read(folder.join(what))?);
    if fs::read(&made).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    run(Command::new(program).args(arguments).current_dir(folder))?;
    fs::write(made, wanted)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output();
    let output = output.with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {text}");
    Ok(())
}
