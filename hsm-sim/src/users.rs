//! The user table: PINs, failures, locks. A PIN is checked by opening the token key with it, outside
//! any lock or transaction, for that takes a while on purpose.

use std::collections::HashMap;

use hsm_api::{Error, Phase, Result, Role, Rv};
use hsm_crypto::Hash;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::store::seal::{Credential, PinCost, SealKey};
use crate::store::{Store, Tx, fault};

/// Rules for PINs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRules {
    /// Shortest.
    pub min: u32,
    /// Longest.
    pub max: u32,
    /// Wrong ones in a row that lock.
    pub failures: u32,
    /// What checking one costs.
    pub cost: PinCost,
}

impl PinRules {
    /// A token of one's own: SoftHSM never locks, so ours is patient.
    pub const fn embedded() -> Self {
        PinRules {
            min: 4,
            max: 255,
            failures: 10,
            cost: PinCost {
                memory: 19 * 1024,
                passes: 2,
            },
        }
    }
    /// CloudHSM's.
    pub const fn cluster() -> Self {
        PinRules {
            min: 7,
            max: 32,
            failures: 5,
            cost: PinCost {
                memory: 19 * 1024,
                passes: 2,
            },
        }
    }

    /// # Errors
    /// PIN_LEN_RANGE.
    pub fn check(&self, pin: &[u8]) -> Result<()> {
        if (self.min as usize..=self.max as usize).contains(&pin.len()) {
            return Ok(());
        }
        Err(Error::new(
            Rv::PIN_LEN_RANGE,
            format!(
                "a PIN or password has {} to {} characters",
                self.min, self.max
            ),
        ))
    }
}

/// A row.
#[derive(Clone)]
pub struct User {
    /// From 1.
    pub id: u32,
    /// What it may do.
    pub role: Role,
    /// Lower case; empty for PKCS#11's own two.
    pub name: String,
    /// Under its password.
    pub credential: Credential,
    /// Under a password that was prepared and not committed.
    pub pending: Option<Credential>,
    /// Wrong passwords in a row.
    pub failures: u32,
}

/// A user as backups carry it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Exported(u32, Role, String, Credential, Option<Credential>, u32);

fn code(role: Role) -> i64 {
    match role {
        Role::PreCo => 0,
        Role::Co => 1,
        Role::Cu => 2,
        Role::Au => 3,
    }
}

fn role(code: i64) -> Role {
    match code {
        0 => Role::PreCo,
        1 => Role::Co,
        2 => Role::Cu,
        _ => Role::Au,
    }
}

fn encode(credential: &Credential) -> Result<Vec<u8>> {
    postcard::to_allocvec(credential)
        .map_err(|_| Error::new(Rv::DEVICE_ERROR, "a credential cannot be encoded"))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    let decode = |bytes: Vec<u8>| {
        postcard::from_bytes::<Credential>(&bytes).map_err(|_| rusqlite::Error::InvalidQuery)
    };
    Ok(User {
        id: row.get(0)?,
        role: role(row.get(1)?),
        name: row.get(2)?,
        credential: decode(row.get(3)?)?,
        pending: row.get::<_, Option<Vec<u8>>>(4)?.map(decode).transpose()?,
        failures: row.get(5)?,
    })
}

const COLUMNS: &str = "id, role, name, credential, pending, failures";

/// Everybody, by id.
///
/// # Errors
/// DEVICE_ERROR.
pub fn all(sql: &Connection) -> Result<Vec<User>> {
    let mut all = sql
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users ORDER BY id"))
        .map_err(fault)?;
    let rows = all.query_map([], from_row).map_err(fault)?;
    rows.collect::<rusqlite::Result<_>>().map_err(fault)
}

