//! Looks at a store from outside, without changing it: for tools that say whether a token's directory is sound.

use std::fs;
use std::path::{Path, PathBuf};

use hsm_api::{Error, Result, Rv};
use rusqlite::{Connection, OpenFlags};

use super::format::seq_name;
use super::kind::TOKEN_MARK;
use super::{fault, number, value};

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The token's label, once it is initialized.
    pub label: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// Objects that anybody sees.
    pub public: u64,
    /// Objects that only the user sees.
    pub private: u64,
    /// What remembers destroyed objects.
    pub tombstones: u64,
    /// What is wrong.
    pub faults: Vec<String>,
    /// Files that nobody needs.
    pub leftovers: Vec<PathBuf>,
}

fn read_only(dir: &Path) -> Result<Connection> {
    let path = dir.join("token.db");
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    super::fork::notice();
    Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|e| Error::new(Rv::DEVICE_ERROR, format!("store {}: {e}", path.display())))
}

fn text(sql: &Connection, name: &str) -> Result<Option<String>> {
    Ok(value(sql, name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The serial number of the token in a directory.
///
/// # Errors
/// DEVICE_ERROR where there is no store or none that can be read.
pub fn serial(dir: &Path) -> Result<String> {
    let serial = text(&read_only(dir)?, TOKEN_MARK)?;
    serial.ok_or_else(|| Error::new(Rv::DEVICE_ERROR, "the store has no serial number"))
}

/// The label of the token in a directory, if it is initialized.
///
/// # Errors
/// DEVICE_ERROR where there is no store or none that can be read.
pub fn label(dir: &Path) -> Result<Option<String>> {
    text(&read_only(dir)?, "label")
}

/// Looks at the store in a directory.
///
/// # Errors
/// DEVICE_ERROR where there is no store or none that can be read at all.
pub fn inspect(dir: &Path) -> Result<Report> {
    let sql = read_only(dir)?;
    let mut report = Report {
        label: text(&sql, "label")?,
        serial: text(&sql, TOKEN_MARK)?,
        ..Report::default()
    };
    integrity(&sql, &mut report)?;
    let count = |sql: &Connection, which: &str| {
        sql.query_row(
            &format!("SELECT count(*) FROM objects WHERE {which}"),
            [],
            |row| row.get::<_, i64>(0),
        )
        .map(i64::cast_unsigned)
        .map_err(fault)
    };
    report.public = count(&sql, "sealed IS NOT NULL AND NOT private")?;
    report.private = count(&sql, "sealed IS NOT NULL AND private")?;
    report.tombstones = count(&sql, "sealed IS NULL")?;
    let seq = number(&sql, seq_name(&sql)?)?;
    let newest = sql
        .query_row("SELECT coalesce(max(seq), 0) FROM objects", [], |row| {
            row.get::<_, i64>(0)
        })
        .map(i64::cast_unsigned)
        .map_err(fault)?;
    if newest > seq {
        let why = format!("a row has the number {newest}, newer than the store's own {seq}");
        report.faults.push(why);
    }
    files(dir, &mut report)?;
    Ok(report)
}

/// SQLite's own check, indexes included.
fn integrity(sql: &Connection, report: &mut Report) -> Result<()> {
    let mut check = sql.prepare("PRAGMA integrity_check").map_err(fault)?;
    let lines = check
        .query_map([], |row| row.get::<_, String>(0))
        .map_err(fault)?;
    for line in lines {
        let line = line.map_err(fault)?;
        if line != "ok" {
            report.faults.push(line);
        }
    }
    Ok(())
}

fn files(dir: &Path, report: &mut Report) -> Result<()> {
    let io = |e: std::io::Error| Error::new(Rv::DEVICE_ERROR, format!("{}: {e}", dir.display()));
    let device = fs::metadata(dir.join("device.key"));
    match device.map(|meta| meta.len()) {
        Ok(32) => {}
        Ok(length) => report
            .faults
            .push(format!("device.key has {length} bytes instead of 32")),
        Err(e) => report.faults.push(format!("device.key: {e}")),
    }
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match &*name {
            "device.key" | "token.db" | "token.db-wal" | "token.db-shm" | "generation" => {
                too_open(&entry.path(), &name, 0o077, report);
            }
            // As a rule what a process left that died while it made the key.
            _ => report.leftovers.push(entry.path()),
        }
    }
    // A directory may be looked into, as long as its files may not: what counts is who can put files there.
    too_open(dir, "the directory", 0o022, report);
    Ok(())
}

#[cfg(unix)]
fn too_open(path: &Path, name: &str, others: u32, report: &mut Report) {
    use std::os::unix::fs::PermissionsExt;
    // A file that went away meanwhile has no rights.
    if let Ok(meta) = fs::metadata(path)
        && meta.permissions().mode() & others != 0
    {
        let mode = meta.permissions().mode() & 0o777;
        report.faults.push(format!(
            "{name} has the rights {mode:03o}: it is open to others"
        ));
    }
}

#[cfg(not(unix))]
fn too_open(_: &Path, _: &str, _: u32, _: &mut Report) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::kind::Kind;

    #[test]
    fn a_fresh_store_is_sound_and_leftovers_are_seen() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("token-0000");
        assert!(inspect(&dir).is_err(), "no store yet");
        let store = Store::open(&dir, Kind::Token).unwrap();
        store.write(|tx| tx.put("serial", b"0001")).unwrap();
        let report = inspect(&dir).unwrap();
        assert_eq!((&report.faults, &report.leftovers), (&vec![], &vec![]));
        assert_eq!(serial(&dir).unwrap(), "0001");
        fs::write(dir.join("device.key.0000"), [0; 32]).unwrap();
        fs::write(dir.join("device.key"), [0; 31]).unwrap();
        let report = inspect(&dir).unwrap();
        assert_eq!(report.leftovers, [dir.join("device.key.0000")]);
        assert_eq!(report.faults, ["device.key has 31 bytes instead of 32"]);
    }
}
