//! Whether the disk takes what is written: a full one shows as many errors that do not name it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// What is wrong with the disk below `data`; `None` if it takes data.
pub(super) async fn trouble(data: &Path) -> Option<String> {
    let folder = data.to_owned();
    let written = tokio::task::spawn_blocking(move || try_it(&folder)).await;
    Some(explain(data, &written.ok()?.err()?))
}

/// Writes as much as a transaction may need, and removes it.
fn try_it(data: &Path) -> io::Result<()> {
    let path = data.join(NAME);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; AMOUNT])?;
        file.sync_all()
    });
    // What could not be made cannot be removed.
    let _ = std::fs::remove_file(path);
    written
}

fn explain(data: &Path, error: &io::Error) -> String {
    let data = data.display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
            "No space is left for {data}: make room, and start again with `--data {data}` to go on \
             where this ended."
        ),
        _ => format!("Nothing can be written to {data}: {error}."),
    }
}

const NAME: &str = "space.probe";
const AMOUNT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_takes_data_is_no_trouble_and_one_that_does_not_is_named() {
        let folder = std::env::temp_dir().join(format!("disk-{}", ieum::base::Uuid::new_v4()));
        let text = trouble(&folder).await.expect("there is no such folder");
        assert!(text.contains(&folder.display().to_string()), "{text}");
        std::fs::create_dir(&folder).expect("a folder");
        assert_eq!(trouble(&folder).await, None);
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
        std::fs::remove_dir(&folder).expect("it is empty");
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = io::Error::from(ErrorKind::StorageFull);
        let text = explain(Path::new("books"), &full);
        assert!(text.contains("No space is left for books"), "{text}");
    }
}
