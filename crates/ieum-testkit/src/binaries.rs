//! Where the built binaries are.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The path of the built binary `name`, from the same profile as the running test, or from the
/// folder that `IEUM_BIN_DIR` names.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("IEUM_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            // A test runs as `target/PROFILE/deps/NAME-HASH`.
            let test = std::env::current_exe().context("the test's own path")?;
            test.ancestors()
                .nth(2)
                .context("the folder of the profile")?
                .to_path_buf()
        }
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{} is not built: run `cargo xtask test`, or `cargo build -p ieum-server -p shop` first",
            path.display()
        );
    }
    Ok(path)
}
