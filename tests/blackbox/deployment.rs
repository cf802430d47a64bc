//! The examples for containers and systemd are documentation that is checked: by the tools that will
//! read them, and by the binaries whose command lines they hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{TempFolder, binary};

/// The units, each with an instance to look at.
const UNITS: [(&str, &str); 3] = [
    ("ieum.service", ""),
    ("ieum-gateway@.service", "8080"),
    ("shop@.service", "users"),
];

/// The most exposure that `systemd-analyze security` may find, in tenths: 20 is "OK".
const EXPOSURE: &str = "--threshold=20";

/// What nobody may be given.
const TOO_MUCH: [&str; 5] = [
    "privileged",
    "docker.sock",
    "network_mode: host",
    "cap_add",
    "pid: host",
];

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(example(path)).with_context(|| path.to_owned())
}

/// Runs `command`; an error shows what it printed.
fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let printed =
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{printed}",
        output.status
    );
    Ok(printed)
}

/// What the configurations of the examples refer to, in a folder of its own.
struct Etc(TempFolder);

impl Etc {
    fn new() -> Result<Self> {
        let etc = Self(TempFolder::new()?);
        let sagas = etc.0.path().join("sagas");
        std::fs::create_dir(&sagas)?;
        std::fs::copy(
            example("shop/sagas/place-order.json"),
            sagas.join("place-order.json"),
        )?;
        etc.0
            .write("platform_token", "a-token-that-nobody-guesses")?;
        let whole = read("examples/ieum.toml")?;
        let key = whole.split("\"\"\"").nth(1).context("a public key")?;
        etc.0.write("sessions_public_key", key)?;
        Ok(etc)
    }

    /// The example's configuration, with its secrets here.
    fn configuration(&self, name: &str) -> Result<PathBuf> {
        let text = read(&format!("examples/compose/{name}"))?;
        let here = format!("{}/", self.0.path().display());
        self.0.write(name, text.replace("/run/secrets/", &here))
    }

    /// Has the binaries parse a command line without doing what it says.
    fn parse(&self, words: &[String]) -> Result<String> {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["ieum", "up", "--config", file, rest @ ..] => {
                let role = if file.contains("gateway") {
                    "gateway.toml"
                } else {
                    "platform.toml"
                };
                let mut check = Command::new(binary("ieum")?);
                check
                    .args(["check", "--config"])
                    .arg(self.configuration(role)?)
                    .args(rest);
                run(&mut check)
            }
            ["shop", "serve", rest @ ..] => run(Command::new(binary("shop")?)
                .arg("serve")
                .args(rest)
                .arg("--help")),
            ["ieum", "health", rest @ ..] => run(Command::new(binary("ieum")?)
                .arg("health")
                .args(rest)
                .arg("--help")),
            _ => anyhow::bail!("no command of ours: {words:?}"),
        }
    }
}

/// The units in a folder, with the built binaries in the place of the installed ones.
fn installed() -> Result<TempFolder> {
    let folder = TempFolder::new()?;
    let built = binary("ieum")?;
    let built = built.parent().context("a folder of binaries")?.display();
    for (unit, _) in UNITS {
        let text = read(&format!("examples/systemd/{unit}"))?;
        folder.write(unit, text.replace("/usr/bin/", &format!("{built}/")))?;
    }
    let drop_in = "shop@users.service.d/secrets.conf";
    std::fs::create_dir(folder.path().join("shop@users.service.d"))?;
    folder.write(drop_in, read(&format!("examples/systemd/{drop_in}"))?)?;
    Ok(folder)
}

fn instance_of(unit: &str, instance: &str) -> String {
    unit.replace("@.", &format!("@{instance}."))
}

