//! The file's format: its tables, and how a store of an earlier format becomes one of this.
//!
//! | format | what is new |
//! |---|---|
//! | 1 | the first |
//! | 2 | tombstones may be swept out (`tombstones-swept`), and who reads must heed that |
//!
//! A program that knows only format 1 would keep for living what was destroyed while it slept. One that opens
//! the store reads its number and refuses. One that has it open looks no number up, so the transaction number
//! that its every reading and writing begins with has another name: it fails, and makes nothing of the dead.

use std::path::Path;

use hsm_api::{Error, Result, Rv};
use rusqlite::Connection;

use super::fault;
use super::kind::Kind;

/// The format that this program writes.
const FORMAT: u32 = 2;

/// The newest transaction's number, in `meta`.
pub(super) const SEQ: &str = "sequence";
/// What format 1 called it.
const OLD_SEQ: &str = "seq";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS objects (
        id BLOB PRIMARY KEY, seq INTEGER NOT NULL, version INTEGER NOT NULL, origin INTEGER NOT NULL,
        private INTEGER NOT NULL, open BLOB, sealed BLOB
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS objects_by_seq ON objects (seq);
    CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY AUTOINCREMENT, role INTEGER NOT NULL, name TEXT NOT NULL,
        credential BLOB NOT NULL, pending BLOB, failures INTEGER NOT NULL DEFAULT 0,
        UNIQUE (role, name)
    );
    INSERT OR IGNORE INTO meta VALUES ('sequence', 0), ('epoch', 0);
";

/// Both names are there where programs of both formats made the store at the same moment.
const FROM_1: &str = "
    INSERT OR REPLACE INTO meta SELECT 'sequence', max(value) FROM meta WHERE name IN ('seq', 'sequence');
    DELETE FROM meta WHERE name = 'seq';
";

fn version(sql: &Connection) -> Result<u32> {
    sql.query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fault)
}

/// Makes the tables or brings them to this format, once: an open of a store that has them writes nothing. A store
/// that is refused stays as it is.
///
/// # Errors
/// TOKEN_NOT_RECOGNIZED for a newer format or another kind; DEVICE_ERROR.
pub(super) fn lay_out(sql: &mut Connection, kind: Kind, dir: &Path) -> Result<()> {
    if version(sql)? == FORMAT && !kind.admit(sql, dir)? {
        return Ok(());
    }
    let tx = sql
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(fault)?;
    // Asked again: another process may have been first.
    let from = version(&tx)?;
    match from {
        0 => tx.execute_batch(SCHEMA).map_err(fault)?,
        1 | FORMAT => {
            if kind.admit(&tx, dir)? {
                kind.clear_other(&tx)?;
            }
            if from == 1 {
                tx.execute_batch(FROM_1).map_err(fault)?;
            }
        }
        newer => {
            return Err(Error::new(
                Rv::TOKEN_NOT_RECOGNIZED,
                format!(
                    "the store has format {newer}: a newer Keystead wrote it, use that one (this one knows {FORMAT})"
                ),
            ));
        }
    }
    tx.execute_batch(&format!("PRAGMA user_version = {FORMAT}"))
        .map_err(fault)?;
    tx.commit().map_err(fault)
}

/// Where the transaction number is, for who only looks.
pub(super) fn seq_name(sql: &Connection) -> Result<&'static str> {
    Ok(if version(sql)? == 1 { OLD_SEQ } else { SEQ })
}

#[cfg(test)]
mod tests {
    use hsm_api::ObjectId;

    use super::*;
    use crate::Engine;
    use crate::engine::Settings;
    use crate::object::{Attrs, Object, Origin};
    use crate::store::{Store, inspect, kind};
    use std::sync::Arc;

    fn open(dir: &Path) -> Result<Engine> {
        Engine::embedded(dir, Settings::default())
    }

    fn file(dir: &Path) -> Connection {
        Connection::open(dir.join("token.db")).unwrap()
    }

    fn object(id: u128) -> Arc<Object> {
        let mut attrs = Attrs::default();
        attrs.set(crate::attr::CLASS, hsm_api::Value::Ulong(0));
        Arc::new(Object::new(ObjectId(id), Origin::default(), attrs))
    }

