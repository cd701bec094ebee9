//! An object's row. A private object is sealed whole under the token key, so that nothing of it is
//! readable without a login; of a public one only the secret attributes are sealed, under the key in
//! the token's directory. What is sealed is bound to the row's id, version and open part.

use hsm_api::{Error, ObjectId, Result, Rv};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::seal::SealKey;
use super::{Tx, fault};
use crate::attr;
use crate::encode;
use crate::kept::Packed;
use crate::object::{Attrs, Object};

/// An object's row as it is stored.
#[derive(Clone)]
pub struct Record {
    /// The object.
    pub id: ObjectId,
    /// The transaction that wrote it.
    pub seq: u64,
    /// Rises with each change.
    pub version: u64,
    /// The HSM that made the version.
    pub origin: u64,
    /// Sealed under the token key.
    pub private: bool,
    /// What is left when it is destroyed: nothing.
    pub body: Option<Body>,
}

/// What is stored of a living object.
#[derive(Clone)]
pub struct Body {
    open: Vec<u8>,
    sealed: Vec<u8>,
}

fn corrupt(id: ObjectId) -> Error {
    Error::new(
        Rv::DEVICE_ERROR,
        format!("store: the record of object {:032x} is damaged", id.0),
    )
}

fn aad(id: ObjectId, version: u64, open: &[u8]) -> Vec<u8> {
    [&id.0.to_be_bytes()[..], &version.to_be_bytes(), open].concat()
}

impl Record {
    /// Seals an object for the disk.
    ///
    /// # Errors
    /// USER_NOT_LOGGED_IN for a private object without the token key.
    pub fn seal(object: &Object, device: &SealKey, token: Option<&SealKey>) -> Result<Record> {
        let private = object.facts.private;
        let key = if private {
            token.ok_or_else(|| Error::new(Rv::USER_NOT_LOGGED_IN, "the token key is locked"))?
        } else {
            device
        };
        let (hidden, open) = if private {
            (object.attrs.clone(), Attrs::default())
        } else {
            object
                .attrs
                .clone()
                .partition(|a| attr::row(a.ty).is_some_and(|r| r.secret))
        };
        let open = if private {
            Vec::new()
        } else {
            postcard::to_allocvec(&(&object.origin, open))
                .map_err(|_| Error::new(Rv::DEVICE_ERROR, "an object cannot be encoded"))?
        };
        let plain = encode::secret(&(&object.origin, hidden))?;
        let sealed = key.seal(&aad(object.id, object.origin.version, &open), &plain)?;
        Ok(Record {
            id: object.id,
            seq: 0,
            version: object.origin.version,
            origin: object.origin.origin,
            private,
            body: Some(Body { open, sealed }),
        })
    }

    /// A destroyed object.
    pub fn tombstone(id: ObjectId, version: u64, origin: u64) -> Record {
        Record {
            id,
            seq: 0,
            version,
            origin,
            private: false,
            body: None,
        }
    }

    /// The object; `None` for a tombstone.
    ///
    /// # Errors
    /// DEVICE_ERROR where the record was tampered with, USER_NOT_LOGGED_IN without the token key.
    pub fn open(&self, device: &SealKey, token: Option<&SealKey>) -> Result<Option<Object>> {
        let Some(Body { open, sealed }) = &self.body else {
            return Ok(None);
        };
        let key = if self.private {
            token.ok_or_else(|| Error::new(Rv::USER_NOT_LOGGED_IN, "the token key is locked"))?
        } else {
            device
        };
        let plain = key
            .open(&aad(self.id, self.version, open), sealed)
            .ok_or_else(|| corrupt(self.id))?;
        let packed = Packed {
            hidden: plain,
            open: open.clone(),
        };
        let object = Object::packed(self.id, packed);
        object.map(Some).ok_or_else(|| corrupt(self.id))
    }
}

fn id(row: &Row<'_>) -> rusqlite::Result<ObjectId> {
    let id: [u8; 16] = row.get(0)?;
    Ok(ObjectId(u128::from_be_bytes(id)))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Record> {
    let open: Option<Vec<u8>> = row.get(5)?;
    let sealed: Option<Vec<u8>> = row.get(6)?;
    Ok(Record {
        id: id(row)?,
        seq: row.get::<_, i64>(1)?.cast_unsigned(),
        version: row.get::<_, i64>(2)?.cast_unsigned(),
        origin: row.get::<_, i64>(3)?.cast_unsigned(),
        private: row.get(4)?,
        body: open.zip(sealed).map(|(open, sealed)| Body { open, sealed }),
    })
}

const COLUMNS: &str = "id, seq, version, origin, private, open, sealed";

/// Shows which objects were written after `seq`, in that order. Together with [`since`]: an index has this, while the rows
/// themselves lie in the order of their random ids and are read much faster so.
pub(super) fn order(sql: &Connection, seq: u64, mut show: impl FnMut(ObjectId)) -> Result<()> {
    let mut all = sql
        .prepare_cached("SELECT id FROM objects WHERE seq > ?1 ORDER BY seq")
        .map_err(fault)?;
    let rows = all.query_map([seq.cast_signed()], id);
    for id in rows.map_err(fault)? {
        show(id.map_err(fault)?);
    }
    Ok(())
}

/// Shows each row written after `seq`, one at a time, for there may be very many. Without the token key (`sealed` false)
/// what is sealed under it is left out.
pub(super) fn since(
    sql: &Connection,
    seq: u64,
    sealed: bool,
    show: impl FnMut(&Record),
) -> Result<()> {
    // All of them: not by way of the index.
    let rows = if seq == 0 { "+seq" } else { "seq" };
    let query = format!(
        "SELECT id, seq, version, origin, private, open, CASE WHEN private AND NOT ?2 THEN x'' ELSE sealed END
         FROM objects WHERE {rows} > ?1"
    );
    each(sql, &query, params![seq.cast_signed(), sealed], show)
}

/// Shows each private object's row.
pub(crate) fn each_private(sql: &Connection, show: impl FnMut(&Record)) -> Result<()> {
    let query = format!("SELECT {COLUMNS} FROM objects WHERE private");
    each(sql, &query, [], show)
}

fn each(
    sql: &Connection,
    query: &str,
    params: impl rusqlite::Params,
    mut show: impl FnMut(&Record),
) -> Result<()> {
    let mut all = sql.prepare_cached(query).map_err(fault)?;
    for row in all.query_map(params, from_row).map_err(fault)? {
        show(&row.map_err(fault)?);
    }
    Ok(())
}

/// One object's row.
pub(crate) fn find(sql: &Connection, id: ObjectId) -> Result<Option<Record>> {
    let mut one = sql
        .prepare_cached(&format!("SELECT {COLUMNS} FROM objects WHERE id = ?1"))
        .map_err(fault)?;
    one.query_row([&id.0.to_be_bytes()[..]], from_row)
        .optional()
        .map_err(fault)
}

/// Adds or replaces a row.
pub(crate) fn put(tx: &Tx<'_>, record: &Record) -> Result<()> {
    let mut put = tx
        .sql()
        .prepare_cached("INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .map_err(fault)?;
    put.execute(params![
        &record.id.0.to_be_bytes()[..],
        tx.seq.cast_signed(),
        record.version.cast_signed(),
        record.origin.cast_signed(),
        record.private,
        record.body.as_ref().map(|b| &b.open),
        record.body.as_ref().map(|b| &b.sealed),
    ])
    .map_err(fault)?;
    Ok(())
}
