//! What the documents show works as it is printed: each shell block of each page is run, in a copy of
//! what it may change, or says why it is not; each configuration is accepted.
//!
//! The pages of `docs/patterns/` that need the demo, and their configurations, are tried in `patterns`.
//! A Korean page has the same blocks, byte for byte (`cargo xtask tidy`).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{TempFolder, binary};

use crate::shop::{self, Shop};

/// Where a demo answers, as the pages print it.
const GATEWAY: &str = "http://127.0.0.1:8080";
const PLATFORM: &str = "http://127.0.0.1:8500";

/// What a part of a configuration with tokens is completed by.
const KEYS: &str = "
[[gateway.jwt.keys]]
algorithm = \"HS256\"
secret-env = \"SHOP_JWT_SECRET\"
";
const SECRET: &str = "b7Kq-2fPz9Lw_x31TtVn8sRy5uAe0Jd6Gh4Mc";

/// What the pages show code in.
struct Block {
    /// The page, from the root, and the line of the fence.
    place: String,
    /// What stands after the fence.
    info: String,
    text: String,
}

#[test]
fn what_the_documents_ask_of_a_demo_is_answered() -> Result<()> {
    let shop = Shop::start()?;
    let checkout = Checkout::new()?;
    for block in runnable()?.iter().filter(|block| block.needs_a_demo()) {
        let script = block
            .text
            .replace(GATEWAY, &format!("http://{}", shop.gateway))
            .replace(PLATFORM, &format!("http://{}", shop.platform));
        checkout.run(block, &script, &shop.platform)?;
    }
    Ok(())
}

#[test]
fn what_the_documents_run_by_itself_ends_well() -> Result<()> {
    let checkout = Checkout::new()?;
    for block in runnable()?.iter().filter(|block| !block.needs_a_demo()) {
        // Demos take the same default ports.
        let _alone = block.text.contains("shop -- demo").then(shop::alone);
        checkout.run(block, &block.text, "")?;
    }
    Ok(())
}

#[test]
fn what_the_documents_do_not_run_says_why() -> Result<()> {
    let blocks = blocks("sh")?;
    let mut unexplained = Vec::new();
    for block in blocks.iter().filter(|block| block.info != "sh") {
        match block.info.strip_prefix("sh,not-run=") {
            Some(why) if !why.is_empty() => println!("{:50} {why}", block.place),
            _ => unexplained.push(&block.place),
        }
    }
    assert!(unexplained.is_empty(), "{unexplained:?}");
    let run = blocks.iter().filter(|block| block.info == "sh").count();
    assert!(run >= 5, "only {run} of {} blocks are run", blocks.len());
    Ok(())
}

#[test]
fn the_configurations_of_the_documents_are_accepted() -> Result<()> {
    let (ieum, folder) = (binary("ieum")?, TempFolder::new()?);
    // What the pages name beside the configuration.
    folder.write("redis.url", "redis://127.0.0.1:6379\n")?;
    let descriptors = std::fs::read(root().join("shop/proto/shop.binpb"))?;
    folder.write("users.binpb", descriptors)?;
    let blocks = blocks("toml")?;
    ensure!(blocks.len() > 3, "only {} configurations", blocks.len());
    for block in blocks {
        let mut text = block.text;
        if text.contains("auth = \"jwt\"") && !text.contains("gateway.jwt.keys") {
            text.push_str(KEYS);
        }
        let file = folder.write("ieum.toml", &text)?;
        let mut check = Command::new(&ieum);
        check.arg("check").arg("-c").arg(&file);
        // What the pages have in the environment.
        check
            .env("SHOP_JWT_SECRET", SECRET)
            .env("IEUM_TOKEN", SECRET);
        let output = check.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        // Engines are features; `cargo xtask test` builds all of them.
        let lacks_it = errors.contains("is not built into this program");
        let is_fine = output.status.success() || lacks_it;
        assert!(is_fine, "{}: {errors}\n{text}", block.place);
    }
    Ok(())
}

impl Block {
    fn needs_a_demo(&self) -> bool {
        self.text.contains(GATEWAY) || self.text.contains(PLATFORM)
    }
}

/// What stands in a checkout: links to what a block reads, a copy of the examples, which write beside
/// themselves.
struct Checkout {
    folder: TempFolder,
}

impl Checkout {
    fn new() -> Result<Self> {
        let folder = TempFolder::new()?;
        for entry in std::fs::read_dir(root())? {
            let entry = entry?;
            if !matches!(
                entry.file_name().to_str(),
                Some("target" | "examples" | ".git")
            ) {
                std::os::unix::fs::symlink(entry.path(), folder.path().join(entry.file_name()))?;
            }
        }
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .arg(root().join("examples"))
            .arg(folder.path());
        ensure!(copy.status()?.success(), "the examples cannot be copied");
        Ok(Self { folder })
    }

    /// Runs a block with the binaries that were built, as cargo would.
    fn run(&self, block: &Block, script: &str, platform: &str) -> Result<()> {
        let (ieum, shop) = (binary("ieum")?, binary("shop")?);
        let mut script = script.to_owned();
        for quiet in ["", "-q "] {
            for (package, program) in [("ieum-server", &ieum), ("shop", &shop)] {
                let by_cargo = format!("cargo run {quiet}-p {package} --");
                script = script.replace(&by_cargo, &program.display().to_string());
            }
        }
        script = script.replace("cargo build -p ieum-server", "true");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .env("IEUM", &ieum)
            .env("IEUM_PLATFORM", format!("http://{platform}"))
            .current_dir(self.folder.path())
            .output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let place = &block.place;
        ensure!(output.status.success(), "{place}:\n{printed}\n{errors}");
        ensure!(!printed.contains("\"code\":\"IEUM-"), "{place}:\n{printed}");
        Ok(())
    }
}

/// The shell blocks that run as they stand.
fn runnable() -> Result<Vec<Block>> {
    let mut blocks = blocks("sh")?;
    blocks.retain(|block| block.info == "sh");
    Ok(blocks)
}

/// The blocks of a language on all English pages.
fn blocks(language: &str) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    for page in pages()? {
        let text = std::fs::read_to_string(root().join(&page))?;
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some("")) => found.extend(open.take()),
                (Some(block), _) => block.text.push_str(&format!("{line}\n")),
                (None, Some(info)) => {
                    open = Some(Block {
                        place: format!("{}:{number}", page.display()),
                        info: info.to_owned(),
                        text: String::new(),
                    });
                }
                (None, None) => {}
            }
        }
    }
    found.retain(|block| block.info.split(',').next() == Some(language));
    Ok(found)
}

/// The English pages, from the root; those of the patterns are tried elsewhere where they need more.
fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for folder in ["docs", "examples", "console", "shop", "bench"] {
        collect(&root().join(folder), &mut pages)?;
    }
    for entry in std::fs::read_dir(root())? {
        let path = entry?.path();
        pages.extend(is_english(&path).then_some(path));
    }
    let relative = pages.iter().map(|page| page.strip_prefix(root()));
    let mut pages = relative
        .map(|page| page.map(Path::to_path_buf).context("a page elsewhere"))
        .collect::<Result<Vec<_>>>()?;
    pages.sort_unstable();
    Ok(pages)
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() && !matches!(name, Some("ko" | "node_modules" | "target")) {
            collect(&path, pages)?;
        } else {
            pages.extend(is_english(&path).then_some(path));
        }
    }
    Ok(())
}

fn is_english(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.ends_with(".md") && !name.ends_with(".ko.md")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