#[test]
fn systemd_accepts_the_units() -> Result<()> {
    let folder = installed()?;
    let units = UNITS.map(|(unit, instance)| format!("./{}", instance_of(unit, instance)));
    let mut verify = Command::new("systemd-analyze");
    let printed = run(verify.arg("verify").args(units).current_dir(folder.path()))?;
    assert_eq!(printed, "", "no remark either");
    // An unknown directive is a remark and no failure: the check above must be able to see one.
    folder.write(
        "wrong.service",
        "[Service]\nExecStart=/bin/true\nProtectSytem=strict\n",
    )?;
    let mut verify = Command::new("systemd-analyze");
    let output = verify
        .args(["verify", "./wrong.service"])
        .current_dir(folder.path())
        .output()?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("ProtectSytem"));
    Ok(())
}

#[test]
fn systemd_finds_the_units_hardened() -> Result<()> {
    let folder = installed()?;
    for (unit, _) in UNITS {
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager", EXPOSURE, unit]);
        run(security.current_dir(folder.path()))?;
    }
    Ok(())
}

#[test]
fn the_units_start_what_exists_and_wait_for_its_drain() -> Result<()> {
    let etc = Etc::new()?;
    for (unit, instance) in UNITS {
        let text = read(&format!("examples/systemd/{unit}"))?;
        let value = |key: &str| {
            let found = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.with_context(|| format!("{unit}: {key}"))
        };
        let line = value("ExecStart")?
            .replace("/usr/bin/", "")
            .replace("%i", instance);
        let line = line.replace("%S", "/var/lib");
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        etc.parse(&words).with_context(|| unit.to_owned())?;
        let stop: u32 = value("TimeoutStopSec")?.trim_end_matches('s').parse()?;
        assert!(stop > DRAIN, "{unit} is killed after {stop} s");
    }
    Ok(())
}

/// Linger, the platform's drain and the gateway's, in seconds, by their defaults.
const DRAIN: u32 = 5 + 30 + 30;

/// The service's keys in what `docker-compose config` prints: `name → key → values`.
fn services(config: &str) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let mut services = BTreeMap::<String, BTreeMap<String, Vec<String>>>::new();
    let (mut name, mut key) = (String::new(), String::new());
    let of_services = config
        .lines()
        .skip_while(|line| *line != "services:")
        .skip(1);
    for line in of_services.take_while(|line| line.starts_with(' ')) {
        let word = line.trim_start();
        match line.len() - word.len() {
            2 => name = word.trim_end_matches(':').to_owned(),
            4 if !word.starts_with("- ") => {
                let (before, value) = word.split_once(':').unwrap_or((word, ""));
                key = before.to_owned();
                let values = services.entry(name.clone()).or_default();
                values
                    .entry(key.clone())
                    .or_default()
                    .push(value.trim().to_owned());
            }
            _ => {
                let values = services.entry(name.clone()).or_default().entry(key.clone());
                values
                    .or_default()
                    .push(word.trim_start_matches("- ").to_owned());
            }
        }
    }
    for service in services.values_mut() {
        service
            .values_mut()
            .for_each(|values| values.retain(|value| !value.is_empty()));
    }
    services
}

#[test]
fn compose_accepts_the_example_and_every_container_is_confined() -> Result<()> {
    let file = example("examples/compose/compose.yaml");
    let config = run(Command::new("docker-compose")
        .arg("-f")
        .arg(&file)
        .arg("config"))?;
    let services = services(&config);
    assert_eq!(services.len(), 12, "{:?}", services.keys());
    let etc = Etc::new()?;
    for (name, service) in &services {
        let of = |key: &str| service.get(key).map_or(&[][..], Vec::as_slice);
        assert_eq!(of("read_only"), ["true"], "{name}");
        assert_eq!(of("cap_drop"), ["ALL"], "{name}");
        assert_eq!(of("restart"), ["unless-stopped"], "{name}");
        assert!(
            of("security_opt")
                .iter()
                .any(|o| o.contains("no-new-privileges")),
            "{name}"
        );
        assert!(
            of("secrets").iter().any(|s| s.contains("platform_token")),
            "{name}"
        );
        let image = of("image").first().context("an image")?;
        let line: Vec<_> = [image].into_iter().chain(of("command")).cloned().collect();
        etc.parse(&line).with_context(|| name.clone())?;
        let check = of("healthcheck");
        let asked = check
            .iter()
            .position(|word| word == "/ieum")
            .context("a check")?;
        let asked: Vec<_> = check[asked + 1..asked + 3].to_vec();
        etc.parse(&[vec!["ieum".to_owned()], asked].concat())?;
    }
    for word in TOO_MUCH {
        assert!(!config.contains(word), "{word}");
    }
    Ok(())
}

