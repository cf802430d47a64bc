//! The table of notifications.

use ieum::base::Timestamp;
use ieum::sql::{Migration, Reader};
use serde::Serialize;

use crate::support::failure::Reply;
use crate::support::work::Work;

/// The schema. Nothing here forbids a second notification for one event: that it does not happen is
/// the inbox's work, and the auditor looks.
pub(super) const TABLES: Migration = Migration {
    component: "notifications",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE notifications (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        order_id TEXT,
        event_source TEXT,
        event_id TEXT,
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX notifications_of_user ON notifications (user_id, id);";

const POSTGRES: &str = r#"
    CREATE TABLE notifications (
        id TEXT COLLATE "C" PRIMARY KEY,
        user_id TEXT COLLATE "C" NOT NULL,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        order_id TEXT,
        event_source TEXT,
        event_id TEXT,
        created_at BIGINT NOT NULL
    );
    CREATE INDEX notifications_of_user ON notifications (user_id, id);"#;

/// Something that a customer was told.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notification {
    id: String,
    user_id: String,
    /// `welcome` or `order-completed`.
    kind: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    created_at: Timestamp,
}

impl Notification {
    /// Its id; later ones sort later.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// What is to be told, and because of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mail<'a> {
    pub(super) user_id: &'a str,
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
    pub(super) order_id: Option<&'a str>,
    /// Source and id of the event that is the cause, if an event is.
    pub(super) event: Option<(&'a str, &'a str)>,
}

/// Tells a customer something; the answer is the notification's id. Sending is writing it down: a
/// mail server would be behind an outbox of its own.
pub(super) fn send(work: &Work<'_>, mail: &Mail<'_>) -> Reply<String> {
    let id = work.new_id().to_string();
    work.execute(
        "INSERT INTO notifications VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        (
            &id,
            mail.user_id,
            mail.kind,
            mail.message,
            mail.order_id,
            mail.event.map(|(source, _)| source),
            mail.event.map(|(_, id)| id),
            work.now(),
        ),
    )?;
    Ok(id)
}

/// What a customer was told, latest first; `after` is the id of the last one seen.
pub(super) fn of_user(
    db: &Reader<'_>,
    user_id: &str,
    after: Option<&str>,
    limit: u32,
) -> Reply<Vec<Notification>> {
    let sql = "SELECT id, user_id, kind, message, order_id, created_at FROM notifications
         WHERE user_id = $1 AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3";
    let notifications = db.rows(sql, (user_id, after, limit), |row| {
        Ok(Notification {
            id: row.get(0)?,
            user_id: row.get(1)?,
            kind: row.get(2)?,
            message: row.get(3)?,
            order_id: row.get(4)?,
            created_at: row.get(5)?,
        })
    });
    Ok(notifications?)
}
