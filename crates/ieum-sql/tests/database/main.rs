//! A service's own database: the same cases on SQLite and on PostgreSQL.

#[cfg(test)]
mod at_once;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod outbox;
#[cfg(test)]
mod participant;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod same;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod server;
#[cfg(test)]
mod sql;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod tokio_postgres;
#[cfg(test)]
mod views;
