//! Whose a store is: an embedded token's or a cluster HSM's. Both have the same tables and read them by other rules, so
//! each opens its own only.
//!
//! Programs before format 2 did not look, so one of the two may have left its traces in a store of the other. Where only
//! one of them was ever put to use, the other's traces go when the first opens it; where both were, a person decides.

use std::path::Path;

use hsm_api::{Error, Result, Rv};
use rusqlite::Connection;

use super::{fault, value};

/// What only an embedded token's store has: its serial number.
pub(crate) const TOKEN_MARK: &str = "serial";
/// What only a node's store has: its token key, sealed in the directory itself.
pub(crate) const NODE_MARK: &str = "token key";

/// Takes out what makes a store a token's. (PKCS#11's own two users have no names, and a cluster's have.)
const NO_TOKEN: &str =
    "DELETE FROM meta WHERE name IN ('serial', 'label'); DELETE FROM users WHERE name = '';";
/// Takes out what makes a store a node's.
const NO_NODE: &str = "DELETE FROM meta WHERE name IN ('token key', 'masking key', 'cluster key', 'identity'); DELETE FROM users WHERE name <> '';";

/// A token that was initialized.
const TOKEN_IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'label')
    OR EXISTS (SELECT 1 FROM users WHERE name = '')";
/// An HSM that has a key pair or a certificate for its cluster, or users but the two it is made with
/// (PRECO `admin` and AU `app_user`). One whose users are gone, by C_InitToken, is lost: nobody can log in to it any more.
const NODE_IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE name <> '') AND (
    EXISTS (SELECT 1 FROM meta WHERE name IN ('cluster key', 'identity'))
    OR EXISTS (SELECT 1 FROM users WHERE name <> '' AND NOT (role = 0 AND name = 'admin' OR role = 3 AND name = 'app_user')))";

/// Who opens a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An embedded token.
    Token,
    /// One HSM of a cluster.
    Node,
}

impl Kind {
    /// Refuses a store of the other kind; only reads. `true` where it is of this kind and has traces of the other, for
    /// [`Kind::clear_other`].
    ///
    /// # Errors
    /// TOKEN_NOT_RECOGNIZED; DEVICE_ERROR.
    pub(crate) fn admit(self, sql: &Connection, dir: &Path) -> Result<bool> {
        let serial = value(sql, TOKEN_MARK)?;
        let node = value(sql, NODE_MARK)?.is_some();
        let (holds, traces) = match (&serial, node) {
            (None, false) => return Ok(false),
            (Some(_), false) => (Kind::Token, false),
            (None, true) => (Kind::Node, false),
            (Some(_), true) => (in_use(sql, dir)?, true),
        };
        if holds == self {
            return Ok(traces);
        }
        let dir = dir.display();
        let why = match holds {
            Kind::Node => format!(
                "{dir} holds an HSM of a cluster, which `keystead node` serves, and no embedded token: give the token a directory of its own, or reach the HSM through its cluster"
            ),
            Kind::Token => format!(
                "{dir} holds the embedded token {} and no HSM of a cluster: give the node a directory of its own",
                String::from_utf8_lossy(&serial.unwrap_or_default())
            ),
        };
        Err(Error::new(Rv::TOKEN_NOT_RECOGNIZED, why))
    }

    /// Takes the other kind's traces out.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub(super) fn clear_other(self, sql: &Connection) -> Result<()> {
        let out = match self {
            Kind::Token => NO_NODE,
            Kind::Node => NO_TOKEN,
        };
        sql.execute_batch(out).map_err(fault)
    }
}

