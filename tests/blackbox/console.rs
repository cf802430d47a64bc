//! The console in a real browser (`tests/browser/console-*.mjs`), and its committed build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Request, TempFolder, eventually};
use serde_json::Value;

use crate::packages;
use crate::platform::{Platform, SOON};
use crate::shop::{DEMO, alone, demo};

/// How long a program may drive the browser.
const LONG: Duration = Duration::from_secs(240);

/// The console's folder.
fn console() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../console")
}

/// Runs a program of `tests/browser/` to its end; its output tells what was wrong.
fn drive(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = packages::browser(program)?;
    let mut process = Process::start(command.args(arguments))?;
    let status = process.wait(LONG)?;
    ensure!(status.success(), "{program}\n{}", process.output());
    Ok(process.output())
}

#[test]
fn the_console_holds_what_it_promises_with_made_up_data() -> Result<()> {
    let dist = console().join("dist");
    let dist = dist.to_str().context("a path in UTF-8")?;
    for program in ["console-stub.mjs", "console-troubles.mjs"] {
        let output = drive(program, &[dist])?;
        ensure!(
            output
                .lines()
                .any(|line| line.starts_with("# pass ") && line != "# pass 0"),
            "{program}\n{output}"
        );
    }
    Ok(())
}

#[test]
fn an_operator_finds_a_refused_order_and_replays_a_dead_letter() -> Result<()> {
    let folder = TempFolder::new()?;
    let _alone = alone();
    let orders = ["--orders", "20", "--decline", "20", "--undeliverable", "10"];
    let shop = demo(folder.path(), &orders)?;
    shop.wait_for(DEMO, |line| line.contains("Serving").then_some(()))?;
    let output = shop.output();
    let platform = output
        .lines()
        .find_map(|line| line.strip_prefix("platform API"))
        .and_then(|rest| rest.trim().strip_prefix("http://"))
        .with_context(|| format!("where is the platform?\n{output}"))?;
    drive("console-demo.mjs", &[platform])?;
    Ok(())
}

#[test]
fn a_breaker_is_seen_to_open_and_to_close() -> Result<()> {
    let route = "[[gateway.routes]]\nname = \"fragile\"\npath = \"/fragile\"\nservice = \"fragile\"\nauth = \"none\"\n";
    let platform = Platform::start(route)?;
    drive("console-breaker.mjs", &[&platform.api, &platform.gateway])?;
    Ok(())
}

#[test]
fn the_platform_serves_the_committed_build() -> Result<()> {
    let platform = Platform::start("")?;
    let dist = console().join("dist");
    for (path, file) in [
        ("/ui", "index.html"),
        ("/ui/app.js", "app.js"),
        ("/ui/app.css", "app.css"),
        ("/ui/favicon.svg", "favicon.svg"),
    ] {
        let reply = eventually("the console is served", SOON, || {
            Request::new("GET", path).send(&platform.api).ok()
        })?;
        ensure!(reply.status == 200, "{path}: {}", reply.status);
        assert_eq!(reply.text(), fs::read_to_string(dist.join(file))?, "{path}");
    }
    Ok(())
}

/// The build is committed, so that nobody needs npm; it must not be older than its sources.
#[test]
fn the_committed_build_is_of_the_present_sources() -> Result<()> {
    let script = "build/fingerprint.mjs";
    let output = Command::new("node")
        .arg(console().join(script))
        .output()
        .context("node")?;
    ensure!(output.status.success(), "{output:?}");
    let present = String::from_utf8(output.stdout)?;
    let built = fs::read_to_string(console().join("dist/SOURCE"))?;
    assert_eq!(
        built, present,
        "console/dist is old: npm ci && npm run build"
    );
    Ok(())
}

#[test]
fn both_dictionaries_have_the_same_keys_and_places() -> Result<()> {
    let [english, korean] = ["en", "ko"].map(dictionary);
    let (english, korean) = (english?, korean?);
    assert!(english.len() > 100, "{}", english.len());
    let keys = |texts: &[(String, String)]| -> Vec<String> {
        texts.iter().map(|(key, _)| key.clone()).collect()
    };
    assert_eq!(keys(&english), keys(&korean));
    for ((key, english), (_, korean)) in english.iter().zip(&korean) {
        assert_eq!(places(english), places(korean), "{key}");
        assert!(!korean.is_empty(), "{key}");
    }
    Ok(())
}

/// The keys and texts of a language, as they stand in the file.
fn dictionary(language: &str) -> Result<Vec<(String, String)>> {
    let path = console().join(format!("src/i18n/{language}.json"));
    let texts: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let texts = texts.as_object().context("an object")?;
    let text = |(key, text): (&String, &Value)| Some((key.clone(), text.as_str()?.to_owned()));
    texts
        .iter()
        .map(text)
        .collect::<Option<_>>()
        .context("texts")
}

/// The `{names}` that values are put for, in the order of the alphabet.
fn places(text: &str) -> Vec<&str> {
    let mut names: Vec<_> = text
        .split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0))
        .collect();
    names.sort_unstable();
    names
}
