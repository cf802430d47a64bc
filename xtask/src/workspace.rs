//! Where the workspace is, what it consists of, and how to run a command in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A file of the workspace: its path from the root, with `/`, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the workspace that cargo runs us in: two checkouts may share what is built.
pub(crate) fn root() -> PathBuf {
    let built = || env!("CARGO_MANIFEST_DIR").into();
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(built);
    let xtask = Path::new(&xtask);
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// All files that end with `ending` below the folders that hold sources, in order of their paths.
pub(crate) fn files(ending: &str) -> Result<Vec<Source>> {
    let root = root();
    let mut found = Vec::new();
    for folder in [
        "crates", "shop", "console", "tests", "xtask", "docs", "examples", "bench", "fuzz",
    ] {
        collect(&root.join(folder), ending, &mut found)?;
    }
    for entry in std::fs::read_dir(&root)? {
        let path = entry?.path();
        if path.is_file() && path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found.into_iter().map(|path| read(&root, &path)).collect()
}

/// A command that runs in the root of the workspace with the cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs `command`; an exit status other than 0 is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        if path.is_dir() && !matches!(&*name, "target" | "node_modules") {
            collect(&path, ending, found)?;
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path) -> Result<Source> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let relative = path
        .strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/");
    Ok(Source {
        path: relative,
        text,
    })
}
