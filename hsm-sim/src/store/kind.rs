//! Whose a store is: an embedded token's, or the HSM's of a cluster. Both have the same tables, and read them by other rules.

use std::path::Path;

use hsm_api::{Error, Result, Role, Rv};
use rusqlite::Connection;

use super::{fault, value};
use crate::users;

/// What a store is of. Each kind leaves its own value in `meta`, and by that it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An embedded token: its serial number.
    Token,
    /// An HSM of a cluster: its sealed token key.
    Node,
}

impl Kind {
    /// The name of its value in `meta`.
    pub fn mark(self) -> &'static str {
        match self {
            Kind::Token => "serial",
            Kind::Node => "token key",
        }
    }

    fn other(self) -> Kind {
        match self {
            Kind::Token => Kind::Node,
            Kind::Node => Kind::Token,
        }
    }

    /// Whether the store is of this kind or of none yet, as far as its marks tell.
    ///
    /// # Errors
    /// DEVICE_ERROR.
    pub fn is_alone(self, sql: &Connection) -> Result<bool> {
        Ok(value(sql, self.other().mark())?.is_none())
    }

    /// Refuses a store of the other kind. A program that did not look at the marks may have left its own beside the right one:
    /// then that one goes. Within a write transaction.
    ///
    /// # Errors
    /// TOKEN_NOT_RECOGNIZED; DEVICE_ERROR.
    pub fn claim(self, sql: &Connection, dir: &Path) -> Result<()> {
        if self.is_alone(sql)? {
            return Ok(());
        }
        if value(sql, self.mark())?.is_some() && Kind::by_users(sql)? == self {
            let mut delete = sql
                .prepare("DELETE FROM meta WHERE name = ?1")
                .map_err(fault)?;
            return delete
                .execute([self.other().mark()])
                .map(drop)
                .map_err(fault);
        }
        let dir = dir.display();
        let why = match self {
            Kind::Token => format!(
                "{dir} holds an HSM of a cluster, which `keystead node` serves, and no embedded token: give the token a directory of its own, or reach the HSM through its cluster"
            ),
            Kind::Node => format!(
                "{dir} holds the embedded token {} and no HSM of a cluster: give the node a directory of its own",
                String::from_utf8_lossy(&value(sql, Kind::Token.mark())?.unwrap_or_default())
            ),
        };
        Err(Error::new(Rv::TOKEN_NOT_RECOGNIZED, why))
    }

    /// Every HSM of a cluster has its appliance user from the first moment on; no embedded token has one, and C_InitToken wipes
    /// all users.
    fn by_users(sql: &Connection) -> Result<Kind> {
        match users::find(sql, Role::Au, users::APPLIANCE)? {
            Some(_) => Ok(Kind::Node),
            None => Ok(Kind::Token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::{Credential, PinCost, SealKey};
    use crate::store::{Store, Tx, format};

    fn put(dir: &Path, of: Kind, work: impl FnOnce(&Tx<'_>) -> Result<()>) {
        Store::open(dir, of).unwrap().write(work).unwrap();
    }

    fn marks(dir: &Path) -> [bool; 2] {
        let sql = format::tests::file(dir);
        [Kind::Token, Kind::Node].map(|kind| value(&sql, kind.mark()).unwrap().is_some())
    }

    fn refuses(dir: &Path, of: Kind) {
        let refused = Store::open(dir, of).err().unwrap();
        assert_eq!(refused.rv, Rv::TOKEN_NOT_RECOGNIZED, "{refused}");
    }

    #[test]
    fn a_store_that_is_refused_stays_in_its_format() {
        for (kind, other) in [(Kind::Token, Kind::Node), (Kind::Node, Kind::Token)] {
            let dir = tempfile::tempdir().unwrap();
            put(dir.path(), kind, |tx| tx.put(kind.mark(), b"its own"));
            format::tests::back_to_1(dir.path());
            refuses(dir.path(), other);
            assert_eq!(
                format::version(&format::tests::file(dir.path())).unwrap(),
                1
            );
            Store::open(dir.path(), kind).unwrap();
            assert_eq!(
                format::version(&format::tests::file(dir.path())).unwrap(),
                2
            );
            refuses(dir.path(), other);
        }
    }

    #[test]
    fn of_two_marks_the_one_that_the_users_belie_goes() {
        let cost = PinCost {
            memory: 8,
            passes: 1,
        };
        let key = SealKey::generate().unwrap();
        let credential = Credential::make(b"1234567", &key, cost).unwrap();
        let both = |role: Role, name: &str| {
            let dir = tempfile::tempdir().unwrap();
            put(dir.path(), Kind::Token, |tx| {
                tx.put(Kind::Token.mark(), b"0001")?;
                tx.put(Kind::Node.mark(), b"sealed")?;
                users::add(tx, role, name, &credential)
            });
            assert_eq!(marks(dir.path()), [true, true]);
            dir
        };
        let node = both(Role::Au, users::APPLIANCE);
        refuses(node.path(), Kind::Token);
        assert_eq!(marks(node.path()), [true, true], "refused, and left alone");
        Store::open(node.path(), Kind::Node).unwrap();
        assert_eq!(marks(node.path()), [false, true]);

        let token = both(Role::Co, "");
        format::tests::back_to_1(token.path());
        refuses(token.path(), Kind::Node);
        Store::open(token.path(), Kind::Token).unwrap();
        assert_eq!(marks(token.path()), [true, false]);
    }
}