/// One user. Names ignore case.
///
/// # Errors
/// DEVICE_ERROR.
pub fn find(sql: &Connection, role: Role, name: &str) -> Result<Option<User>> {
    let mut one = sql
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM users WHERE role = ?1 AND name = ?2"
        ))
        .map_err(fault)?;
    one.query_row(params![code(role), name.to_ascii_lowercase()], from_row)
        .optional()
        .map_err(fault)
}

/// Adds one; the id is the table's choice.
///
/// # Errors
/// DEVICE_ERROR.
pub fn add(tx: &Tx<'_>, role: Role, name: &str, credential: &Credential) -> Result<()> {
    tx.sql()
        .execute(
            "INSERT INTO users (role, name, credential) VALUES (?1, ?2, ?3)",
            params![code(role), name.to_ascii_lowercase(), encode(credential)?],
        )
        .map_err(fault)?;
    Ok(())
}

/// Takes one out.
///
/// # Errors
/// DEVICE_ERROR.
pub fn remove(tx: &Tx<'_>, id: u32) -> Result<()> {
    tx.sql()
        .execute("DELETE FROM users WHERE id = ?1", [id])
        .map_err(fault)?;
    Ok(())
}

/// Gives a user another password, which also forgets its failures and a pending one.
///
/// # Errors
/// DEVICE_ERROR.
pub fn set(tx: &Tx<'_>, id: u32, credential: &Credential) -> Result<()> {
    tx.sql()
        .execute(
            "UPDATE users SET credential = ?2, pending = NULL, failures = 0 WHERE id = ?1",
            params![id, encode(credential)?],
        )
        .map_err(fault)?;
    Ok(())
}

/// Gives a user a second password until one of the two is committed.
///
/// # Errors
/// DEVICE_ERROR.
pub fn prepare(tx: &Tx<'_>, id: u32, credential: &Credential) -> Result<()> {
    tx.sql()
        .execute(
            "UPDATE users SET pending = ?2 WHERE id = ?1",
            params![id, encode(credential)?],
        )
        .map_err(fault)?;
    Ok(())
}

/// Another role (activation makes PRECO the first crypto officer).
///
/// # Errors
/// DEVICE_ERROR.
pub fn promote(tx: &Tx<'_>, id: u32, to: Role) -> Result<()> {
    tx.sql()
        .execute(
            "UPDATE users SET role = ?2 WHERE id = ?1",
            params![id, code(to)],
        )
        .map_err(fault)?;
    Ok(())
}

fn count_failures(tx: &Tx<'_>, id: u32, to: &str) -> Result<()> {
    tx.sql()
        .execute(
            &format!("UPDATE users SET failures = {to} WHERE id = ?1"),
            [id],
        )
        .map_err(fault)?;
    Ok(())
}

fn locked() -> Error {
    Error::new(
        Rv::PIN_LOCKED,
        "too many wrong PINs: an officer must set a new one (on a cluster by changePswd of `keystead mgmt`)",
    )
}

/// Which password opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The one in force.
    Current,
    /// The one that was prepared.
    Pending,
}

/// Checks a password, counts a wrong one, commits a prepared one that is used. Answers the token key.
///
/// # Errors
/// USER_PIN_NOT_INITIALIZED where there is no such user, PIN_LOCKED, PIN_INCORRECT.
pub fn check(
    store: &Store,
    rules: &PinRules,
    role: Role,
    name: &str,
    pin: &[u8],
) -> Result<(User, SealKey)> {
    let user = store.read(|sql| find(sql, role, name))?.ok_or_else(|| {
        Error::new(
            Rv::USER_PIN_NOT_INITIALIZED,
            format!("there is no {role:?} named '{name}'"),
        )
    })?;
    let (opened, key) = open(store, rules, &user, pin)?;
    match opened {
        Opened::Pending => store.write(|tx| {
            let credential = encode(user.pending.as_ref().unwrap_or(&user.credential))?;
            // Only if it is still the pending one.
            tx.sql()
                .execute(
                    "UPDATE users SET credential = pending, pending = NULL, failures = 0
                     WHERE id = ?1 AND pending = ?2",
                    params![user.id, credential],
                )
                .map_err(fault)?;
            Ok(())
        })?,
        Opened::Current if user.failures > 0 => {
            // On a full disk the count stays, which harms nobody; the user must get in all the same.
            let _ = store.write(|tx| count_failures(tx, user.id, "0"));
        }
        Opened::Current => {}
    }
    Ok((user, key))
}

