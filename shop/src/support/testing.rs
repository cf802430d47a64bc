//! A bench for what services do inside a transaction: a database in memory with a service's schema.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use ieum::base::{Clock, Secret};
use ieum::messaging::{Message, OutboxStore};
use ieum::sql::{Database, Tx};
use tokio::sync::OnceCell;
use tower::ServiceExt;

use super::engines;
use super::failure::Reply;
use super::hosting::Hosting;
use super::sabotage::Sabotage;
use super::service::{Service, Settings, Spec, migrations};
use super::work::Work;

/// A service's database, without the service.
pub(crate) struct Bench {
    spec: Spec,
    database: OnceCell<Database>,
    sabotage: Option<Sabotage>,
}

impl Bench {
    /// An empty database of this service.
    pub(crate) fn of(spec: Spec) -> Self {
        Self {
            spec,
            database: OnceCell::new(),
            sabotage: None,
        }
    }

    /// A new database of this service on PostgreSQL, where transactions run beside each other.
    #[cfg(feature = "postgres")]
    pub(crate) async fn on_postgres(spec: Spec) -> Self {
        let url = postgres::new_database(spec.name);
        let migrations = migrations(&spec);
        let opened = Database::open(&url, &migrations, Clock::system());
        let database = opened.await.expect("a database");
        Self {
            database: OnceCell::new_with(Some(database)),
            ..Self::of(spec)
        }
    }

    /// Does `work` in many transactions that begin at once; what each of them is answered.
    #[cfg(feature = "postgres")]
    pub(crate) async fn at_once<T: Send + 'static>(
        &self,
        times: u32,
        work: impl Fn(&Work<'_>, u32) -> Reply<T> + Clone + Send + 'static,
    ) -> Vec<Reply<T>> {
        let all = (0..times).map(|number| {
            let work = work.clone();
            self.work(move |tx| work(tx, number))
        });
        futures_util::future::join_all(all).await
    }

    /// The same with a defect planted.
    pub(crate) fn with(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = Some(sabotage);
        self
    }

    async fn database(&self) -> &Database {
        let open = || async {
            let memory = "memory:".parse().expect("a URL");
            let migrations = migrations(&self.spec);
            let opened = Database::open(&memory, &migrations, Clock::system());
            opened.await.expect("a database")
        };
        self.database.get_or_init(open).await
    }

    /// Does `work` in a transaction.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Work<'_>) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let (spec, sabotage) = (self.spec, self.sabotage);
        let database = self.database().await;
        let transaction =
            database.write(move |tx: &Tx<'_>| work(&Work::new(tx, &spec, None, sabotage)));
        transaction.await
    }

    /// One number.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let number = self.work(move |work| Ok(work.row(sql, (), |row| row.get(0))?));
        number.await.expect("read").expect("a number")
    }

    /// The tables that have a row with `text` in it, in any column; by name, once per such table.
    pub(crate) async fn rows_with(&self, text: &'static str) -> Vec<String> {
        let tables = self.work(move |work| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
            let mut found = Vec::new();
            for table in work.rows(sql, (), |row| row.get::<String>(0))? {
                if has_text(work, &table, text)? {
                    found.push(table);
                }
            }
            Ok(found)
        });
        tables.await.expect("tables")
    }

    /// What the service told the others, oldest first.
    pub(crate) async fn told(&self) -> Vec<Message> {
        let store = self.database().await.outbox();
        let rows = store.pending(100).await.expect("an outbox");
        rows.into_iter().map(|row| row.message).collect()
    }

    /// The types of what the service told the others.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.told()
            .await
            .into_iter()
            .map(|message| message.kind)
            .collect()
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::OnceLock;

    use ieum::base::{EngineUrl, Uuid};
    use ieum_testkit::engines::Postgres;

    /// One server for all tests of this binary; it ends with the process.
    static SERVER: OnceLock<Postgres> = OnceLock::new();

    pub(super) fn new_database(name: &str) -> EngineUrl {
        let server = SERVER.get_or_init(|| Postgres::start().expect("a server"));
        let name = format!("{name}_{}", Uuid::new_v4().simple());
        let url = server.database(&name).expect("a database");
        url.parse().expect("a URL")
    }
}

fn has_text(work: &Work<'_>, table: &str, text: &str) -> Reply<bool> {
    let columns = format!("SELECT name FROM pragma_table_info('{table}')");
    for column in work.rows(&columns, (), |row| row.get::<String>(0))? {
        let sql =
            format!("SELECT count(*) FROM {table} WHERE instr(CAST({column} AS TEXT), $1) > 0");
        if work.row(&sql, [text], |row| row.get::<i64>(0))? > Some(0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An event as it comes in.
pub(crate) fn event(source: &str, kind: &str, data: &serde_json::Value) -> Message {
    let id = ieum::base::Uuid::new_v4().to_string();
    Message::new(source, id, kind, data).expect("a message")
}

/// A secret from text.
pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A service with its database in a folder of its own, without a platform.
pub(crate) struct Alone {
    /// The service.
    pub(crate) service: Arc<Service>,
    folder: PathBuf,
}

impl Alone {
    /// A service of this kind that nobody knows.
    pub(crate) async fn start(spec: Spec) -> Self {
        let folder = std::env::temp_dir().join(format!("shop-{}", ieum::base::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let settings = Settings {
            hosting: nowhere(),
            database: engines::sqlite(&folder.join("service.db")).expect("a URL"),
            broker: None,
            sabotage: None,
        };
        let service = Service::open(spec, settings).await.expect("a service");
        Self { service, folder }
    }

    /// The folder, for what else a service keeps.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Any port of this machine, under a platform that is not there.
pub(crate) fn nowhere() -> Hosting {
    Hosting {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        next_free_port: true,
        platform: "http://127.0.0.1:1".to_owned(),
        token: None,
        linger: Duration::ZERO,
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // What is left of it is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Who asks a graph.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// Nobody that the gateway knows.
    Nobody,
    /// A customer.
    User(&'static str),
    /// A member of staff.
    Staff,
}

/// A request to a subgraph, as another service sends it.
pub(crate) fn graph_request(who: Who, body: &serde_json::Value) -> http::Request<Body> {
    let request = http::Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json");
    let request = match who {
        Who::Nobody => request,
        Who::User(id) => request.header("x-user-id", id),
        Who::Staff => request
            .header("x-user-id", "boss")
            .header("x-user-roles", "admin"),
    };
    let request = request.body(Body::from(body.to_string()));
    request.expect("a request")
}

/// What a subgraph answers: status, and the body if it is JSON.
pub(crate) async fn answer(
    routes: &Router,
    request: http::Request<Body>,
) -> (u16, serde_json::Value) {
    let response = routes.clone().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body");
    let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    (status, body)
}

/// Asks a subgraph; the answer, whatever its status.
pub(crate) async fn ask_graph(
    routes: &Router,
    who: Who,
    query: &str,
    variables: serde_json::Value,
) -> serde_json::Value {
    let body = serde_json::json!({ "query": query, "variables": variables });
    answer(routes, graph_request(who, &body)).await.1
}
