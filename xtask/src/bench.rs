//! `cargo xtask bench NAME`: runs the script of that name under `bench/`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::workspace;

/// Runs `bench/NAME.sh` with `args` in the root of the workspace.
pub(crate) fn run(name: &str, args: &[&str]) -> Result<()> {
    let root = workspace::root();
    let script = root.join("bench").join(format!("{name}.sh"));
    if name.contains('/') || !script.is_file() {
        bail!("there is no benchmark `{name}`: see the scripts under bench/");
    }
    workspace::run(
        Command::new("bash")
            .arg(script)
            .args(args)
            .current_dir(root),
    )
}
