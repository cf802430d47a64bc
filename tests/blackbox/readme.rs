//! The README's walk works as it is printed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use ieum_testkit::binary;

use crate::shop::Shop;

#[test]
fn the_walk_of_the_readme_places_an_order() -> Result<()> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme)?;
    let walk = readme
        .split("```sh\n")
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
        .find(|block| block.contains("/api/v1/sessions"))
        .context("the README has a walk")?;
    let shop = Shop::start()?;
    let ieum = binary("ieum")?;
    let script = walk
        .replace("http://127.0.0.1:8080", &format!("http://{}", shop.gateway))
        .replace(
            "http://127.0.0.1:8500",
            &format!("http://{}", shop.platform),
        )
        .replace(
            "cargo run -q -p ieum-server --",
            &ieum.display().to_string(),
        );
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("IEUM_PLATFORM", format!("http://{}", shop.platform))
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    assert!(
        printed.contains(r#""status":"completed""#),
        "{printed}\n{errors}"
    );
    Ok(())
}
