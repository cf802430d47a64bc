//! Secrets from the environment, or from files that it names; never from the command line, which
//! everybody on the machine can read.

use std::env;

use anyhow::{Context, Result, ensure};
use ieum::base::Secret;

/// The value of `NAME`, or the content of the file that `NAME_FILE` names.
pub(super) fn find(name: &str) -> Result<Option<Secret>> {
    let file_name = format!("{name}_FILE");
    let (value, file) = (env::var_os(name), env::var_os(&file_name));
    ensure!(
        value.is_none() || file.is_none(),
        "{name} and {file_name} are both set: one is enough"
    );
    if let Some(file) = file {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("{file_name}: cannot read {}", file.display()))?;
        return Ok(Some(Secret::new(text.trim_end().to_owned())));
    }
    let Some(value) = value else { return Ok(None) };
    let value = value.into_string().ok();
    let value = value.with_context(|| format!("{name} is not UTF-8"))?;
    Ok(Some(Secret::new(value)))
}
