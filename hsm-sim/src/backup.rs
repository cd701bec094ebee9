//! Backup and restore: users, keys, certificates and the masking key in one sealed block, which any
//! HSM of the same service can take in and nobody else can read.

use hsm_api::{Change, Error, ObjectId, Reply, Result, Role, Rv, Secret};
use serde::{Deserialize, Serialize};

use crate::change;
use crate::encode;
use crate::link::SimLink;
use crate::node::{ClusterIdentity, put_sealed};
use crate::store::Tx;
use crate::store::kind::NODE_MARK;
use crate::store::record;
use crate::store::seal::SealKey;
use crate::users;

const MAGIC: &[u8] = b"keystead backup 1";

#[derive(Serialize, Deserialize)]
struct Contents {
    token: Secret,
    masking: Secret,
    users: Vec<users::Exported>,
    identity: Option<ClusterIdentity>,
    changes: Vec<Change>,
}

fn bad() -> Error {
    Error::new(
        Rv::WRAPPED_KEY_INVALID,
        "not a backup of this service's HSMs, or a damaged one",
    )
}

impl SimLink {
    pub(crate) fn backup(&self) -> Result<Reply> {
        let node = self.node()?;
        let token = self.inner.token().ok_or(Rv::DEVICE_ERROR)?;
        let ids: Vec<ObjectId> = self
            .inner
            .table
            .read()
            .digest()
            .into_iter()
            .map(|(id, _, _)| id)
            .collect();
        let contents = Contents {
            token: Secret::from(token.expose()),
            masking: Secret::from(node.masking().expose()),
            users: self.inner.store.read(users::export)?,
            identity: node.identity().map(|i| (*i).clone()),
            changes: self.inner.changes(&ids)?,
        };
        let plain = encode::secret(&contents)?;
        Ok(Reply::Bytes(node.backup_key.seal(MAGIC, &plain)?))
    }

    pub(crate) fn restore(&self, backup: &[u8]) -> Result<Reply> {
        let node = self.node()?;
        let plain = node.backup_key.open(MAGIC, backup).ok_or_else(bad)?;
        let contents: Contents = postcard::from_bytes(&plain).map_err(|_| bad())?;
        let masking = SealKey::new(contents.masking.expose())?;
        let opened = contents
            .changes
            .iter()
            .map(|c| change::open(&masking, c))
            .collect::<Result<Vec<_>>>()?;
        if masking.is(&node.masking()) {
            // The same cluster: an HSM that was away takes what it missed. Users come as they are now: a
            // password that was changed meanwhile must not be good again, nor a deleted user be back, and
            // whoever logged in before we knew is logged out.
            self.apply_opened(&opened)?;
            let store = &self.inner.store;
            store.write(|tx| {
                if users::same(&users::export(tx.sql())?, &contents.users) {
                    return Ok(());
                }
                users::import(tx, &contents.users)?;
                tx.void()
            })?;
            self.inner.refresh()?;
            return Ok(Reply::Done);
        }
        let officers = self.inner.store.read(users::all)?;
        let used = officers
            .iter()
            .any(|u| matches!(u.role, Role::Co | Role::Cu))
            || self.inner.table.read().objects().next().is_some();
        if used {
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "the HSM holds another cluster's users or keys already",
            ));
        }
        let token = SealKey::new(contents.token.expose())?;
        let identity = contents.identity.as_ref().map(encode::secret).transpose()?;
        let store = &self.inner.store;
        let records = opened
            .iter()
            .map(|c| c.record(store.device(), Some(&token)))
            .collect::<Result<Vec<_>>>()?;
        let commit = |tx: &Tx<'_>| {
            tx.wipe()?;
            users::import(tx, &contents.users)?;
            put_sealed(store, tx, NODE_MARK, token.expose())?;
            put_sealed(store, tx, "masking key", masking.expose())?;
            if let Some(identity) = &identity {
                put_sealed(store, tx, "identity", identity)?;
            }
            for record in &records {
                record::put(tx, record)?;
            }
            Ok(())
        };
        self.logout();
        let new = SealKey::new(token.expose())?;
        self.inner.adopt(new, || {
            store.write(commit)?;
            node.set_masking(SealKey::new(masking.expose())?);
            Ok(())
        })?;
        if contents.identity.is_some() {
            node.set_identity(contents.identity);
        }
        Ok(Reply::Done)
    }
}