#[test]
fn compose_refuses_what_is_no_key_of_its_own() -> Result<()> {
    let folder = TempFolder::new()?;
    let text = read("examples/compose/compose.yaml")?.replace("read_only:", "readonly:");
    let file = folder.write("compose.yaml", text)?;
    let output = Command::new("docker-compose")
        .arg("-f")
        .arg(file)
        .arg("config")
        .output()?;
    assert!(!output.status.success(), "the check is not blind");
    Ok(())
}

/// The instructions of a Containerfile, continued lines joined.
fn instructions(text: &str) -> Result<Vec<(String, String)>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ').with_context(|| line.to_owned())?;
        let known = [
            "FROM",
            "WORKDIR",
            "COPY",
            "ENV",
            "RUN",
            "USER",
            "EXPOSE",
            "STOPSIGNAL",
            "ENTRYPOINT",
            "CMD",
        ];
        ensure!(
            known.contains(&word),
            "no instruction that is expected: {line}"
        );
        Ok((word.to_owned(), rest.trim().to_owned()))
    };
    lines.map(split).collect()
}

#[test]
fn the_images_hold_a_static_binary_and_no_root() -> Result<()> {
    let instructions = instructions(&read("Containerfile")?)?;
    let stages: Vec<_> = instructions
        .split(|(word, _)| word == "FROM")
        .skip(1)
        .collect();
    let from: Vec<_> = instructions
        .iter()
        .filter(|(word, _)| word == "FROM")
        .collect();
    let minimum = read("Cargo.toml")?;
    let minimum = minimum
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let minimum = minimum.context("rust-version")?.trim_matches('"');
    assert!(
        from[0].1.contains(&format!("rust:{minimum}-")),
        "{}",
        from[0].1
    );
    assert!(
        stages[0]
            .iter()
            .any(|(_, rest)| rest.contains("+crt-static"))
    );
    assert_eq!(
        from[1..]
            .iter()
            .map(|(_, rest)| rest.as_str())
            .collect::<Vec<_>>(),
        ["scratch AS ieum", "scratch AS shop"]
    );
    for stage in &stages[1..] {
        let of = |word: &str| -> Vec<&str> {
            let found = stage.iter().filter(|(name, _)| name == word);
            found.map(|(_, rest)| rest.as_str()).collect()
        };
        assert!(of("RUN").is_empty(), "there is no shell to run anything");
        let [user] = of("USER")[..] else {
            anyhow::bail!("one user")
        };
        assert!(
            user.split(':')
                .all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
            "{user}"
        );
        let [entry] = of("ENTRYPOINT")[..] else {
            anyhow::bail!("one entry point")
        };
        let [command] = of("CMD")[..] else {
            anyhow::bail!("one command")
        };
        let entry: Vec<String> = serde_json::from_str(entry).context("JSON: no shell")?;
        let command: Vec<String> = serde_json::from_str(command).context("JSON: no shell")?;
        let copied = of("COPY")
            .iter()
            .any(|copy| copy.ends_with(&format!(" {}", entry[0])));
        assert!(copied, "{entry:?} is copied from the first stage");
        let name = entry[0].trim_start_matches('/');
        run(Command::new(binary(name)?).args(command).arg("--help"))?;
    }
    Ok(())
}
