//! A running `shop demo` for the other tests, and its customers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use ieum_testkit::{Process, Request, TempFolder, binary, eventually};
use serde_json::{Value, json};

use crate::platform::SOON;

/// How long a demo may take until it serves, or ends.
pub(crate) const DEMO: Duration = Duration::from_secs(240);

/// Demos take the same default ports, so tests start them one after the other.
static STARTING: Mutex<()> = Mutex::new(());

/// A demo that serves.
pub(crate) struct Shop {
    /// Ends with the value.
    pub(crate) process: Process,
    pub(crate) gateway: String,
    pub(crate) platform: String,
    pub(crate) services: BTreeMap<String, String>,
    pub(crate) folder: TempFolder,
    staff: (String, String),
}

impl Shop {
    /// Starts a demo without orders that goes on serving.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same, with more in its environment.
    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Result<Self> {
        let folder = TempFolder::new()?;
        let _alone = alone();
        let mut command = Command::new(binary("shop")?);
        command
            .args(["demo", "--orders", "0", "--data"])
            .arg(folder.path());
        let process = Process::start(command.envs(environment.iter().copied()))?;
        process.wait_for(DEMO, |line| line.contains("Serving").then_some(()))?;
        let output = process.output();
        let place = |name: &str| -> Result<String> {
            let address = output.lines().find_map(|line| {
                let (what, address) = line.split_once("http://")?;
                (what.trim() == name).then_some(address)
            });
            Ok(address
                .with_context(|| format!("where is {name}?\n{output}"))?
                .to_owned())
        };
        let names = [
            "users",
            "products",
            "orders",
            "inventory",
            "payments",
            "notifications",
        ];
        let services: Result<_> = names
            .iter()
            .map(|n| Ok(((*n).to_owned(), place(n)?)))
            .collect();
        let staff = output
            .lines()
            .find_map(|line| line.strip_prefix("staff")?.trim().split_once(", password "))
            .map(|(email, password)| (email.to_owned(), password.to_owned()))
            .with_context(|| format!("who is the staff?\n{output}"))?;
        let (gateway, platform) = (place("gateway")?, place("platform API")?);
        Ok(Self {
            gateway,
            platform,
            services: services?,
            folder,
            staff,
            process,
        })
    }

    /// Signs somebody new up and in; answers the user and the token.
    pub(crate) fn sign_up(&self, email: &str, name: &str) -> Result<(Value, String)> {
        let body = json!({ "email": email, "name": name, "password": "correct horse battery" });
        let user = self.post("/api/v1/users", None, &body)?;
        Ok((user, self.sign_in(email, "correct horse battery")?))
    }

    /// The token of the staff.
    pub(crate) fn staff(&self) -> Result<String> {
        self.sign_in(&self.staff.0, &self.staff.1)
    }

    fn sign_in(&self, email: &str, password: &str) -> Result<String> {
        let body = json!({ "email": email, "password": password });
        let session = self.post("/api/v1/sessions", None, &body)?;
        Ok(session["token"].as_str().context("a token")?.to_owned())
    }

    /// Posts through the gateway; anything but 200 or 201 is an error.
    pub(crate) fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
        let mut request = Request::new("POST", path).json(body);
        if let Some(token) = token {
            request = request.bearer(token);
        }
        let reply = request.send(&self.gateway)?;
        anyhow::ensure!(
            matches!(reply.status, 200 | 201),
            "{}: {}",
            reply.status,
            reply.text()
        );
        reply.json()
    }

    /// Gets through the gateway.
    pub(crate) fn get(&self, path: &str, token: &str) -> Result<Value> {
        Request::new("GET", path)
            .bearer(token)
            .send(&self.gateway)?
            .expect(200)
    }

    /// Waits until the order is final, and answers it.
    pub(crate) fn finished(&self, order: &str, token: &str) -> Result<Value> {
        eventually("the order is final", SOON, || {
            let order = self.get(&format!("/api/v1/orders/{order}"), token).ok()?;
            matches!(order["status"].as_str(), Some("completed" | "cancelled")).then_some(order)
        })
    }

    /// Puts a product up as the staff and waits until the inventory knows its stock.
    pub(crate) fn product(&self, name: &str, price: u64, stock: u64) -> Result<String> {
        let body = json!({ "name": name, "price": price, "stock": stock });
        let product = self.post("/api/v1/products", Some(&self.staff()?), &body)?;
        let id = product["id"].as_str().context("an id")?.to_owned();
        self.stock_becomes(&id, stock)?;
        Ok(id)
    }

    /// Waits until the product has this stock.
    pub(crate) fn stock_becomes(&self, product: &str, stock: u64) -> Result<()> {
        let token = self.staff()?;
        eventually("the stock", SOON, || {
            let inventory = self
                .get(&format!("/api/v1/inventory/{product}"), &token)
                .ok()?;
            (inventory["stock"] == stock).then_some(())
        })
    }
}

/// Waits until no other test starts a demo.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts `shop demo` on `data` with more arguments.
pub(crate) fn demo(data: &Path, args: &[&str]) -> Result<Process> {
    let mut command = Command::new(binary("shop")?);
    Process::start(command.arg("demo").arg("--data").arg(data).args(args))
}

/// Runs `shop demo --exit --json` to its end; answers its status and the summary.
pub(crate) fn run_demo(data: &Path, args: &[&str]) -> Result<(Option<i32>, Value)> {
    let _alone = alone();
    let mut process = demo(data, &[args, &["--exit", "--json"]].concat())?;
    let status = process.wait(DEMO)?;
    let summary = serde_json::from_str(&process.last_line());
    let summary = summary.with_context(|| process.output())?;
    Ok((status.code(), summary))
}
