//! The durable store: one SQLite file that several processes share, and the mapped number beside it
//! by which they learn of each other's commits.
//!
//! | file | duty |
//! |---|---|
//! | `generation` | the mapped number |
//! | `format` | the tables, and what became of earlier ones |
//! | `kind` | whose it is: an embedded token's or a cluster's HSM's |
//! | `fork` | SQLite's view of files in a forked child |
//! | `inspect` | what a tool may see of a store |
//! | `seal` | sealing at rest, keys from PINs |
//! | `record` | an object's row: what is sealed in it, and what it is bound to |
//!
//! Rows carry the sequence number of the transaction that wrote them, and a destroyed object leaves
//! its tombstone, so a process reads just what is newer than what it has. Where there are no other HSMs
//! to tell, old tombstones are swept out, and a process that has not seen them all reads everything anew.

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod fork;
mod format;
pub mod generation;
pub mod inspect;
pub mod kind;
pub mod record;
pub mod seal;

use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hsm_api::{Error, ObjectId, Result, Rv};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use format::SEQ;
use generation::Generation;
use kind::Kind;
use record::Record;
use seal::SealKey;

use crate::users::Guesses;

/// The store of one HSM.
pub struct Store {
    dir: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    generation: Generation,
    full: AtomicBool,
    /// After how many transactions a tombstone may go; 0 is never.
    keeps: AtomicU64,
    device: SealKey,
    guesses: Guesses,
}

/// A write transaction under way.
pub struct Tx<'a> {
    sql: Transaction<'a>,
    /// Its sequence number.
    pub seq: u64,
}

/// The store as of one moment, for who wants to know what is new.
pub struct News<'a> {
    sql: &'a Connection,
    /// Changes when everything was wiped: what one had is void.
    pub epoch: u64,
    /// The newest sequence number.
    pub seq: u64,
    /// Up to this one tombstones have been swept out: who knows less knows some of the dead as living.
    pub swept: u64,
}

impl News<'_> {
    /// Shows which objects were written after `since`, in that order.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub fn order(&self, since: u64, show: impl FnMut(ObjectId)) -> Result<()> {
        record::order(self.sql, since, show)
    }

    /// Shows each row written after `since`; without the token key (`sealed` false) nothing that it seals.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub fn each(&self, since: u64, sealed: bool, show: impl FnMut(&Record)) -> Result<()> {
        record::since(self.sql, since, sealed, show)
    }
}

/// SQLite's refusals in PKCS#11's words.
pub(crate) fn fault(e: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let rv = match e.sqlite_error_code() {
        Some(Code::DiskFull) => Rv::DEVICE_MEMORY,
        Some(Code::ReadOnly | Code::PermissionDenied | Code::CannotOpen) => {
            Rv::TOKEN_WRITE_PROTECTED
        }
        _ => Rv::DEVICE_ERROR,
    };
    Error::new(rv, format!("store: {e}"))
}

fn file_fault(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |e| Error::new(Rv::DEVICE_ERROR, format!("{path}: {e}"))
}

