//! `shop demo`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ieum::base::Stop;

use super::engines;
use crate::cli::DemoArgs;
use crate::demo::{self, Site};
use crate::support::engines::Engines;

/// Runs the demo. True if the books balance.
pub(crate) async fn run(args: &DemoArgs) -> Result<bool> {
    let stop = Stop::new();
    ieum::chassis::stop_on_signals(&stop)?;
    let engines = Engines {
        database: engines::database(args.database.as_ref())?,
        broker: engines::broker(args.broker.as_ref())?,
    };
    engines.validate()?;
    let folder = Folder::of(args.data.as_deref())?;
    let site = Site::new(folder.path(), engines);
    let outcome = demo::run(args, &site, &stop).await;
    folder.close()?;
    outcome
}

/// Where the data are kept.
enum Folder {
    /// Named by the user, and kept.
    Kept(PathBuf),
    /// Made for this run, and removed at its end.
    Passing(PathBuf),
}

impl Folder {
    fn of(data: Option<&Path>) -> Result<Self> {
        let folder = match data {
            Some(data) => Self::Kept(data.to_owned()),
            None => {
                let name = format!("shop-demo-{}", ieum::base::Uuid::new_v4().simple());
                Self::Passing(std::env::temp_dir().join(name))
            }
        };
        std::fs::create_dir_all(folder.path())
            .with_context(|| format!("cannot make the folder {}", folder.path().display()))?;
        Ok(folder)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Passing(path) => path,
        }
    }

    fn close(self) -> Result<()> {
        match self {
            Self::Kept(_) => Ok(()),
            Self::Passing(path) => std::fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display())),
        }
    }
}
