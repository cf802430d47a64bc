//! The streams and tables of users, and what is done to them inside a transaction.

use ieum::base::Timestamp;
use ieum::sql::{Migration, Reader, Result, Row, database::List};
use serde::Serialize;
use serde_json::json;

use super::domain::{Command, Email, Event, Name, Refusal, Rules};
use crate::support::failure::{Failure, Reply};
use crate::support::streams;
use crate::support::work::Work;
use http::StatusCode;

/// The schema of what is folded from the streams, and of the passwords.
pub(super) const TABLES: Migration = Migration {
    component: "users",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE users (
        id TEXT PRIMARY KEY,
        email TEXT NOT NULL,
        email_key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        role TEXT,
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credentials (
        user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        hash TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;";

const POSTGRES: &str = r#"
    CREATE TABLE users (
        id TEXT COLLATE "C" PRIMARY KEY,
        email TEXT NOT NULL,
        email_key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        role TEXT,
        created_at BIGINT NOT NULL
    );
    CREATE TABLE credentials (
        user_id TEXT COLLATE "C" PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        hash TEXT NOT NULL
    );"#;

/// The category of the users' streams.
const CATEGORY: &str = "user";

/// A user, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) created_at: Timestamp,
}

/// What is needed to open a session.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user_id: String,
    pub(super) roles: Vec<String>,
    pub(super) hash: String,
}

/// Signs somebody up.
pub(super) fn create(work: &Work<'_>, email: Email, name: Name, hash: &str) -> Reply<User> {
    lock_address(work, &email)?;
    if id_of(work, &email.key())?.is_some() {
        return Err(email_taken());
    }
    let id = work.new_id().to_string();
    act(work, &id, &Command::Create { email, name })?;
    set_password(work, &id, hash)?;
    find(work, &id)?.ok_or_else(|| Failure::internal("a new user is missing"))
}

/// Makes the member of staff, or gives it another password.
pub(super) fn employ(work: &Work<'_>, email: &Email, name: &Name, hash: &str) -> Reply<()> {
    lock_address(work, email)?;
    let id = match id_of(work, &email.key())? {
        Some(id) => id,
        None => create(work, email.clone(), name.clone(), hash)?.id,
    };
    set_password(work, &id, hash)?;
    work.execute("UPDATE users SET role = 'admin' WHERE id = $1", [&id])?;
    Ok(())
}

/// Changes what is given.
pub(super) fn update(
    work: &Work<'_>,
    id: &str,
    email: Option<Email>,
    name: Option<Name>,
) -> Reply<User> {
    if let Some(email) = &email {
        lock_address(work, email)?;
        if id_of(work, &email.key())?.is_some_and(|owner| owner != id) {
            return Err(email_taken());
        }
    }
    act(work, id, &Command::Update { email, name })?;
    find(work, id)?.ok_or_else(|| Failure::not_found("user"))
}

/// Removes a user and its password.
pub(super) fn delete(work: &Work<'_>, id: &str) -> Reply<()> {
    act(work, id, &Command::Delete)
}

/// Sets the hash of a user's password.
pub(super) fn set_password(work: &Work<'_>, id: &str, hash: &str) -> Reply<()> {
    work.execute(
        "INSERT INTO credentials VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash",
        (id, hash),
    )?;
    Ok(())
}

/// The user with this id.
pub(super) fn find(db: &Reader<'_>, id: &str) -> Reply<Option<User>> {
    let sql = "SELECT id, email, name, created_at FROM users WHERE id = $1";
    Ok(db.row(sql, [id], read)?)
}

/// The users with these ids, as far as there are any: one statement, however many.
pub(super) fn find_all(db: &Reader<'_>, ids: &[String]) -> Reply<Vec<User>> {
    let sql = "SELECT id, email, name, created_at FROM users
         WHERE id IN (SELECT value FROM ieum_list($1))";
    Ok(db.rows(sql, [List::of(ids)], read)?)
}

/// All users, by their ids, which are in the order of signing up; `after` is the last one seen.
pub(super) fn list(db: &Reader<'_>, after: Option<&str>, limit: u32) -> Reply<Vec<User>> {
    let sql = "SELECT id, email, name, created_at FROM users
         WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2";
    Ok(db.rows(sql, (after, limit), read)?)
}

fn read(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: row.get(0)?,
        email: row.get(1)?,
        name: row.get(2)?,
        created_at: row.get(3)?,
    })
}

/// What is needed to open a session for the user with this address.
pub(super) fn login(db: &Reader<'_>, email_key: &str) -> Reply<Option<Login>> {
    let sql = "SELECT id, role, hash FROM users JOIN credentials ON user_id = id
         WHERE email_key = $1";
    let login = db.row(sql, [email_key], |row| {
        Ok(Login {
            user_id: row.get(0)?,
            roles: row.get::<Option<String>>(1)?.into_iter().collect(),
            hash: row.get(2)?,
        })
    });
    Ok(login?)
}

/// Of those who want one address at once the second sees what became of the first.
fn lock_address(work: &Work<'_>, email: &Email) -> Reply<()> {
    Ok(work.lock(&format!("address {}", email.key()))?)
}

fn id_of(db: &Reader<'_>, email_key: &str) -> Reply<Option<String>> {
    let sql = "SELECT id FROM users WHERE email_key = $1";
    Ok(db.row(sql, [email_key], |row| row.get(0))?)
}

/// Decides, appends what happened, folds it into the tables, and publishes it: one transaction.
fn act(work: &Work<'_>, id: &str, command: &Command) -> Reply<()> {
    let stream = streams::name(CATEGORY, id)?;
    let acted = streams::act(work, &Rules, &stream, command)?.map_err(refuse)?;
    for event in &acted.events {
        fold_into_tables(work, id, event)?;
        let mut data = serde_json::to_value(event)?["data"].take();
        data["userId"] = json!(id);
        work.publish(event.kind(), id, None, &data)?;
    }
    Ok(())
}

fn fold_into_tables(work: &Work<'_>, id: &str, event: &Event) -> Reply<()> {
    match event {
        Event::Created { email, name } => work.execute(
            "INSERT INTO users VALUES ($1, $2, $3, $4, NULL, $5)",
            (id, email, email.to_lowercase(), name, work.now()),
        )?,
        Event::Updated { email, name } => work.execute(
            "UPDATE users SET email = coalesce($2, email), name = coalesce($4, name),
                 email_key = coalesce($3, email_key) WHERE id = $1",
            (
                id,
                email.as_deref(),
                email.as_ref().map(|email| email.to_lowercase()),
                name.as_deref(),
            ),
        )?,
        Event::Deleted {} => {
            work.execute("DELETE FROM credentials WHERE user_id = $1", [id])?;
            work.execute("DELETE FROM users WHERE id = $1", [id])?
        }
    };
    Ok(())
}

fn refuse(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NotFound => Failure::not_found("user"),
        Refusal::Exists => Failure::new(
            StatusCode::CONFLICT,
            "user-exists",
            "the user already exists",
        ),
    }
}

fn email_taken() -> Failure {
    let detail = "somebody has signed up with this e-mail address";
    Failure::new(StatusCode::CONFLICT, "email-taken", detail)
}
