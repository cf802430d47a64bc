//! The file of a contract: written whole, merged with what other tests recorded.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::model::Pact;

impl Pact {
    /// The name of its file: `CONSUMER-PROVIDER.json`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.json", plain(&self.consumer), plain(&self.provider))
    }

    /// Adds what `other` has and this one has not.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if both have an interaction of the same description and states that
    /// is not the same otherwise; [`ErrorKind::Invalid`] if they are of other services.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if (&self.consumer, &self.provider) != (&other.consumer, &other.provider) {
            let text = "contracts of other services cannot be merged";
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        for interaction in &other.interactions {
            let key = interaction.sort_key();
            match self
                .interactions
                .iter()
                .find(|known| known.sort_key() == key)
            {
                None => self.interactions.push(interaction.clone()),
                Some(known) if known.to_json() == interaction.to_json() => {}
                Some(_) => {
                    let text = format!(
                        "`{}` is recorded already, and otherwise; give it another description \
                         or state, or remove the file",
                        interaction.title()
                    );
                    return Err(Error::new(ErrorKind::Conflict, text));
                }
            }
        }
        Ok(())
    }

    /// Writes the contract into its file in `folder`, merged with what is there. The folder is
    /// locked meanwhile, and the file replaced whole: tests in other processes neither see half of
    /// it nor undo each other's.
    ///
    /// # Errors
    /// [`ErrorKind::File`]; or as [`Self::merge`].
    pub fn merge_into(&self, folder: &Path) -> Result<PathBuf> {
        let cannot = |what: &'static str| {
            move |error: std::io::Error| {
                let text = format!("{}: {what}", folder.display());
                Error::new(ErrorKind::File, text).caused_by(error)
            }
        };
        std::fs::create_dir_all(folder).map_err(cannot("cannot be made"))?;
        let lock = File::open(folder).map_err(cannot("cannot be opened"))?;
        lock.lock().map_err(cannot("cannot be locked"))?;
        let file = folder.join(self.file_name());
        let merged = match file.exists() {
            false => self.clone(),
            true => {
                let mut known = Self::open(&file)?;
                known
                    .merge(self)
                    .map_err(|error| error.at(file.display()))?;
                known
            }
        };
        merged.replace(&file).map_err(cannot("cannot be written"))?;
        Ok(file)
    }

    /// Writes beside the file, then takes its name.
    fn replace(&self, file: &Path) -> std::io::Result<()> {
        let text = self.to_text();
        if std::fs::read(file).is_ok_and(|known| known == text.as_bytes()) {
            return Ok(());
        }
        let beside = file.with_extension(format!("json.{}", std::process::id()));
        let mut new = File::create(&beside)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        std::fs::rename(&beside, file)
    }
}

/// A service's name as part of a file's name.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    plain.trim_start_matches('.').to_owned()
}
