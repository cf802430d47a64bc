//! The services in other languages: made ready once, then children of the demo like the others.
//!
//! Their sources are part of this binary (`examples/polyglot`), so that the demo runs from anywhere.
//! What they need is installed once, beside the binary, and used by every later demo of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ieum::base::{Secret, Stop, Tasks, Uuid};
use tokio::process::Command;

use super::children::{Children, Program};
use super::config::Saga;
use super::ports::Ports;
use super::site::Site;
use crate::cli::{DemoArgs, FlowArg};

/// The names of the services, and the ports that they use where those are free.
const SERVICES: [(&str, u16); 3] = [("loyalty", 3011), ("invoices", 3012), ("donations", 3013)];

/// A file of `examples/polyglot`: its path there and its text.
macro_rules! source {
    ($path:literal) => {
        (
            $path,
            include_str!(concat!("../../../examples/polyglot/", $path)),
        )
    };
}

/// The files of `examples/polyglot` that a service is made of.
const SOURCES: [(&str, &str); 10] = [
    source!("node/package.json"),
    source!("node/package-lock.json"),
    source!("node/ledger.mjs"),
    source!("node/loyalty.mjs"),
    source!("node/platform.mjs"),
    source!("python/requirements.txt"),
    source!("python/invoices.py"),
    source!("python/ledger.py"),
    source!("python/registration.py"),
    source!("python/tracing.py"),
];
const JAVA: (&str, &str) = source!("java/Donations.java");

/// A program that must be there: how it says its version, and the least that will do.
struct Runtime {
    program: &'static str,
    arguments: &'static [&'static str],
    least: (u32, u32),
}

const RUNTIMES: [Runtime; 6] = [
    runtime("node", &["--version"], (18, 20)),
    runtime("npm", &["--version"], (7, 0)),
    runtime("python3", &["--version"], (3, 10)),
    runtime("python3", &["-m", "pip", "--version"], (20, 0)),
    runtime("javac", &["-version"], (17, 0)),
    runtime("java", &["-version"], (17, 0)),
];

/// What is run to install what the services need, in which folder.
const INSTALLS: [(&str, &str, &[&str]); 3] = [
    (
        "node",
        "npm",
        &["ci", "--no-audit", "--no-fund", "--ignore-scripts"],
    ),
    (
        "python",
        "python3",
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            "site",
            "-r",
            "requirements.txt",
        ],
    ),
    ("java", "javac", &["Donations.java"]),
];

/// How long one installation may take: a registry may be far away.
const INSTALL: Duration = Duration::from_secs(300);
/// How long what watches over the children may take to end.
const STOP: Duration = Duration::from_secs(1);
/// The one stage of services that run beside a platform in this process.
const STAGE: u8 = 0;

/// The services, ready to be started.
#[derive(Clone, Debug)]
pub(super) struct Kit {
    folder: PathBuf,
    data: PathBuf,
}

/// Makes the services ready if the demo wants them.
pub(super) async fn prepare(args: &DemoArgs, site: &Site) -> Result<Option<Kit>> {
    let data = site.data();
    let with = data.join(Saga::Polyglot.file()).is_file();
    let begun = site.has_begun();
    match (begun, with, args.polyglot) {
        (true, true, false) => bail!(
            "{} was begun with --polyglot: its sagas need it again",
            data.display()
        ),
        (true, false, true) => bail!(
            "{} was begun without --polyglot: use another --data directory",
            data.display()
        ),
        (_, _, false) => return Ok(None),
        (_, _, true) => {}
    }
    ensure!(
        args.flow == FlowArg::Orchestrated,
        "--polyglot adds steps to the saga, and the choreographed flow has none: leave out \
         `--flow choreographed`"
    );
    ensure!(
        args.data.is_some() || site.engines().database.is_none(),
        "the services of --polyglot keep their ledgers in files: name a folder for them with --data"
    );
    require_runtimes().await?;
    let folder = installed(data).await?;
    let data = data.to_owned();
    Ok(Some(Kit { folder, data }))
}

