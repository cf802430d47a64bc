//! The last known endpoints, kept in a file: what a process that starts while the registry is away
//! goes on with.
//!
//! The file is a cache and nothing else: it is read once, used for a service only until the registry
//! has answered for it, and replaced whole (written beside, synced, renamed), so that a crash leaves
//! the old one or the new one. One that is too large, damaged, of another version or of another
//! registry is passed over with a warning.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ieum_base::{Stop, TaskKind, Tasks};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::Instance;

/// Where the endpoints are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file. Its folder must exist.
    pub file: PathBuf,
    /// The registry that they come from, without credentials: endpoints of another are not used.
    pub registry: String,
    /// The largest file that is read or written, in bytes.
    pub most_bytes: u64,
}

/// Remembers endpoints over restarts. Clones are the same memory.
#[derive(Clone)]
pub struct Recall(Arc<Shared>);

struct Shared {
    config: Config,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// What an earlier process left, for services that nobody has asked for yet.
    before: BTreeMap<String, Vec<Instance>>,
    /// What is kept: the services of this process.
    kept: BTreeMap<String, Vec<Instance>>,
    is_dirty: bool,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    registry: String,
    services: BTreeMap<String, Vec<Instance>>,
}

impl Recall {
    /// Reads what an earlier process left.
    pub fn open(config: Config) -> Self {
        let before = read(&config).unwrap_or_else(|why| {
            let file = config.file.display();
            tracing::warn!(%file, "the last known endpoints are not used: {why}");
            BTreeMap::new()
        });
        let state = State {
            before,
            ..State::default()
        };
        Self(Arc::new(Shared {
            config,
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// Writes changes, a moment after they come, until the stop of `tasks`, and what is left then.
    pub fn keep(&self, tasks: &Tasks) {
        let (recall, stop) = (self.clone(), tasks.stop().clone());
        tasks.spawn(TaskKind::Background, "endpoint-memory", async move {
            recall.run(&stop).await;
        });
    }

    /// The last known endpoints of `service`, which is kept from now on; empty if none are known.
    pub(crate) fn known(&self, service: &str) -> Vec<Instance> {
        let mut state = self.state();
        if let Some((name, instances)) = state.before.remove_entry(service) {
            state.kept.entry(name).or_insert(instances);
        }
        state.kept.get(service).cloned().unwrap_or_default()
    }

    /// Takes note of what the registry answered.
    pub(crate) fn note(&self, service: &str, available: Vec<Instance>) {
        let mut state = self.state();
        state.before.remove(service);
        if state
            .kept
            .get(service)
            .is_some_and(|same| *same == available)
        {
            return;
        }
        state.kept.insert(service.to_owned(), available);
        state.is_dirty = true;
        self.0.changed.notify_one();
    }

    async fn run(&self, stop: &Stop) {
        while stop
            .unless_requested(self.0.changed.notified())
            .await
            .is_some()
        {
            // Changes come in swarms, and a stop writes the last of them.
            stop.unless_requested(tokio::time::sleep(PAUSE)).await;
            self.save().await;
        }
        self.save().await;
    }

    async fn save(&self) {
        let Some(document) = self.take_document() else {
            return;
        };
        let config = self.0.config.clone();
        let written = tokio::task::spawn_blocking(move || write(&config, &document)).await;
        let failure = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let file = self.0.config.file.display();
        tracing::warn!(%file, "the last known endpoints are not kept: {failure}");
    }

    fn take_document(&self) -> Option<Document> {
        let mut state = self.state();
        std::mem::take(&mut state.is_dirty).then(|| Document {
            version: VERSION,
            registry: self.0.config.registry.clone(),
            services: state.kept.clone(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(config: &Config) -> Result<BTreeMap<String, Vec<Instance>>, String> {
    let file = match File::open(&config.file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    let most = config.most_bytes;
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("the file is larger than {most} bytes"));
    }
    let document: Document =
        serde_json::from_slice(&bytes).map_err(|error| format!("the file is damaged: {error}"))?;
    if document.version != VERSION {
        return Err(format!("the file has version {}", document.version));
    }
    if document.registry != config.registry {
        return Err(format!("they are those of {}", document.registry));
    }
    Ok(document.services)
}

fn write(config: &Config, document: &Document) -> io::Result<()> {
    let bytes = serde_json::to_vec(document)?;
    if bytes.len() as u64 > config.most_bytes {
        let why = format!("they take more than {} bytes", config.most_bytes);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let beside = beside(&config.file);
    let written = create(&beside).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &config.file)
    });
    if written.is_err() {
        // Nobody would ever look at it again.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A name of this process's own: two that share a folder never write one file.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    PathBuf::from(name)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

impl fmt::Debug for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recall").field(&self.0.config).finish()
    }
}

const VERSION: u32 = 1;
/// How long changes are gathered before they are written.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstanceId;

    /// A file of its own, removed at the end.
    struct Kept(Config);

    impl Kept {
        fn new(name: &str) -> Self {
            let name = format!("ieum-recall-{}-{name}.json", std::process::id());
            Self(Config {
                file: std::env::temp_dir().join(name),
                registry: "ieum://127.0.0.1:8500".to_owned(),
                most_bytes: 1 << 20,
            })
        }

        fn open(&self) -> Recall {
            Recall::open(self.0.clone())
        }
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0.file);
        }
    }

    fn instance(id: &str) -> Instance {
        Instance {
            id: InstanceId(id.to_owned()),
            service: "users".to_owned(),
            address: "10.0.0.1".to_owned(),
            port: 80,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
        }
    }

    async fn write_one(kept: &Kept, service: &str) {
        let recall = kept.open();
        recall.note(service, vec![instance("a")]);
        recall.save().await;
    }

    #[tokio::test]
    async fn the_next_process_knows_what_the_last_one_knew() {
        let kept = Kept::new("next");
        write_one(&kept, "users").await;
        let next = kept.open();
        assert_eq!(next.known("users"), [instance("a")]);
        assert_eq!(next.known("orders"), []);
    }

    #[tokio::test]
    async fn a_service_that_nobody_asks_for_any_more_is_forgotten() {
        let kept = Kept::new("forgotten");
        write_one(&kept, "users").await;
        write_one(&kept, "orders").await;
        assert_eq!(kept.open().known("users"), []);
    }

    #[tokio::test]
    async fn an_instance_that_left_is_forgotten() {
        let kept = Kept::new("left");
        write_one(&kept, "users").await;
        let recall = kept.open();
        recall.note("users", Vec::new());
        recall.save().await;
        assert_eq!(kept.open().known("users"), []);
    }

    #[tokio::test]
    async fn what_is_of_another_registry_or_version_or_damaged_or_too_large_is_not_used() {
        let mut kept = Kept::new("foreign");
        write_one(&kept, "users").await;
        kept.0.registry = "ieum://10.0.0.1:8500".to_owned();
        assert_eq!(kept.open().known("users"), [], "another registry");
        kept.0.registry = "ieum://127.0.0.1:8500".to_owned();
        kept.0.most_bytes = 10;
        assert_eq!(kept.open().known("users"), [], "too large");
        kept.0.most_bytes = 1 << 20;
        let text = fs::read_to_string(&kept.0.file).expect("written");
        for other in [
            text.replace("\"version\":1", "\"version\":2"),
            text[..text.len() / 2].to_owned(),
        ] {
            fs::write(&kept.0.file, &other).expect("written");
            assert_eq!(kept.open().known("users"), [], "{other}");
        }
    }

    #[tokio::test]
    async fn a_file_of_a_newer_process_with_more_fields_is_read() {
        let kept = Kept::new("newer");
        write_one(&kept, "users").await;
        let text = fs::read_to_string(&kept.0.file).expect("written");
        let newer = text.replacen('{', "{\"writtenBy\":\"a newer one\",", 1);
        fs::write(&kept.0.file, newer).expect("written");
        assert_eq!(kept.open().known("users"), [instance("a")]);
    }

    #[tokio::test]
    async fn more_than_may_be_kept_leaves_the_old_file() {
        let mut kept = Kept::new("limit");
        write_one(&kept, "users").await;
        kept.0.most_bytes = 400;
        let recall = kept.open();
        recall.note("users", (0..50).map(|i| instance(&i.to_string())).collect());
        recall.save().await;
        assert_eq!(kept.open().known("users"), [instance("a")]);
    }
}