#[cfg(test)]
mod tests {
    use hsm_api::{Hello, Hidden, Hsm, Link, Peer, Request, SessionId};

    use super::*;
    use crate::engine::Engine;
    use crate::node::NodeSettings;
    use crate::users::PinRules;
    use std::sync::Arc;

    fn node(dir: &std::path::Path, origin: u64) -> Engine {
        let settings = NodeSettings {
            hsm_id: format!("hsm-{origin}"),
            serial: "S".into(),
            origin,
            fips: true,
            preco_password: Secret::from(&b"password"[..]),
            hardware_key: Secret::default(),
            aws_hardware: String::new(),
            manufacturer_hardware: String::new(),
            backup_key: Secret::new(vec![7; 32]),
            pins: PinRules::cluster(),
        };
        Engine::node(dir, settings).expect("opens")
    }

    fn link(engine: &Engine, peer: Peer) -> Arc<dyn Link> {
        let application = 1;
        engine.open(&Hello { application, peer }).expect("links")
    }

    fn ask(link: &Arc<dyn Link>, request: &Request<'_>) -> Reply {
        link.call(SessionId(1), request, &mut []).expect("allowed")
    }

    fn login(link: &Arc<dyn Link>, role: Role, name: &str, pin: &[u8]) -> Result<Reply> {
        let pin = Hidden(pin);
        let name = Some(name);
        link.call(SessionId(1), &Request::Login { role, name, pin }, &mut [])
    }

    fn copy(from: &Engine, to: &Engine) {
        let Reply::Bytes(backup) = ask(&link(from, Peer::Service), &Request::Backup) else {
            panic!("no bytes");
        };
        let backup = Hidden(&backup);
        ask(&link(to, Peer::Service), &Request::Restore { backup });
    }

    #[test]
    fn an_hsm_that_was_away_takes_the_users_of_now() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().expect("dir"));
        let (here, away) = (node(dirs[0].path(), 1), node(dirs[1].path(), 2));
        let officer = link(&here, Peer::Client);
        login(&officer, Role::PreCo, "admin", b"password").expect("fresh");
        let change = |role, name, password: &'static [u8]| {
            let password = Hidden(password);
            ask(
                &officer,
                &Request::ChangePassword {
                    role,
                    name,
                    password,
                },
            );
        };
        change(Role::PreCo, "admin", b"officer1");
        ask(&officer, &Request::Logout);
        login(&officer, Role::Co, "admin", b"officer1").expect("activated");
        let (role, name, password) = (Role::Cu, "kmsuser", Hidden(b"kmsPswd1"));
        ask(
            &officer,
            &Request::CreateUser {
                role,
                name,
                password,
            },
        );
        copy(&here, &away);
        login(&link(&away, Peer::Client), role, name, b"kmsPswd1").expect("copied");

        change(role, name, b"kmsPswd2");
        let stale = link(&away, Peer::Client);
        login(&stale, role, name, b"kmsPswd1").expect("nobody has told this HSM");
        assert!(stale.is_logged_in());
        copy(&here, &away);
        assert!(!stale.is_logged_in(), "the restore ended it");
        let ids = Request::Export { ids: Vec::new() };
        let refused = stale.call(SessionId(1), &ids, &mut []);
        assert_eq!(refused.expect_err("logged out").rv, Rv::USER_NOT_LOGGED_IN);
        let there = link(&away, Peer::Client);
        let old = login(&there, role, name, b"kmsPswd1");
        assert_eq!(old.expect_err("changed").rv, Rv::PIN_INCORRECT);
        login(&there, role, name, b"kmsPswd2").expect("the password of now");
    }
}
