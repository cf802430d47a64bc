//! Clients that others wrote: the npm and PyPI packages that `tests/clients/NAME/` pins, and what
//! drives a browser in `tests/browser/`.
//!
//! They are installed below `target/` once. Where they cannot be installed the test fails: a green
//! suite means that real clients were served.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ieum_testkit::Process;

/// `node PROGRAM` of `tests/clients/CLIENT/`, with the packages of its `package.json`.
pub(crate) fn node(client: &str, program: &str) -> Result<Command> {
    let sources = Path::new("clients").join(client);
    let npm_install = |folder: &Path| npm(folder, &["install", "--no-package-lock"]);
    let folder = install(&sources, "package.json", npm_install)?;
    Ok(run_node(&folder, program))
}

/// `node PROGRAM` of `tests/browser/`, with the packages of its lock file.
pub(crate) fn browser(program: &str) -> Result<Command> {
    let folder = install(Path::new("browser"), "package-lock.json", |folder| {
        npm(folder, &["ci"])
    })?;
    Ok(run_node(&folder, program))
}

fn npm(folder: &Path, what: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command
        .args(what)
        .args(["--ignore-scripts", "--no-audit", "--no-fund"])
        .arg("--loglevel=error")
        .current_dir(folder);
    command
}

fn run_node(folder: &Path, program: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(program).current_dir(folder);
    command
}

/// `python3 PROGRAM` of `tests/clients/CLIENT/`, with the packages of its `requirements.txt`, which
/// names those that they need too.
pub(crate) fn python(client: &str, program: &str) -> Result<Command> {
    let sources = Path::new("clients").join(client);
    let folder = install(&sources, "requirements.txt", |folder| {
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--upgrade"])
            .args(["--disable-pip-version-check", "--no-deps", "--target", "."])
            .args(["--requirement", "requirements.txt"])
            .current_dir(folder);
        command
    })?;
    let mut command = Command::new("python3");
    command
        .arg(program)
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder);
    Ok(command)
}

/// Installs what `manifest` of the folder `place` of `tests/` names into a folder below `target/`,
/// unless exactly that is there, and puts the programs beside it, where they find it.
fn install(
    place: &Path,
    manifest: &str,
    command: impl FnOnce(&Path) -> Command,
) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    let test = std::env::current_exe()?;
    // A test runs as `target/PROFILE/deps/NAME-HASH`.
    let target = test.ancestors().nth(3).context("the target folder")?;
    let folder = target.join(place).join(manifest.replace('.', "-"));
    fs::create_dir_all(&folder)?;
    // Other tests want the same, in this process or in others.
    let alone = File::create(folder.join("lock"))?;
    alone.lock()?;
    for entry in fs::read_dir(&sources)? {
        let source = entry?.path();
        if source.is_file() {
            put(
                &source,
                &folder.join(source.file_name().context("a file's name")?),
            )?;
        }
    }
    let wanted = fs::read(sources.join(manifest))?;
    let done = folder.join("installed");
    if fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let mut installer = Process::start(&mut command(&folder))?;
    let status = installer.wait(LONG)?;
    if !status.success() {
        let output = installer.output();
        bail!(
            "the packages of {}/{manifest} cannot be installed:\n{output}",
            place.display()
        );
    }
    fs::write(done, wanted)?;
    Ok(folder)
}

/// Copies a file, unless it is there: another test may be running it.
fn put(source: &Path, copy: &Path) -> Result<()> {
    let wanted = fs::read(source)?;
    if fs::read(copy).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    fs::write(copy, wanted).with_context(|| copy.display().to_string())
}

/// How long an installation may take.
const LONG: Duration = Duration::from_secs(180);