impl Kit {
    /// Addresses for the services.
    pub(super) fn addresses(ports: &mut Ports) -> Result<BTreeMap<&'static str, SocketAddr>> {
        let taken = SERVICES.map(|(name, port)| Ok((name, ports.take(port)?)));
        taken.into_iter().collect()
    }

    /// The services as children of `stage`, at their addresses among `places`.
    pub(super) fn programs(
        &self,
        api: SocketAddr,
        places: &BTreeMap<&'static str, SocketAddr>,
        stage: u8,
    ) -> Result<Vec<Program>> {
        let program = |(name, _)| {
            let address = places.get(name);
            let address = *address.with_context(|| format!("{name} has no address"))?;
            let (executable, mut arguments) = self.command(name);
            let (platform, listen) = (format!("http://{api}"), address.to_string());
            let flags = ["--lifeline", "--platform", &platform, "--listen", &listen];
            arguments.extend(flags.map(OsString::from));
            arguments.extend(["--data".into(), self.data.clone().into()]);
            let site = self.folder.join("python/site").display().to_string();
            Ok(Program {
                name,
                stage,
                executable: executable.into(),
                arguments,
                environment: vec![("PYTHONPATH", Secret::new(site))],
                health: format!("http://{address}/health"),
            })
        };
        SERVICES.into_iter().map(program).collect()
    }

    fn command(&self, name: &str) -> (&'static str, Vec<OsString>) {
        let file = |path: &str| self.folder.join(path).into_os_string();
        match name {
            "loyalty" => ("node", vec![file("node/loyalty.mjs")]),
            "invoices" => ("python3", vec![file("python/invoices.py")]),
            // A small heap and the first compiler alone: it starts sooner, and is killed often.
            _ => {
                let quick = [
                    "-Xmx64m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                ];
                let quick = quick.map(OsString::from).into_iter();
                let rest = [file("java"), "Donations".into()];
                ("java", quick.chain(rest).collect())
            }
        }
    }
}

/// The services beside a shop that runs in this process.
#[derive(Default)]
pub(super) struct Guests(Option<(Children, Tasks)>);

impl Guests {
    /// Starts the services at `places`, and waits until each answers. None, if there is no kit.
    pub(super) async fn start(
        kit: Option<&Kit>,
        api: SocketAddr,
        places: &BTreeMap<&'static str, SocketAddr>,
    ) -> Result<Self> {
        let Some(kit) = kit else {
            return Ok(Self::default());
        };
        let tasks = Tasks::new(Stop::new());
        let mut children = Children::new(kit.data.join("logs"), tasks.clone())?;
        for program in kit.programs(api, places, STAGE)? {
            children.add(program);
        }
        let guests = Self(Some((children, tasks)));
        let started = guests.up().await;
        match started {
            Ok(()) => Ok(guests),
            Err(error) => {
                // What cannot be ended in order now is killed with the table.
                let _ = guests.end().await;
                Err(error)
            }
        }
    }

    async fn up(&self) -> Result<()> {
        match &self.0 {
            Some((children, _)) => children.start_stage(STAGE).await,
            None => Ok(()),
        }
    }

    /// Resolves when one ended that nobody told to.
    pub(super) async fn failed(&self) -> String {
        match &self.0 {
            Some((children, _)) => children.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Ends them with SIGTERM.
    pub(super) async fn end(self) -> Result<()> {
        let Some((children, tasks)) = self.0 else {
            return Ok(());
        };
        let ended = children.end().await;
        let _ended = tasks.shut_down(STOP).await;
        ended
    }
}

/// Says all that is missing at once.
async fn require_runtimes() -> Result<()> {
    let mut missing = Vec::new();
    for runtime in RUNTIMES {
        if let Some(trouble) = runtime.trouble().await {
            missing.push(trouble);
        }
    }
    ensure!(
        missing.is_empty(),
        "--polyglot runs services in Node, Python and Java, and this is missing:\n  {}",
        missing.join("\n  ")
    );
    Ok(())
}

impl Runtime {
    /// What is wrong with it, for people.
    async fn trouble(&self) -> Option<String> {
        let (major, minor) = self.least;
        let what = match self.arguments {
            ["-m", module, ..] => format!("{} -m {module}", self.program),
            _ => self.program.to_owned(),
        };
        let wanted = format!("{what}, version {major}.{minor} or later");
        let output = Command::new(self.program)
            .args(self.arguments)
            .output()
            .await;
        let Ok(output) = output else {
            return Some(format!("{wanted}: not found"));
        };
        // Java says its version on standard error.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        match version(&said) {
            Some(found) if found >= self.least => None,
            Some((major, minor)) => Some(format!("{wanted}: {major}.{minor} is here")),
            None => {
                let first = said.lines().next().unwrap_or("it does not say its version");
                Some(format!("{wanted}: {first}"))
            }
        }
    }
}

/// The first two numbers of the first word that looks like a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let words = text.split(|c: char| c.is_whitespace() || c == '"');
    words.into_iter().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split(['.', '+', '-']);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next().and_then(|minor| minor.parse().ok());
        Some((major, minor.unwrap_or(0)))
    })
}