/// PINs being checked now, by user. Guesses made side by side must not profit from the lock's being
/// read before they were counted, so no more of them are under way than may still fail.
#[derive(Default)]
pub struct Guesses {
    under_way: Mutex<HashMap<u32, u32>>,
    done: Condvar,
}

/// One check that is under way.
pub struct Turn<'a>(&'a Guesses, u32);

impl Guesses {
    /// Waits for a turn; `left` says how many wrong ones the user has left now.
    fn turn(&self, user: u32, left: impl Fn() -> Result<u32>) -> Result<Turn<'_>> {
        let mut under_way = self.under_way.lock();
        loop {
            let left = left()?;
            let now = under_way.entry(user).or_default();
            if *now < left {
                *now += 1;
                return Ok(Turn(self, user));
            }
            self.done.wait(&mut under_way);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut under_way = self.0.under_way.lock();
        if let Some(now) = under_way.get_mut(&self.1) {
            *now -= 1;
            if *now == 0 {
                under_way.remove(&self.1);
            }
        }
        self.0.done.notify_all();
    }
}

/// Opens the token key, and counts a failure.
fn open(store: &Store, rules: &PinRules, user: &User, pin: &[u8]) -> Result<(Opened, SealKey)> {
    let _turn = turn(store, rules, user)?;
    let opened = matching(user, pin)?;
    admit(store, rules, user, opened)
}

/// Waits until one more guess is within what the lock allows.
fn turn<'a>(store: &'a Store, rules: &PinRules, user: &User) -> Result<Turn<'a>> {
    store.guesses().turn(user.id, || {
        let now = store.read(|sql| find(sql, user.role, &user.name))?;
        let failures = now.map_or(rules.failures, |now| now.failures);
        if failures >= rules.failures {
            return Err(locked());
        }
        Ok(rules.failures - failures)
    })
}

/// The token key, if the PIN is the current or the prepared one.
fn matching(user: &User, pin: &[u8]) -> Result<Option<(Opened, SealKey)>> {
    if let Some(key) = user.credential.open(pin)? {
        return Ok(Some((Opened::Current, key)));
    }
    match &user.pending {
        Some(pending) => Ok(pending.open(pin)?.map(|key| (Opened::Pending, key))),
        None => Ok(None),
    }
}

/// Counts a failure, or lets in who has given the right PIN and is not locked by now.
fn admit(
    store: &Store,
    rules: &PinRules,
    user: &User,
    opened: Option<(Opened, SealKey)>,
) -> Result<(Opened, SealKey)> {
    let Some(opened) = opened else {
        store.write(|tx| count_failures(tx, user.id, "failures + 1"))?;
        return Err(Error::new(
            Rv::PIN_INCORRECT,
            "the PIN or password is wrong",
        ));
    };
    // Another process's guesses may have locked it meanwhile.
    let now = store.read(|sql| find(sql, user.role, &user.name))?;
    match now {
        Some(now) if now.id == user.id && now.failures < rules.failures => Ok(opened),
        Some(_) => Err(locked()),
        None => Err(Error::new(
            Rv::PIN_INCORRECT,
            "the user was deleted meanwhile",
        )),
    }
}

