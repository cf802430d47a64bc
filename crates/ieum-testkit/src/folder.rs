//! A folder that is gone when the test is over.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// A new, empty folder; removed with all its content on drop.
#[derive(Debug)]
pub struct TempFolder(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl TempFolder {
    /// Makes a folder whose name starts with `ieum-`.
    pub fn new() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ieum-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        if path.exists() {
            // Left by a process that had the same id and was killed.
            std::fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it and answers its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, content).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // A leftover in the system's temporary folder is no reason to fail a test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
