//! What a command says: results on standard output, remarks and errors on standard error.
//!
//! The macros of the standard library panic if nobody reads any more, as in `ieum events | head`. That
//! is no failure of the command: it ends as it would have, or goes on if it serves others.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints a text and a line's end to standard output. False if nobody reads any more, so that the rest
/// can be left out.
///
/// # Errors
/// Anything else that keeps the text from being written, such as a full disk.
pub fn print(text: &dyn Display) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let text = text.to_string();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says a text and a line's end on standard error. If that cannot be written, there is nobody to tell.
pub fn remark(text: &dyn Display) {
    let text = text.to_string();
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}