/// C_SetPIN and the two steps that do the same over several HSMs.
///
/// # Errors
/// PIN_LEN_RANGE, PIN_INCORRECT, PIN_LOCKED, USER_PIN_NOT_INITIALIZED.
pub fn set_pin(
    store: &Store,
    rules: &PinRules,
    (role, name): (Role, &str),
    (old, new): (&[u8], &[u8]),
    phase: Phase,
) -> Result<()> {
    let (user, epoch) =
        store.read(|sql| Ok((find(sql, role, name)?, crate::store::epoch(sql)?)))?;
    let user = user.ok_or(Rv::USER_PIN_NOT_INITIALIZED)?;
    if phase == Phase::Commit {
        // A repeat, or a login with the new password, has committed already: that is as well.
        let (opened, _) = open(store, rules, &user, new)?;
        if opened == Opened::Pending {
            check(store, rules, role, name, new)?;
        }
        return Ok(());
    }
    rules.check(new)?;
    let its_turn = turn(store, rules, &user)?;
    let opened = matching(&user, old)?;
    // The same change was asked for before, by a client that died, and has been carried out since: whoever takes it
    // up again must find it done, not refused, or the HSMs of a cluster part for good (ADR 3).
    let done_before = phase == Phase::Prepare && opened.is_none();
    if done_before && user.credential.open(new)?.is_some() {
        return Ok(());
    }
    let (opened, token) = admit(store, rules, &user, opened)?;
    // What follows may check a PIN again, and wants a turn of its own.
    drop(its_turn);
    if opened == Opened::Pending {
        // Using the prepared password commits it; the next is prepared beside that one.
        check(store, rules, role, name, old)?;
    }
    let credential = Credential::make(new, &token, rules.cost)?;
    store.write(|tx| {
        tx.still(epoch)?;
        let unchanged = find(tx.sql(), role, name)?.is_some_and(|now| now.id == user.id);
        if !unchanged {
            return Err(Rv::USER_PIN_NOT_INITIALIZED.into());
        }
        match phase {
            Phase::Prepare => prepare(tx, user.id, &credential),
            _ => set(tx, user.id, &credential),
        }
    })
}

/// All users, for a backup.
///
/// # Errors
/// DEVICE_ERROR.
pub fn export(sql: &Connection) -> Result<Vec<Exported>> {
    Ok(all(sql)?
        .into_iter()
        .map(|u| Exported(u.id, u.role, u.name, u.credential, u.pending, u.failures))
        .collect())
}

/// Whether the two lists have the same users with the same passwords. Failures are each HSM's own.
pub fn same(a: &[Exported], b: &[Exported]) -> bool {
    let alike = |a: &Exported, b: &Exported| {
        (a.0, a.1, &a.2) == (b.0, b.1, &b.2) && a.3 == b.3 && a.4 == b.4
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
}

/// Replaces all users by a backup's.
///
/// # Errors
/// DEVICE_ERROR.
pub fn import(tx: &Tx<'_>, users: &[Exported]) -> Result<()> {
    tx.sql().execute("DELETE FROM users", []).map_err(fault)?;
    for Exported(id, role, name, credential, pending, failures) in users {
        let pending = pending.as_ref().map(encode).transpose()?;
        tx.sql()
            .execute(
                "INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    id,
                    code(*role),
                    name,
                    encode(credential)?,
                    pending,
                    failures
                ],
            )
            .map_err(fault)?;
    }
    Ok(())
}

/// By what objects know a cluster's user. Not by its number: each HSM numbers its users by itself, and
/// after an interrupted createUser the same number is another user on another HSM. Never 0.
pub fn mark(name: &str) -> u64 {
    let hash = Hash::Sha256.digest(name.to_ascii_lowercase().as_bytes());
    hash.iter()
        .take(8)
        .fold(0, |mark, byte| mark << 8 | u64::from(*byte))
        .max(1)
}

/// CloudHSM's rule for names.
///
/// # Errors
/// ARGUMENTS_BAD.
pub fn check_name(name: &str) -> Result<()> {
    let good = (1..=31).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good {
        return Ok(());
    }
    Err(Error::new(
        Rv::ARGUMENTS_BAD,
        "a user name has 1 to 31 letters, digits or underscores",
    ))
}