/// The folder of the services with all that they need: beside this binary, or in the data folder
/// where that cannot be written.
async fn installed(data: &Path) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (SOURCES, JAVA).hash(&mut hasher);
    let name = format!("polyglot-{:016x}", hasher.finish());
    let binary = std::env::current_exe().context("where is this binary?")?;
    let beside = binary.with_file_name(&name);
    if beside.is_dir() {
        return Ok(beside);
    }
    let passing = format!("{name}.{}", Uuid::new_v4().simple());
    let (folder, new) = match binary.with_file_name(&passing) {
        new if fs::create_dir(&new).is_ok() => (beside, new),
        _ => (data.join(&name), data.join(&passing)),
    };
    if folder.is_dir() {
        return Ok(folder);
    }
    let made = install(&new).await;
    // Of two demos that install at once, one is first; the other uses what that made.
    let moved = made.and_then(|()| match fs::rename(&new, &folder) {
        Err(_) if folder.is_dir() => Ok(()),
        moved => moved.with_context(|| format!("cannot make {}", folder.display())),
    });
    if new.is_dir() {
        fs::remove_dir_all(&new)?;
    }
    moved.map(|()| folder)
}

async fn install(folder: &Path) -> Result<()> {
    for (path, text) in SOURCES.into_iter().chain([JAVA]) {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    for (part, program, arguments) in INSTALLS {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder.join(part));
        let output = tokio::time::timeout(INSTALL, command.kill_on_drop(true).output()).await;
        let what = format!("`{program} {}`", arguments.join(" "));
        let output = output.with_context(|| format!("{what} took more than {INSTALL:?}"))??;
        ensure!(
            output.status.success(),
            "{what} failed for --polyglot:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(())
}

const fn runtime(
    program: &'static str,
    arguments: &'static [&'static str],
    least: (u32, u32),
) -> Runtime {
    Runtime {
        program,
        arguments,
        least,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_as_programs_say_them() {
        let cases = [
            ("v20.20.2\n", Some((20, 20))),
            ("11.19.1\n", Some((11, 19))),
            ("Python 3.11.7", Some((3, 11))),
            ("pip 23.2.1 from /usr/lib (python 3.11)", Some((23, 2))),
            ("javac 17.0.15", Some((17, 0))),
            ("javac 21", Some((21, 0))),
            ("openjdk version \"17.0.15\" 2025-04-15", Some((17, 0))),
            ("openjdk 25-ea 2025-09-16", Some((25, 0))),
            ("No module named pip", None),
        ];
        for (said, expected) in cases {
            assert_eq!(version(said), expected, "{said}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_missing_or_old_is_named() {
        let absent = runtime("no-such-program-here", &["--version"], (20, 0));
        let text = absent.trouble().await.expect("it is missing");
        assert_eq!(
            text,
            "no-such-program-here, version 20.0 or later: not found"
        );
        let old = runtime("cargo", &["--version"], (999, 0));
        let text = old.trouble().await.expect("it is old");
        assert!(
            text.starts_with("cargo, version 999.0 or later: 1."),
            "{text}"
        );
    }
}
