//! The contracts between the services, beside the platform's configuration, so that `ieum impact` tells
//! which of them a change touches.

use std::path::Path;

use anyhow::{Context, Result};

/// What the configuration says of them.
pub(super) const SECTION: &str = r#"
# What the services promise each other, for `ieum impact`.
[contracts]
folders = ["contracts"]
"#;

/// The folder, beside the configuration.
const FOLDER: &str = "contracts";

macro_rules! contracts {
    ($($file:literal)+) => {
        /// Each file with its content.
        const CONTRACTS: &[(&str, &str)] = &[$(
            ($file, include_str!(concat!("../../contracts/", $file))),
        )+];
    };
}

contracts! {
    "analytics-orders.json"
    "notifications-orders.json"
    "orders-products.json"
    "orders-users.json"
}

/// Writes them to the folder of the demo's data.
pub(super) fn write(data: &Path) -> Result<()> {
    let folder = data.join(FOLDER);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    for (file, content) in CONTRACTS {
        let file = folder.join(file);
        std::fs::write(&file, content)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_contract_of_the_shop_is_missing() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/contracts");
        let files = std::fs::read_dir(folder).expect("the folder");
        let names = files.map(|file| file.expect("a file").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".json"))
            .collect();
        names.sort();
        let written: Vec<_> = CONTRACTS.iter().map(|(file, _)| *file).collect();
        assert_eq!(written, names);
    }
}
