//! PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::server::as_user;
use super::{ENCODED, PASSWORD, Server, USER};
use crate::wait::{eventually, free_port};

/// A PostgreSQL server, with fsync and passwords as in earnest. Dropping it ends it.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
}

impl Postgres {
    /// The user that refuses to be root.
    const ACCOUNT: &str = "postgres";

    /// Starts a new server with an empty database `ieum`.
    pub fn start() -> Result<Self> {
        Self::with(&[])
    }

    /// The same with settings, like `("max_connections", "20")`.
    pub fn with(settings: &[(&str, &str)]) -> Result<Self> {
        let mut server = Server::new("postgres", "QUIT")?;
        let port = free_port()?;
        let data = server.folder().join("data");
        create(&server, &data)?;
        let (place, socket) = (data.display().to_string(), server.folder().display());
        let mut given = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={socket}"),
            "max_connections=200".to_owned(),
            "shared_buffers=32MB".to_owned(),
        ];
        given.extend(
            settings
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        let program = program("postgres")?;
        let mut words = vec![program.as_str(), "-D", &place];
        for setting in &given {
            words.extend(["-c", setting]);
        }
        let command = as_user(Self::ACCOUNT, &words);
        server.command(command);
        let mut started = Self { server, port };
        started.start_again()?;
        started.sql("postgres", "CREATE DATABASE ieum")?;
        Ok(started)
    }

    /// The URL of a database on it, with user and password.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{ENCODED}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Makes a new, empty database and answers its URL.
    pub fn database(&self, name: &str) -> Result<String> {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\""))?;
        Ok(self.url(name))
    }

    /// Runs SQL in `database` by psql; answers what it printed, one row a line, columns by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let output = Command::new(program("psql")?)
            .args([
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-U",
                USER,
            ])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .context("cannot run psql")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        ensure!(output.status.success(), "{sql}: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    }

    /// Runs a program of PostgreSQL, such as `pg_dump`, against `database`; answers its output.
    pub fn tool(&self, name: &str, arguments: &[&str], database: &str) -> Result<Vec<u8>> {
        let output = Command::new(program(name)?)
            .args(["-h", "127.0.0.1", "-U", USER, "-p", &self.port.to_string()])
            .args(["-d", database])
            .args(arguments)
            .env("PGPASSWORD", PASSWORD)
            .output()
            .with_context(|| format!("cannot run {name}"))?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {told}");
        Ok(output.stdout)
    }

    /// Ends it as `pg_ctl stop -m immediate` does: without a checkpoint, as if it had crashed.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// Starts it again on the same data and port, and waits until it answers.
    pub fn start_again(&mut self) -> Result<()> {
        self.server.start(self.port)?;
        eventually("an answer of PostgreSQL", Duration::from_secs(60), || {
            self.sql("postgres", "SELECT 1").ok()
        })
        .with_context(|| self.server.output())?;
        Ok(())
    }

    /// Crashes it and starts it again.
    pub fn restart_immediately(&mut self) -> Result<()> {
        self.kill()?;
        self.start_again()
    }
}

fn create(server: &Server, data: &Path) -> Result<()> {
    let folder = server.folder();
    let password = folder.join("password");
    std::fs::write(&password, PASSWORD)?;
    if rustix::process::getuid().is_root() {
        let mut give = Command::new("chown");
        give.args(["-R", Postgres::ACCOUNT]).arg(folder);
        let owned = give.status().context("cannot run chown")?;
        ensure!(owned.success(), "the folder cannot be given away");
    }
    let (place, password) = (data.display().to_string(), password.display().to_string());
    let program = program("initdb")?;
    let words = as_user(
        Postgres::ACCOUNT,
        &[
            &program,
            "-D",
            &place,
            "-U",
            USER,
            "--pwfile",
            &password,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale",
            "C.UTF-8",
            "--no-sync",
        ],
    );
    let (first, rest) = words.split_first().context("no command")?;
    let output = Command::new(first).args(rest).current_dir(folder).output();
    let output = output.context("cannot run initdb")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb: {told}");
    Ok(())
}

/// The newest version that is installed, where Debian puts them.
fn program(name: &str) -> Result<String> {
    let versions = Path::new("/usr/lib/postgresql");
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(versions)
        .context("PostgreSQL is not installed (Debian: postgresql)")?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin").join(name)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    found.sort();
    let (_, path) = found
        .pop()
        .with_context(|| format!("{name} is not installed"))?;
    Ok(path.display().to_string())
}