/// Makes a directory that only its owner may enter.
pub(crate) fn private_dir(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(file_fault(dir))
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// DEVICE_ERROR with the path and the system's words; TOKEN_WRITE_PROTECTED; TOKEN_NOT_RECOGNIZED for a store of the
    /// other kind or a newer format, whose contents are left as they are.
    pub fn open(dir: &Path, kind: Kind) -> Result<Self> {
        private_dir(dir)?;
        let device = device_key(dir)?;
        let path = dir.join("token.db");
        let mut writer = connect(&path)?;
        format::lay_out(&mut writer, kind, dir)?;
        restrict(&path)?;
        let reader = connect(&path)?;
        let at = dir.join("generation");
        let generation = Generation::open(&at).map_err(file_fault(&at))?;
        let store = Store {
            dir: dir.to_owned(),
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            generation,
            full: AtomicBool::new(false),
            keeps: AtomicU64::new(0),
            device,
            guesses: Guesses::default(),
        };
        store.mend();
        Ok(store)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The key in the directory itself: it seals what must be readable without a login.
    pub fn device(&self) -> &SealKey {
        &self.device
    }

    /// PINs being checked in this process.
    pub fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    /// The number to compare; see [`generation`].
    pub fn generation(&self) -> u64 {
        self.generation.load()
    }

    /// From now on every write fails as on a full disk, or no longer.
    pub fn fill_disk(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// From now on tombstones that so many transactions have followed are swept out. Only where nobody
    /// but the processes at this store has to learn of a destruction.
    pub fn forget_after(&self, transactions: u64) {
        self.keeps.store(transactions, Ordering::Relaxed);
    }

    /// All writing goes through here: one short transaction, durable when it returns. What an earlier
    /// check saw may have changed meanwhile, so `work` reads again what it depends on.
    ///
    /// # Errors
    /// What `work` refuses (nothing is written then); DEVICE_ERROR, DEVICE_MEMORY.
    pub fn write<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        if self.full.load(Ordering::Relaxed) {
            return Err(Error::new(Rv::DEVICE_MEMORY, "store: the disk is full"));
        }
        let mut writer = self.writer.lock();
        let sql = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fault)?;
        let seq = number(&sql, SEQ)? + 1;
        let tx = Tx { sql, seq };
        let done = work(&tx)?;
        tx.put_number(SEQ, seq)?;
        let keeps = self.keeps.load(Ordering::Relaxed);
        if keeps != 0 && seq % SWEEP_EVERY == 0 {
            tx.sweep(seq.saturating_sub(keeps))?;
        }
        self.generation.store(seq);
        if let Err(e) = tx.sql.commit() {
            // Whether it came through is the file's to say.
            self.mend();
            return Err(fault(e));
        }
        Ok(done)
    }

    /// Reads with one consistent view.
    ///
    /// # Errors
    /// DEVICE_ERROR, and what `work` refuses.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut reader = self.reader.lock();
        let sql = reader.transaction().map_err(fault)?;
        work(&sql)
    }

    /// Looks at what there is now.
    ///
    /// # Errors
    /// DEVICE_ERROR, and what `work` refuses.
    pub fn news<T>(&self, work: impl FnOnce(&News<'_>) -> Result<T>) -> Result<T> {
        self.read(|sql| {
            let news = News {
                sql,
                epoch: number(sql, "epoch")?,
                seq: number(sql, SEQ)?,
                swept: number_if_any(sql, SWEPT)?,
            };
            work(&news)
        })
    }

    /// Where the number and the file disagree and nobody is writing, the file is right.
    pub fn mend(&self) {
        let mut reader = self.reader.lock();
        let _ = reader.busy_timeout(Duration::ZERO);
        if let Ok(sql) = reader.transaction_with_behavior(TransactionBehavior::Immediate)
            && let Ok(seq) = number(&sql, SEQ)
        {
            self.generation.store(seq);
        }
        let _ = reader.busy_timeout(BUSY);
    }

    /// A named value.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub fn value(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.read(|sql| value(sql, name))
    }
}

impl Tx<'_> {
    /// The connection, for the tables of others.
    pub fn sql(&self) -> &Connection {
        &self.sql
    }

    /// Sets a named value.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub fn put(&self, name: &str, value: &[u8]) -> Result<()> {
        let mut put = self
            .sql
            .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")
            .map_err(fault)?;
        put.execute(params![name, value]).map_err(fault)?;
        Ok(())
    }

    fn put_number(&self, name: &str, number: u64) -> Result<()> {
        let mut put = self
            .sql
            .prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")
            .map_err(fault)?;
        put.execute(params![name, number.cast_signed()])
            .map_err(fault)?;
        Ok(())
    }

    /// Takes out tombstones of transactions up to `last`, but for those that were looked at before.
    fn sweep(&self, last: u64) -> Result<()> {
        let from = number_if_any(&self.sql, LOOKED_AT)?;
        if last <= from {
            return Ok(());
        }
        let mut delete = self
            .sql
            .prepare_cached("DELETE FROM objects WHERE seq > ?1 AND seq <= ?2 AND sealed IS NULL")
            .map_err(fault)?;
        let swept = delete
            .execute(params![from.cast_signed(), last.cast_signed()])
            .map_err(fault)?;
        let mut put = self
            .sql
            .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")
            .map_err(fault)?;
        for name in [LOOKED_AT, SWEPT] {
            if name == LOOKED_AT || swept != 0 {
                put.execute(params![name, last.cast_signed()])
                    .map_err(fault)?;
            }
        }
        Ok(())
    }

    /// Refuses to write what was made under a token key that is no longer: somebody has initialized or
    /// restored everything since `epoch`.
    ///
    /// # Errors
    /// USER_NOT_LOGGED_IN; DEVICE_ERROR.
    pub fn still(&self, epoch: u64) -> Result<()> {
        if number(&self.sql, "epoch")? == epoch {
            return Ok(());
        }
        Err(Error::new(
            Rv::USER_NOT_LOGGED_IN,
            "the token was initialized anew meanwhile",
        ))
    }

    /// Voids every login.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub fn void(&self) -> Result<()> {
        let epoch = number(&self.sql, "epoch")?;
        self.put_number("epoch", epoch + 1)
    }

    /// Forgets every object, tombstones too, and every user.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub fn wipe(&self) -> Result<()> {
        self.sql
            .execute_batch("DELETE FROM objects; DELETE FROM users;")
            .map_err(fault)?;
        self.void()
    }
}

/// What [`Tx::still`] compares.
pub(crate) fn epoch(sql: &Connection) -> Result<u64> {
    number(sql, "epoch")
}

/// A named value.
pub(crate) fn value(sql: &Connection, name: &str) -> Result<Option<Vec<u8>>> {
    let mut get = sql
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")
        .map_err(fault)?;
    get.query_row([name], |row| row.get(0))
        .optional()
        .map_err(fault)
}

