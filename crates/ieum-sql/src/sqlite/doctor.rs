//! What `ieum doctor` finds out about a file: without opening the database, because a running platform
//! owns it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use ieum_base::{ByteSize, EngineUrl, Finding};
use rustix::fs::{FlockOperation, flock, statfs, statvfs};

use super::{Location, lock};

/// Looks at the database that `url` names, relative to the present folder. Changes nothing; blocks for
/// a few system calls.
pub fn examine(url: &EngineUrl) -> Vec<Finding> {
    match Location::try_from(url) {
        Ok(Location::File(file)) => examine_file(&file),
        Ok(Location::Memory) => vec![Finding::weak(
            "it is kept in memory",
            "everything is gone at the stop; name a file with `sqlite://FILE`",
        )],
        Err(error) => vec![Finding::broken(
            "the URL names no database",
            error.to_string(),
        )],
    }
}

/// The same for a file.
pub fn examine_file(file: &Path) -> Vec<Finding> {
    let mut findings = vec![Finding::fine(format!("SQLite {}", rusqlite::version()))];
    let folder = folder_of(file);
    match File::open(file) {
        Ok(mut opened) => {
            findings.push(content(&mut opened));
            findings.push(writable(file));
            findings.push(owner(file));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if !folder.is_dir() {
                findings.push(Finding::broken(
                    format!("the folder {} is not there", folder.display()),
                    "make it, or name another file",
                ));
                return findings;
            }
            findings.push(Finding::fine("the file is made at the first start"));
        }
        Err(error) => findings.push(Finding::broken(
            format!("{} cannot be read: {error}", file.display()),
            "give this user the right to read and write it",
        )),
    }
    findings.push(folder_writable(&folder));
    findings.extend(file_system(&folder));
    findings.extend(space(&folder));
    findings
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What the header says: is it a database, and how are commits written?
fn content(file: &mut File) -> Finding {
    let mut header = [0; 20];
    match file.read(&mut header) {
        Ok(0) => return Finding::fine("the file is empty: it is filled at the first start"),
        Ok(read) if read == header.len() && header.starts_with(MAGIC) => {}
        Ok(_) => {
            return Finding::broken(
                "the file is not a SQLite database",
                "it is left as it is; name another file",
            );
        }
        Err(error) => {
            return Finding::broken(
                format!("the file cannot be read: {error}"),
                "look for a failing disk",
            );
        }
    }
    match header[18..20] {
        [WAL, WAL] => Finding::fine("journal mode WAL, synced at each commit"),
        _ => Finding::weak(
            "journal mode is not WAL",
            "another program changed it; the next start sets it to WAL again",
        ),
    }
}

fn writable(file: &Path) -> Finding {
    match File::options().write(true).open(file) {
        Ok(_) => Finding::fine("the file may be written"),
        Err(error) => Finding::broken(
            format!("{} may not be written: {error}", file.display()),
            "give this user the right to write it",
        ),
    }
}

fn owner(file: &Path) -> Finding {
    let Ok(lock) = File::open(lock::path_of(file)) else {
        return Finding::fine("nobody uses it");
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Finding::fine("nobody uses it"),
        Err(_) => {
            let owner = std::fs::read_to_string(lock::path_of(file)).unwrap_or_default();
            Finding::fine(format!("process {} uses it", owner.trim()))
        }
    }
}

/// Beside the file lie its write-ahead log and its lock.
fn folder_writable(folder: &Path) -> Finding {
    use rustix::fs::{Access, access};
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::fine(format!("the folder {} may be written", folder.display())),
        Err(error) => Finding::broken(
            format!(
                "the folder {} may not be written: {error}",
                folder.display()
            ),
            "give this user the right to write there: files beside the database are made in it",
        ),
    }
}

