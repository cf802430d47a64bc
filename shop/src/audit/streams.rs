//! Is every stream whole?

use anyhow::Result;

use super::book::Reading;
use super::books::Books;

/// The versions of each stream run from 1 to its head without a gap: nothing was taken out, not even
/// at the end, and nothing was put in.
pub(super) fn check(owner: &str, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let streams = book.rows(
        "SELECT s.name, s.version, count(e.version), min(e.version), max(e.version)
         FROM ieum_streams s LEFT JOIN ieum_events e ON e.stream = s.name
         GROUP BY s.name, s.version
         UNION ALL
         SELECT stream, 0, count(version), min(version), max(version) FROM ieum_events
         WHERE stream NOT IN (SELECT name FROM ieum_streams) GROUP BY stream",
        |row| {
            Ok(Stream {
                name: row.get(0)?,
                head: row.get(1)?,
                events: row.get(2)?,
                first: row.get::<Option<i64>>(3)?.unwrap_or(1),
                last: row.get::<Option<i64>>(4)?.unwrap_or(0),
            })
        },
    )?;
    for stream in streams.iter().filter(|stream| !stream.is_whole()) {
        let Stream {
            name, head, events, ..
        } = stream;
        books.find(format_args!(
            "the stream {name} of {owner} has {events} events, of which {head} were written"
        ));
    }
    Ok(())
}

/// A stream, by its versions.
struct Stream {
    name: String,
    /// The version of the last event that was written.
    head: i64,
    events: i64,
    first: i64,
    last: i64,
}

impl Stream {
    fn is_whole(&self) -> bool {
        self.first == 1 && self.last == self.head && self.events == self.head
    }
}
