//! Where the books of a shop are: files of SQLite in one folder, or databases of PostgreSQL with one
//! name in front.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ieum::base::EngineUrl;

use super::book::Book;

/// The databases of a shop.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The folder of a demo: its databases, unless PostgreSQL has them, and the ledgers of services
    /// in other languages.
    data: Option<PathBuf>,
    /// `postgres://…/NAME` for the databases `NAME_users`, `NAME_orders`, …
    database: Option<EngineUrl>,
}

impl Source {
    /// The databases in the folder `data`, or those that begin like `database`.
    pub(crate) fn new(data: Option<&Path>, database: Option<&EngineUrl>) -> Self {
        Self {
            data: data.map(Path::to_owned),
            database: database.cloned(),
        }
    }

    /// The folder of the demo, if one was named.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The database `name`: a service, `platform` or `plan`.
    pub(super) fn open(&self, name: &str) -> Result<Book> {
        let book = self.find(name)?;
        book.with_context(|| format!("{} holds no books of {name}", self.describe()))
    }

    /// The same; `None` if there is no such database, or nothing in it yet.
    pub(super) fn find(&self, name: &str) -> Result<Option<Book>> {
        match &self.database {
            Some(url) => find_at(url, name),
            None => match self.file(name).filter(|file| file.is_file()) {
                Some(file) => Book::open(&file).map(Some),
                None => Ok(None),
            },
        }
    }

    /// What was named, for people.
    pub(super) fn describe(&self) -> String {
        match (&self.database, &self.data) {
            (Some(url), _) => url.to_string(),
            (None, Some(data)) => data.display().to_string(),
            (None, None) => "nothing".to_owned(),
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let file = match name {
            "platform" => PathBuf::from(PLATFORM_LOG),
            other => PathBuf::from(format!("{other}.db")),
        };
        self.data.as_ref().map(|data| data.join(file))
    }
}

fn find_at(url: &EngineUrl, name: &str) -> Result<Option<Book>> {
    match url.scheme() {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let database = format!("{}_{name}", url.path());
            let session = super::postgres::Session::open(&url.clone().with_path(&database))?;
            Ok(session.map(Book::of))
        }
        other => bail!("no books can be read from `{other}` (asked for those of {name})"),
    }
}

/// The platform's log.
const PLATFORM_LOG: &str = "platform/log.db";