fn file_system(folder: &Path) -> Option<Finding> {
    let kind = statfs(folder).ok()?.f_type;
    let kind = u64::try_from(kind).ok()?;
    let (_, name, network) = *FILE_SYSTEMS.iter().find(|(magic, ..)| *magic == kind)?;
    Some(if network {
        Finding::broken(
            format!("the file system is {name}, over the network"),
            "locks and shared memory do not work there, and data would be damaged: use a local disk, \
             or PostgreSQL",
        )
    } else {
        Finding::weak(
            format!("the file system is {name}"),
            "what is acknowledged does not survive the machine's restart: use a disk",
        )
    })
}

fn space(folder: &Path) -> Option<Finding> {
    let state = statvfs(folder).ok()?;
    let left = ByteSize(state.f_bavail.saturating_mul(state.f_frsize));
    let what = format!("{} MiB are left on its disk", left.0 >> 20);
    Some(match left.0 {
        0..LEAST => Finding::broken(
            what,
            "writes are refused with 503 until there is room; make room",
        ),
        LEAST..LITTLE => Finding::weak(what, "make room before writes are refused"),
        _ => Finding::fine(what),
    })
}

/// The first bytes of every SQLite database (sqlite.org/fileformat.html, section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// How a database in WAL mode says so, in bytes 18 and 19.
const WAL: u8 = 2;
/// Below this a batch of the largest events does not fit.
const LEAST: u64 = 16 << 20;
/// Below this an operator should look.
const LITTLE: u64 = 512 << 20;

/// File systems on which a promise does not hold, by their numbers in statfs(2): name, and whether it
/// is a network's.
const FILE_SYSTEMS: [(u64, &str, bool); 7] = [
    (0x6969, "NFS", true),
    (0x517B, "SMB", true),
    (0xFF53_4D42, "CIFS", true),
    (0xFE53_4D42, "SMB2", true),
    (0x0102_1997, "9p", true),
    (0x0102_1994, "tmpfs", false),
    (0x8584_58F6, "ramfs", false),
];

#[cfg(test)]
mod tests {
    use ieum_base::Level;
    use ieum_testkit::TempFolder;

    use super::*;
    use crate::sqlite::Database;

    fn worst(file: &Path) -> (Level, String) {
        let findings = examine_file(file);
        // Where tests run, the disk and its file system are not ours to judge.
        let ours = findings.into_iter().filter(|finding| {
            !finding.what.contains("MiB are left") && !finding.what.contains("file system is")
        });
        let worst = ours.max_by_key(|finding| finding.level).expect("findings");
        (worst.level, worst.what)
    }

    #[tokio::test]
    async fn a_database_is_fine_while_it_is_used_and_afterwards() {
        let folder = TempFolder::new().expect("a folder");
        let file = folder.path().join("log.db");
        assert_eq!(worst(&file).0, Level::Fine, "one that is not there yet");
        let database = Database::open(file.as_path(), &[]).expect("opened");
        assert_eq!(worst(&file).0, Level::Fine);
        let process = format!("process {} uses it", std::process::id());
        let used = |file: &Path| examine_file(file).iter().any(|f| f.what == process);
        assert!(used(&file), "{:?}", examine_file(&file));
        database.close().await.expect("closed");
        assert_eq!(worst(&file).0, Level::Fine);
        assert!(!used(&file));
    }

    #[test]
    fn what_cannot_be_used_is_broken_and_says_why() {
        let folder = TempFolder::new().expect("a folder");
        let nowhere = folder.path().join("nowhere/log.db");
        let (level, what) = worst(&nowhere);
        assert_eq!(level, Level::Broken);
        assert!(what.contains("is not there"), "{what}");
        let other = folder.path().join("other.db");
        std::fs::write(&other, "this is a letter to somebody, not data").expect("written");
        let (level, what) = worst(&other);
        assert_eq!(level, Level::Broken);
        assert!(what.contains("not a SQLite database"), "{what}");
    }

    #[test]
    fn memory_forgets() {
        let findings = examine(&"memory:".parse().expect("a URL"));
        assert_eq!(findings[0].level, Level::Weak);
    }
}
