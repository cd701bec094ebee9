//! [`Store`] in one SQLite file: one writer at a time, readers beside it (WAL), a commit on disk before it is answered.

use std::path::Path;

use aws_json::ServiceError;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use super::{RawRow, Rows, Store, Table};
use crate::error::{Result, internal};

/// Idle read connections kept.
const READERS: usize = 8;
/// Raised when the tables change; the file carries it.
const SCHEMA: i64 = 1;

/// The database file.
#[derive(Debug)]
pub struct Sqlite {
    path: std::path::PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

fn lost(e: rusqlite::Error) -> ServiceError {
    internal(format!("the metadata database failed: {e}"))
}

impl Sqlite {
    /// Opens the file, making it if it is not there.
    ///
    /// # Errors
    /// KMSInternalException with what is wrong with the file.
    pub fn open(path: &Path) -> Result<Sqlite> {
        let writer = connect(path)?;
        let version: i64 = writer
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(lost)?;
        if version > SCHEMA {
            return Err(internal(format!(
                "{} was written by a newer version of this program (schema {version}, known {SCHEMA})",
                path.display()
            )));
        }
        writer
            .execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS rows (
                     kind INTEGER NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL,
                     due REAL, doc TEXT NOT NULL, PRIMARY KEY (kind, scope, id)) WITHOUT ROWID;
                 CREATE INDEX IF NOT EXISTS rows_parent ON rows (kind, scope, parent, id);
                 CREATE INDEX IF NOT EXISTS rows_due ON rows (kind, due) WHERE due IS NOT NULL;
                 PRAGMA user_version = {SCHEMA};"
            ))
            .map_err(lost)?;
        Ok(Sqlite {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
        })
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)
        .map_err(|e| internal(format!("{} cannot be opened: {e}", path.display())))?;
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .map_err(lost)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(lost)?;
    Ok(connection)
}

fn transact(
    connection: &Connection,
    begin: &str,
    f: &mut dyn FnMut(&dyn Rows) -> Result<()>,
) -> Result<()> {
    connection.execute_batch(begin).map_err(lost)?;
    match f(&Open { connection }) {
        Ok(()) => connection.execute_batch("COMMIT").map_err(|e| {
            // A failed commit may leave the transaction open; the connection must not carry it on.
            let _ = connection.execute_batch("ROLLBACK");
            lost(e)
        }),
        Err(refused) => {
            connection.execute_batch("ROLLBACK").map_err(lost)?;
            Err(refused)
        }
    }
}

impl Store for Sqlite {
    fn read(&self, f: &mut dyn FnMut(&dyn Rows) -> Result<()>) -> Result<()> {
        let kept = self.readers.lock().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let done = transact(&connection, "BEGIN", f);
        let mut readers = self.readers.lock();
        if readers.len() < READERS && connection.is_autocommit() {
            readers.push(connection);
        }
        done
    }

    fn write(&self, f: &mut dyn FnMut(&dyn Rows) -> Result<()>) -> Result<()> {
        let connection = self.writer.lock();
        transact(&connection, "BEGIN IMMEDIATE", f)
    }
}

/// The rows of an open transaction.
struct Open<'a> {
    connection: &'a Connection,
}

impl Open<'_> {
    fn docs(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(lost)?;
        let rows = statement
            .query_map(parameters, |row| row.get(0))
            .map_err(lost)?;
        rows.collect::<Result<_, _>>().map_err(lost)
    }
}

impl Rows for Open<'_> {
    fn get(&self, table: Table, scope: &str, id: &str) -> Result<Option<String>> {
        self.connection
            .prepare_cached("SELECT doc FROM rows WHERE kind = ?1 AND scope = ?2 AND id = ?3")
            .and_then(|mut q| {
                q.query_row(params![table as i64, scope, id], |row| row.get(0))
                    .optional()
            })
            .map_err(lost)
    }

    fn put(&self, table: Table, row: &RawRow) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO rows (kind, scope, id, parent, due, doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (kind, scope, id)
                 DO UPDATE SET parent = excluded.parent, due = excluded.due, doc = excluded.doc",
            )
            .and_then(|mut q| {
                q.execute(params![table as i64, row.scope, row.id, row.parent, row.due, row.doc])
            })
            .map_err(lost)?;
        Ok(())
    }

    fn delete(&self, table: Table, scope: &str, id: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM rows WHERE kind = ?1 AND scope = ?2 AND id = ?3")
            .and_then(|mut q| q.execute(params![table as i64, scope, id]))
            .map_err(lost)?;
        Ok(())
    }

    fn page(&self, table: Table, scope: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.docs(
            "SELECT doc FROM rows WHERE kind = ?1 AND scope = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            &[&(table as i64), &scope, &after, &limit],
        )
    }

    fn children(&self, table: Table, scope: &str, parent: &str) -> Result<Vec<String>> {
        self.docs(
            "SELECT doc FROM rows WHERE kind = ?1 AND scope = ?2 AND parent = ?3 ORDER BY id",
            &[&(table as i64), &scope, &parent],
        )
    }

    fn due(&self, table: Table, by: f64) -> Result<Vec<String>> {
        self.docs(
            "SELECT doc FROM rows WHERE kind = ?1 AND due <= ?2 ORDER BY due",
            &[&(table as i64), &by],
        )
    }

    fn all(&self, table: Table) -> Result<Vec<String>> {
        self.docs(
            "SELECT doc FROM rows WHERE kind = ?1 ORDER BY scope, id",
            &[&(table as i64)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, parent: &str, due: Option<f64>) -> RawRow {
        RawRow {
            scope: "a/r".into(),
            id: id.into(),
            parent: parent.into(),
            due,
            doc: format!("doc {id}"),
        }
    }

    #[test]
    fn a_failed_transaction_leaves_nothing_and_a_good_one_survives() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kms.db");
        let store = Sqlite::open(&path).unwrap();
        let refused = store.write(&mut |rows| {
            rows.put(Table::Keys, &row("1", "p", None))?;
            Err(internal("no"))
        });
        assert!(refused.is_err());
        store
            .write(&mut |rows| {
                assert_eq!(rows.get(Table::Keys, "a/r", "1")?, None);
                rows.put(Table::Keys, &row("2", "p", Some(5.0)))?;
                rows.put(Table::Keys, &row("3", "q", Some(9.0)))
            })
            .unwrap();
        drop(store);
        let store = Sqlite::open(&path).unwrap();
        store
            .read(&mut |rows| {
                assert_eq!(rows.page(Table::Keys, "a/r", "", 1)?, ["doc 2"]);
                assert_eq!(rows.page(Table::Keys, "a/r", "2", 9)?, ["doc 3"]);
                assert_eq!(rows.children(Table::Keys, "a/r", "p")?, ["doc 2"]);
                assert_eq!(rows.due(Table::Keys, 5.0)?, ["doc 2"]);
                assert_eq!(rows.all(Table::Aliases)?, Vec::<String>::new());
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_file_that_is_no_database_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kms.db");
        std::fs::write(
            &path,
            "certainly not a database, and long enough to be read as one",
        )
        .unwrap();
        assert!(
            Sqlite::open(&path)
                .unwrap_err()
                .cause
                .unwrap()
                .contains("not a database")
        );
    }
}
