//! The pages of `docs/patterns/` beside their Rust, which is compiled as doctests: what they configure
//! is accepted, and what they ask of the demo is answered.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use ieum_testkit::{TempFolder, binary};

use crate::shop::Shop;

/// Blocks that are run against a demo, with the variables of the index.
const DEMO: &str = "sh,not-run=needs-the-demo";
/// The page whose block sets the variables.
const INDEX: &str = "README.md";
/// The page that shows refusals on purpose.
const REFUSALS: &str = "api-gateway.md";

/// What a part of a configuration with tokens is completed by.
const KEYS: &str = "
[[gateway.jwt.keys]]
algorithm = \"HS256\"
secret-env = \"SHOP_JWT_SECRET\"
";
const SECRET: &str = "b7Kq-2fPz9Lw_x31TtVn8sRy5uAe0Jd6Gh4Mc";

#[test]
fn the_configurations_of_the_patterns_are_accepted() -> Result<()> {
    let (ieum, folder) = (binary("ieum")?, TempFolder::new()?);
    let file = folder.path().join("ieum.toml");
    let mut checked = 0;
    for page in pages()? {
        for mut block in blocks(&page, "toml")? {
            if block.contains("auth = \"jwt\"") && !block.contains("gateway.jwt.keys") {
                block.push_str(KEYS);
            }
            std::fs::write(&file, &block)?;
            let mut check = Command::new(&ieum);
            check.arg("check").arg("-c").arg(&file);
            let output = check.env("SHOP_JWT_SECRET", SECRET).output()?;
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{}: {errors}\n{block}",
                page.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} configurations were found");
    Ok(())
}

#[test]
fn what_the_patterns_ask_of_the_demo_is_answered() -> Result<()> {
    let (shop, ieum) = (Shop::start()?, binary("ieum")?);
    let variables = blocks(&folder().join(INDEX), DEMO)?;
    let variables = variables
        .first()
        .context("the index says how to try it")?
        .replace("http://127.0.0.1:8080", &format!("http://{}", shop.gateway))
        .replace(
            "http://127.0.0.1:8500",
            &format!("http://{}", shop.platform),
        );
    let mut asked = 0;
    for page in pages()?.iter().filter(|page| !page.ends_with(INDEX)) {
        for block in blocks(page, DEMO)? {
            let block = block.replace(
                "cargo run -q -p ieum-server --",
                &ieum.display().to_string(),
            );
            let output = Command::new("bash")
                .args(["-euo", "pipefail", "-c", &format!("{variables}\n{block}")])
                .env("IEUM_PLATFORM", format!("http://{}", shop.platform))
                .current_dir(folder().join("../.."))
                .output()?;
            let printed = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            let refused = printed.contains("\"code\":\"IEUM-") && !page.ends_with(REFUSALS);
            assert!(
                output.status.success() && !refused,
                "{}:\n{printed}\n{errors}",
                page.display()
            );
            asked += 1;
        }
    }
    assert!(asked > 10, "only {asked} blocks were found");
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/patterns")
}

fn pages() -> Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder())?.map(|file| Ok(file?.path()));
    let mut pages = files.collect::<Result<Vec<_>>>()?;
    pages.sort_unstable();
    Ok(pages)
}

/// The fenced blocks of a page that open with `info`.
fn blocks(page: &Path, info: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(page)?;
    let fence = format!("```{info}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| {
            let (block, _) = rest.split_once("\n```").context("a block that ends")?;
            Ok(format!("{block}\n"))
        })
        .collect()
}
