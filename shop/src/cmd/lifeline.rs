//! The line between a demo and its children: a pipe on standard input that nobody writes to.
//!
//! However the parent dies, its end of the pipe is closed. A child that sees that ends at once, like
//! one that is killed, which it must survive anyway: a parent that is started again finds every port
//! and every lock free.

use std::io;
use std::process;

use anyhow::{Context, Result};

/// The status of a child whose parent is gone.
const ORPHANED: i32 = 3;

/// Ends this process when standard input ends.
pub(super) fn hold() -> Result<()> {
    let thread = std::thread::Builder::new().name("lifeline".into());
    thread
        .spawn(|| {
            // Whatever ends the reading, nobody holds the other end any more.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            process::exit(ORPHANED);
        })
        .context("no thread can be started")?;
    Ok(())
}
