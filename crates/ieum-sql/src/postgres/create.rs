//! Making a database that is not there yet.
//!
//! Nothing does so by itself: a misspelt name would become an empty database, and a service that lost
//! its rows would look healthy. A program that owns its databases, such as a demo, calls this first.

use ieum_base::EngineUrl;
use tokio_postgres::error::SqlState;

use super::{Config, Pool};
use crate::{Error, ErrorKind, Result};

/// Makes the database that `url` names if it is not there; true if it was made now. *Idempotent*, and
/// several processes may call it at once. The new one is UTF-8 and sorts by code points, as SQLite does.
///
/// # Errors
/// `Denied` if the user may not create databases, with what to do; otherwise as
/// [`connect`](super::connect).
pub async fn create_database(url: &EngineUrl, config: Config) -> Result<bool> {
    let pool = Pool::new(url, config.clone())?;
    let found = pool.get().await;
    pool.close();
    match found {
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == ErrorKind::Missing => {}
        Err(error) => return Err(error),
    }
    let beside = Pool::new(&url.clone().with_path(MAINTENANCE), config)?;
    let made = create(&beside, url).await;
    beside.close();
    made
}

async fn create(beside: &Pool, url: &EngineUrl) -> Result<bool> {
    let not_here = |error: Error| {
        let context = format!(
            "{url} names a database that is not there, and it cannot be made from the database \
             `{MAINTENANCE}` ({error}): create it (`createdb {}`) or correct the URL",
            url.path()
        );
        Error::with_source(error.kind(), context, error)
    };
    let client = beside.get().await.map_err(not_here)?;
    let name = url.path().replace('"', "\"\"");
    let sql = format!(
        "CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    let Err(error) = client.batch_execute(&sql).await else {
        return Ok(true);
    };
    match error.code() {
        // Somebody else made it meanwhile.
        Some(&SqlState::DUPLICATE_DATABASE | &SqlState::UNIQUE_VIOLATION) => Ok(false),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Err(denied(url, error)),
        _ => Err(Error::from(error)),
    }
}

fn denied(url: &EngineUrl, error: tokio_postgres::Error) -> Error {
    let (database, user) = (url.path(), url.user().unwrap_or_default());
    let context = format!(
        "{url} names a database that is not there, and the user `{user}` may not create one: `ALTER \
         ROLE \"{user}\" CREATEDB`, or create it as somebody who may (`createdb -O {user} -T template0 \
         -E UTF8 {database}`)"
    );
    Error::with_source(ErrorKind::Denied, context, error)
}

/// A database that every server has from the start.
const MAINTENANCE: &str = "postgres";