    /// As a program of format 1 left it.
    fn back_to_1(dir: &Path) {
        file(dir)
            .execute_batch(
                "UPDATE meta SET name = 'seq' WHERE name = 'sequence'; PRAGMA user_version = 1;",
            )
            .unwrap();
    }

    #[test]
    fn a_store_of_format_1_is_taken_over_and_its_programs_are_shut_out() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path()).unwrap();
        engine.0.add(vec![object(1)]).unwrap();
        engine.0.add(vec![object(2)]).unwrap();
        let seq = engine.0.store.generation();
        drop(engine);
        back_to_1(dir.path());
        assert_eq!(inspect::inspect(dir.path()).unwrap().faults, [""; 0]);

        // A program of format 1 that has the store open asks this before it reads, and before it writes.
        let old = file(dir.path());
        let asked = |old: &Connection| {
            old.query_row("SELECT value FROM meta WHERE name = 'seq'", [], |row| {
                row.get::<_, i64>(0)
            })
        };
        assert_eq!(asked(&old).unwrap().cast_unsigned(), seq);
        let engine = open(dir.path()).unwrap();
        assert_eq!(engine.0.store.generation(), seq, "nothing is lost");
        assert!(engine.0.find(ObjectId(1)).is_some());
        engine.0.destroy(ObjectId(1)).unwrap();
        assert_eq!(engine.0.store.generation(), seq + 1);
        assert_eq!(
            asked(&old).unwrap_err(),
            rusqlite::Error::QueryReturnedNoRows
        );
        // One that opens it now knows 0 and 1 only.
        assert_eq!(version(&old).unwrap(), 2);
        let again = open(dir.path()).unwrap();
        assert!(again.0.find(ObjectId(1)).is_none() && again.0.find(ObjectId(2)).is_some());
        assert_eq!(inspect::inspect(dir.path()).unwrap().faults, [""; 0]);
    }

    #[test]
    fn a_store_of_format_1_of_the_other_kind_stays_as_it_is() {
        for (kind, other, mark) in [
            (Kind::Token, Kind::Node, kind::TOKEN_MARK),
            (Kind::Node, Kind::Token, kind::NODE_MARK),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), kind).unwrap();
            store.write(|tx| tx.put(mark, b"0001")).unwrap();
            drop(store);
            back_to_1(dir.path());
            let state = || {
                let files = std::fs::read_dir(dir.path()).unwrap();
                let mut all: Vec<_> = files
                    .map(|file| file.unwrap().path())
                    .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
                    .collect();
                all.sort();
                all
            };
            let before = state();
            let refused = Store::open(dir.path(), other).err().unwrap();
            assert_eq!(refused.rv, Rv::TOKEN_NOT_RECOGNIZED);
            assert!(state() == before, "{other:?} changed a store of {kind:?}");
            assert_eq!(version(&file(dir.path())).unwrap(), 1);
            drop(Store::open(dir.path(), kind).unwrap());
            assert_eq!(version(&file(dir.path())).unwrap(), FORMAT);
        }
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        file(dir.path())
            .execute_batch("PRAGMA user_version = 3")
            .unwrap();
        let refused = open(dir.path()).err().unwrap();
        assert_eq!(refused.rv, Rv::TOKEN_NOT_RECOGNIZED);
        assert!(refused.why.contains("format 3"), "{refused}");
        assert_eq!(version(&file(dir.path())).unwrap(), 3);
    }

    #[test]
    fn programs_of_both_formats_that_made_it_together_are_sorted_out() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path()).unwrap();
        engine.0.add(vec![object(1)]).unwrap();
        let seq = engine.0.store.generation();
        drop(engine);
        file(dir.path())
            .execute_batch("INSERT INTO meta VALUES ('seq', 0); PRAGMA user_version = 1;")
            .unwrap();
        let engine = open(dir.path()).unwrap();
        assert_eq!(engine.0.store.generation(), seq);
        engine.0.add(vec![object(2)]).unwrap();
    }
}