fn number(sql: &Connection, name: &str) -> Result<u64> {
    let mut get = sql
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")
        .map_err(fault)?;
    get.query_row([name], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
        .map_err(fault)
}

fn number_if_any(sql: &Connection, name: &str) -> Result<u64> {
    let mut get = sql
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")
        .map_err(fault)?;
    let found = get.query_row([name], |row| row.get::<_, i64>(0)).optional();
    Ok(found.map_err(fault)?.map_or(0, i64::cast_unsigned))
}

/// The transactions whose tombstones have been looked at, and those of which some went.
const LOOKED_AT: &str = "tombstones-looked-at";
const SWEPT: &str = "tombstones-swept";
/// How often old tombstones are looked for: seldom enough to cost nothing.
const SWEEP_EVERY: u64 = 256;

/// Long enough for many processes' commits to go first.
const BUSY: Duration = Duration::from_secs(30);

fn connect(path: &Path) -> Result<Connection> {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fork::notice();
    let sql = Connection::open(path)
        .map_err(|e| Error::new(Rv::DEVICE_ERROR, format!("store {}: {e}", path.display())))?;
    sql.busy_timeout(BUSY).map_err(fault)?;
    // In WAL mode FULL syncs the log at each commit: an acknowledged write survives a power cut.
    // Processes that open a fresh file together trip over each other's change of mode, which SQLite
    // does not wait for.
    let started = Instant::now();
    loop {
        match sql.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;") {
            Ok(()) => return Ok(sql),
            Err(e)
                if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && started.elapsed() < BUSY =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) => return Err(fault(e)),
        }
    }
}

fn restrict(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            let path = PathBuf::from(name);
            if path.exists() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                    .map_err(file_fault(&path))?;
            }
        }
    }
    Ok(())
}

/// Made once, whichever process comes first: written aside and linked to its name.
fn device_key(dir: &Path) -> Result<SealKey> {
    let path = dir.join("device.key");
    // Asked first: a process that makes both now makes the key before the store.
    let stored = dir.join("token.db").exists();
    let there = path.try_exists().map_err(file_fault(&path))?;
    if !there && stored {
        let why = format!(
            "{} is missing: it seals the token's objects, which do not open under another one; bring the file back from a backup of \
             the directory (without it, what is stored there is lost, and the directory may be moved away)",
            path.display()
        );
        return Err(Error::new(Rv::DEVICE_ERROR, why));
    }
    if !there {
        let aside = dir.join(format!(
            "device.key.{:016x}",
            u64::from_ne_bytes(seal::random()?)
        ));
        write_private(&aside, SealKey::generate()?.expose())?;
        let linked = fs::hard_link(&aside, &path);
        let _ = fs::remove_file(&aside);
        match linked {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(file_fault(&path)(e));
            }
            _ => {}
        }
    }
    let bytes = zeroize::Zeroizing::new(fs::read(&path).map_err(file_fault(&path))?);
    SealKey::new(&bytes)
        .map_err(|_| Error::new(Rv::DEVICE_ERROR, format!("{}: not a key", path.display())))
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(file_fault(path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(file_fault(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_key_of_a_store_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), Kind::Token).unwrap());
        let key = dir.path().join("device.key");
        let kept = fs::read(&key).unwrap();
        fs::remove_file(&key).unwrap();
        let lost = Store::open(dir.path(), Kind::Token).err().unwrap();
        assert_eq!(lost.rv, Rv::DEVICE_ERROR);
        assert!(lost.why.contains("device.key is missing"), "{lost}");
        assert!(!key.exists(), "no other one takes its place");
        fs::write(&key, kept).unwrap();
        assert!(Store::open(dir.path(), Kind::Token).is_ok());
    }

    #[test]
    fn a_number_left_too_high_by_a_dead_writer_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Kind::Token).unwrap();
        store.write(|tx| tx.put("a", b"1")).unwrap();
        assert_eq!(store.generation(), 1);
        // A process raised the number and died before its commit.
        store.generation.store(2);
        store.mend();
        assert_eq!(store.generation(), 1);
        // The other way round: the file went ahead, as after a copy from elsewhere.
        store.generation.store(0);
        let again = Store::open(dir.path(), Kind::Token).unwrap();
        assert_eq!(again.generation(), 1);
    }

    #[test]
    fn a_refused_transaction_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Kind::Token).unwrap();
        let refused: Result<()> = store.write(|tx| {
            tx.put("a", b"1")?;
            Err(Rv::FUNCTION_FAILED.into())
        });
        assert!(refused.is_err());
        assert_eq!(store.value("a").unwrap(), None);
        assert_eq!(store.generation(), 0);
        store.fill_disk(true);
        assert_eq!(
            store.write(|tx| tx.put("a", b"1")).unwrap_err().rv,
            Rv::DEVICE_MEMORY
        );
        store.fill_disk(false);
        store.write(|tx| tx.put("a", b"1")).unwrap();
    }
}