/// Which of the two a store with both marks is. With neither in use nothing is lost either way, and what it has of users
/// is the HSM's.
fn in_use(sql: &Connection, dir: &Path) -> Result<Kind> {
    let ask = |what: &str| {
        sql.query_row(what, [], |row| row.get::<_, bool>(0))
            .map_err(fault)
    };
    match (ask(TOKEN_IN_USE)?, ask(NODE_IN_USE)?) {
        (true, false) => Ok(Kind::Token),
        (false, _) => Ok(Kind::Node),
        (true, true) => {
            let file = dir.join("token.db");
            // For a shell, between single quotes.
            let file = file.to_string_lossy().replace('\'', "'\\''");
            Err(Error::new(
                Rv::TOKEN_NOT_RECOGNIZED,
                format!(
                    "{} holds both an embedded token and an HSM of a cluster, for an earlier version opened it as either: end every program that uses it, copy the directory, then to keep the token run `sqlite3 '{file}' \"{NO_NODE}\"`, or to keep the HSM `sqlite3 '{file}' \"{NO_TOKEN}\"`; what the other one sealed stays locked",
                    dir.display(),
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// A store with both marks, and with what a use of either leaves.
    fn both(token: bool, node: bool) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Kind::Token).unwrap();
        let user = |tx: &crate::store::Tx<'_>, role: i64, name: &str| {
            tx.sql()
                .execute(
                    "INSERT INTO users (role, name, credential) VALUES (?1, ?2, x'')",
                    rusqlite::params![role, name],
                )
                .unwrap();
        };
        let mark = |tx: &crate::store::Tx<'_>| {
            tx.put(TOKEN_MARK, b"0001")?;
            tx.put(NODE_MARK, b"sealed")?;
            tx.put("masking key", b"sealed")?;
            user(tx, 0, "admin");
            user(tx, 3, "app_user");
            if token {
                tx.put("label", b"mine")?;
                user(tx, 1, "");
            }
            if node {
                tx.put("identity", b"sealed")?;
                user(tx, 2, "alice");
            }
            Ok(())
        };
        store.write(mark).unwrap();
        dir
    }

    fn users(store: &Store) -> Vec<String> {
        store
            .read(|sql| {
                let mut all = sql.prepare("SELECT name FROM users ORDER BY id").unwrap();
                let names = all.query_map([], |row| row.get(0)).unwrap();
                Ok(names.map(std::result::Result::unwrap).collect())
            })
            .unwrap()
    }

    #[test]
    fn of_two_marks_the_one_in_use_stands() {
        for (token, node, is, other) in [
            (true, false, Kind::Token, Kind::Node),
            (false, true, Kind::Node, Kind::Token),
            (false, false, Kind::Node, Kind::Token),
        ] {
            let dir = both(token, node);
            let before = std::fs::read(dir.path().join("token.db")).unwrap();
            let refused = Store::open(dir.path(), other).err().unwrap();
            assert_eq!(refused.rv, Rv::TOKEN_NOT_RECOGNIZED, "{refused}");
            let after = std::fs::read(dir.path().join("token.db")).unwrap();
            assert!(before == after, "{is:?}: a refusal writes nothing");
            let store = Store::open(dir.path(), is).unwrap();
            let marks = [TOKEN_MARK, NODE_MARK].map(|mark| store.value(mark).unwrap().is_some());
            assert_eq!(marks, [is == Kind::Token, is == Kind::Node]);
            let left = match (is, node) {
                (Kind::Token, _) => vec![""],
                (Kind::Node, true) => vec!["admin", "app_user", "alice"],
                (Kind::Node, false) => vec!["admin", "app_user"],
            };
            assert_eq!(users(&store), left);
        }
    }

    #[test]
    fn an_hsm_without_users_is_lost_to_the_token_that_was_made_of_it() {
        let dir = both(true, true);
        let store = Connection::open(dir.path().join("token.db")).unwrap();
        store
            .execute_batch("DELETE FROM users WHERE name <> '';")
            .unwrap();
        drop(store);
        assert!(Store::open(dir.path(), Kind::Node).is_err());
        let store = Store::open(dir.path(), Kind::Token).unwrap();
        assert!(store.value(NODE_MARK).unwrap().is_none());
    }

    #[test]
    fn with_both_in_use_the_refusal_says_how_to_keep_either() {
        for (keep, other) in [(Kind::Token, Kind::Node), (Kind::Node, Kind::Token)] {
            let dir = both(true, true);
            let file = dir.path().join("token.db");
            let before = std::fs::read(&file).unwrap();
            let why = [keep, other].map(|kind| {
                let refused = Store::open(dir.path(), kind).err().unwrap();
                assert_eq!(refused.rv, Rv::TOKEN_NOT_RECOGNIZED);
                refused.why.into_owned()
            });
            assert_eq!(why[0], why[1]);
            assert!(before == std::fs::read(&file).unwrap());
            // What stands between the quotes is what the person pastes.
            let commands: Vec<&str> = why[0].split('"').skip(1).step_by(2).collect();
            let command = commands[usize::from(keep == Kind::Node)];
            Connection::open(&file)
                .unwrap()
                .execute_batch(command)
                .unwrap();
            assert!(Store::open(dir.path(), other).is_err());
            drop(Store::open(dir.path(), keep).unwrap());
        }
    }
}
