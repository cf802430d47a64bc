//! The common SQL on SQLite.

use std::borrow::Cow;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection};

use super::params::Parameter;
use super::row::{Row, Source};
use super::value::Value;
use crate::{Error, ErrorKind, Result};

/// Calls `each` with every row.
pub(super) fn query(
    connection: &Connection,
    sql: &str,
    parameters: &[Parameter<'_>],
    mut each: impl FnMut(&Row<'_>) -> Result<Next>,
) -> Result<()> {
    let mut statement = prepare(connection, sql, parameters)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if each(&Row(Source::Sqlite(row)))? == Next::Stop {
            break;
        }
    }
    Ok(())
}

/// Whether more rows are wanted.
#[derive(PartialEq, Eq)]
pub(super) enum Next {
    Row,
    Stop,
}

/// Answers how many rows changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<u64> {
    Ok(prepare(connection, sql, parameters)?.raw_execute()? as u64)
}

/// The value in a column.
pub(super) fn value<'a>(row: &'a rusqlite::Row<'_>, place: usize) -> Result<Value<'a>> {
    Ok(match row.get_ref(place)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Value::Blob(Cow::Borrowed(bytes)),
    })
}

fn prepare<'a>(
    connection: &'a Connection,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<CachedStatement<'a>> {
    let mut statement = connection.prepare_cached(&dialect(sql))?;
    let wanted = statement.parameter_count();
    if wanted != parameters.len() {
        let context = format!(
            "{} parameters for a statement with {wanted}",
            parameters.len()
        );
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    for (number, parameter) in (1..).zip(parameters) {
        let name = format!("${number}");
        let place = statement.parameter_index(&name)?.ok_or_else(|| {
            let context = format!("a statement has no parameter {name}: number them $1, $2, …");
            Error::new(ErrorKind::Invalid, context)
        })?;
        statement.raw_bind_parameter(place, bound(&parameter.value))?;
    }
    Ok(statement)
}

/// What PostgreSQL has as a function is another one here: see [`List`](super::List).
fn dialect(sql: &str) -> Cow<'_, str> {
    if sql.contains("ieum_list(") {
        return Cow::Owned(sql.replace("ieum_list(", "json_each("));
    }
    Cow::Borrowed(sql)
}

fn bound<'a>(value: &'a Value<'_>) -> rusqlite::types::ToSqlOutput<'a> {
    rusqlite::types::ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Bool(bool) => ValueRef::Integer(i64::from(*bool)),
        Value::Integer(integer) => ValueRef::Integer(*integer),
        Value::Real(real) => ValueRef::Real(*real),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}
