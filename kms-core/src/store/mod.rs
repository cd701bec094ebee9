//! Where the service keeps what it knows: documents with three indexed columns.
//!
//! A row is a JSON document with a scope, an id, a parent (what it belongs to) and a due time (when something must happen to it).
//! That is all the operations need, and all that another database must offer: [`Store`] and [`Rows`] say nothing of SQLite.
//! A closure given to [`Store::write`] may run more than once (a database that detects conflicts retries it), so it must have no
//! effect outside the rows. No HSM is called inside one.

mod sqlite;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Result, internal};
use crate::ids::Scope;
pub use sqlite::Sqlite;

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// KMS keys; parent: the key store.
    Keys = 1,
    /// Aliases; parent: the key.
    Aliases = 2,
    /// Grants; parent: the key.
    Grants = 3,
    /// Custom key stores; parent: the cluster.
    Stores = 4,
}

/// A database of rows.
pub trait Store: Send + Sync {
    /// Runs `f` on a consistent view.
    ///
    /// # Errors
    /// What `f` returned, or KMSInternalException if the database failed.
    fn read(&self, f: &mut dyn FnMut(&dyn Rows) -> Result<()>) -> Result<()>;

    /// Runs `f` in a transaction that is durable when this returns, and undone if `f` fails.
    ///
    /// # Errors
    /// What `f` returned, or KMSInternalException if the database failed.
    fn write(&self, f: &mut dyn FnMut(&dyn Rows) -> Result<()>) -> Result<()>;
}

/// The rows inside a transaction.
pub trait Rows {
    /// The document of a row.
    ///
    /// # Errors
    /// KMSInternalException if the database failed; so for all of these.
    fn get(&self, table: Table, scope: &str, id: &str) -> Result<Option<String>>;
    /// Writes a row, replacing one of its id.
    ///
    /// # Errors
    /// As `get`.
    fn put(&self, table: Table, row: &RawRow) -> Result<()>;
    /// Removes a row if it is there.
    ///
    /// # Errors
    /// As `get`.
    fn delete(&self, table: Table, scope: &str, id: &str) -> Result<()>;
    /// Documents of a scope in the order of their ids, from the first id greater than `after`.
    ///
    /// # Errors
    /// As `get`.
    fn page(&self, table: Table, scope: &str, after: &str, limit: usize) -> Result<Vec<String>>;
    /// Documents of a scope that belong to `parent`, in the order of their ids.
    ///
    /// # Errors
    /// As `get`.
    fn children(&self, table: Table, scope: &str, parent: &str) -> Result<Vec<String>>;
    /// Documents of all scopes whose due time is `by` or earlier.
    ///
    /// # Errors
    /// As `get`.
    fn due(&self, table: Table, by: f64) -> Result<Vec<String>>;
    /// Documents of all scopes.
    ///
    /// # Errors
    /// As `get`.
    fn all(&self, table: Table) -> Result<Vec<String>>;
}

/// A row as the database sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRow {
    /// Account and region.
    pub scope: String,
    /// The id, unique in its scope and table.
    pub id: String,
    /// What it belongs to, or empty.
    pub parent: String,
    /// When something must happen to it.
    pub due: Option<f64>,
    /// The document.
    pub doc: String,
}

/// A type that is kept as rows of one table.
pub trait Record: Serialize + DeserializeOwned {
    /// Its table.
    const TABLE: Table;
    /// Whose it is.
    fn scope(&self) -> &Scope;
    /// Its id.
    fn id(&self) -> &str;
    /// What it belongs to.
    fn parent(&self) -> &str;
    /// When something must happen to it.
    fn due(&self) -> Option<f64> {
        None
    }
}

fn decode<R: Record>(doc: &str) -> Result<R> {
    serde_json::from_str(doc)
        .map_err(|e| internal(format!("a row of {:?} cannot be read: {e}", R::TABLE)))
}

fn decode_all<R: Record>(docs: Vec<String>) -> Result<Vec<R>> {
    docs.iter().map(|doc| decode(doc)).collect()
}

/// [`Rows`] with types.
impl dyn Rows + '_ {
    /// The record of this id.
    ///
    /// # Errors
    /// KMSInternalException if the database failed; so for all of these.
    pub fn fetch<R: Record>(&self, scope: &Scope, id: &str) -> Result<Option<R>> {
        self.get(R::TABLE, &scope.path(), id)?
            .map(|doc| decode(&doc))
            .transpose()
    }

    /// Writes a record.
    ///
    /// # Errors
    /// As `fetch`.
    pub fn save<R: Record>(&self, record: &R) -> Result<()> {
        let doc = serde_json::to_string(record).map_err(|e| internal(e.to_string()))?;
        self.put(
            R::TABLE,
            &RawRow {
                scope: record.scope().path(),
                id: record.id().to_owned(),
                parent: record.parent().to_owned(),
                due: record.due(),
                doc,
            },
        )
    }

    /// Removes a record.
    ///
    /// # Errors
    /// As `fetch`.
    pub fn remove<R: Record>(&self, record: &R) -> Result<()> {
        self.delete(R::TABLE, &record.scope().path(), record.id())
    }

    /// One page of a scope.
    ///
    /// # Errors
    /// As `fetch`.
    pub fn list<R: Record>(&self, scope: &Scope, after: &str, limit: usize) -> Result<Vec<R>> {
        decode_all(self.page(R::TABLE, &scope.path(), after, limit)?)
    }

    /// What belongs to `parent`.
    ///
    /// # Errors
    /// As `fetch`.
    pub fn of<R: Record>(&self, scope: &Scope, parent: &str) -> Result<Vec<R>> {
        decode_all(self.children(R::TABLE, &scope.path(), parent)?)
    }

    /// What is due by then.
    ///
    /// # Errors
    /// As `fetch`.
    pub fn due_by<R: Record>(&self, by: f64) -> Result<Vec<R>> {
        decode_all(self.due(R::TABLE, by)?)
    }

    /// Everything of a kind.
    ///
    /// # Errors
    /// As `fetch`.
    pub fn every<R: Record>(&self) -> Result<Vec<R>> {
        decode_all(self.all(R::TABLE)?)
    }
}

/// [`Store`] with results.
impl dyn Store + '_ {
    /// Reads and returns what `f` found.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn view<T>(&self, mut f: impl FnMut(&dyn Rows) -> Result<T>) -> Result<T> {
        let mut found = None;
        self.read(&mut |rows| {
            found = Some(f(rows)?);
            Ok(())
        })?;
        found.ok_or_else(|| internal("the store did not run the transaction"))
    }

    /// Writes and returns what `f` made.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn change<T>(&self, mut f: impl FnMut(&dyn Rows) -> Result<T>) -> Result<T> {
        let mut made = None;
        self.write(&mut |rows| {
            made = Some(f(rows)?);
            Ok(())
        })?;
        made.ok_or_else(|| internal("the store did not run the transaction"))
    }
}
