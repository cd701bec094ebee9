//! What the HSMs of a cluster tell each other, and what officers see of keys.

use std::sync::Arc;

use hsm_api::reply::{KeyInfo, NodeInfo};
use hsm_api::{Change, Error, ObjectId, Reply, Result, Role, Rv};
use hsm_crypto::Hash;

use crate::change;
use crate::link::SimLink;
use crate::node::NodeState;
use crate::object::Object;
use crate::store::record::{self, Record};
use crate::users;

impl SimLink {
    pub(crate) fn node(&self) -> Result<&NodeState> {
        self.inner.node.as_ref().ok_or_else(|| {
            Error::new(
                Rv::FUNCTION_NOT_SUPPORTED,
                "an embedded token belongs to no cluster",
            )
        })
    }

    pub(crate) fn node_info(&self) -> Result<Reply> {
        let node = self.node()?;
        let all = self.inner.store.read(users::all)?;
        Ok(Reply::Node(NodeInfo {
            hsm_id: node.settings.hsm_id.clone(),
            serial: node.settings.serial.clone(),
            origin: node.settings.origin,
            installed: node.identity().is_some(),
            activated: all.iter().any(|u| u.role == Role::Co),
            objects: self.inner.table.read().objects().count() as u64,
            fips: node.settings.fips,
        }))
    }

    pub(crate) fn user_keys(&self, user: u32) -> Result<Reply> {
        self.node()?;
        let who = self.who();
        if who.role == Some(Role::Cu) && who.user != user {
            return Err(Error::new(Rv::FUNCTION_REJECTED, "another user's keys"));
        }
        let table = self.inner.table.read();
        let mut keys = table
            .objects()
            .filter(|o| o.origin.owner == user || o.origin.shared.contains(&user))
            .map(info)
            .collect::<Result<Vec<_>>>()?;
        keys.sort_by_key(|k| k.handle);
        Ok(Reply::Keys(keys))
    }

    pub(crate) fn share(&self, key: ObjectId, user: u32, share: bool) -> Result<Reply> {
        self.node()?;
        let old = self.object(key)?;
        if old.origin.owner != self.who().user {
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "only its owner shares a key",
            ));
        }
        let known = self.inner.store.read(users::all)?;
        if !known.iter().any(|u| u.id == user && u.role == Role::Cu) {
            return Err(Error::new(
                Rv::USER_PIN_NOT_INITIALIZED,
                "there is no such crypto user",
            ));
        }
        if !old.facts.token {
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "session keys are not shared",
            ));
        }
        self.inner.update(key, |now| {
            let mut origin = now.origin.clone();
            origin.shared.retain(|u| *u != user);
            if share {
                origin.shared.push(user);
                origin.shared.sort_unstable();
            }
            Ok((origin, now.attrs.clone()))
        })?;
        self.made(&[key])
    }

    pub(crate) fn apply(&self, changes: &[Change]) -> Result<Reply> {
        let masking = self.node()?.masking();
        let opened = changes
            .iter()
            .map(|c| change::open(&masking, c))
            .collect::<Result<Vec<_>>>()?;
        self.apply_opened(&opened)?;
        Ok(Reply::Done)
    }

    /// Writes what is newer than one's own, all in one transaction.
    pub(crate) fn apply_opened(&self, opened: &[change::Opened]) -> Result<()> {
        let token = self.inner.token();
        let newer = |own: Option<(u64, u64, bool)>, new: &change::Opened| match own {
            None => true,
            Some((version, origin, alive)) => new.beats(version, origin, alive),
        };
        // Sealing costs more than a look: what one has already is not sealed again.
        let records = {
            let table = self.inner.table.read();
            opened
                .iter()
                .filter(|c| {
                    let alive = table.gone(c.id).is_none();
                    newer(table.version(c.id).map(|(v, o)| (v, o, alive)), c)
                })
                .map(|c| {
                    c.record(self.inner.store.device(), token.as_deref())
                        .map(|r| (c, r))
                })
                .collect::<Result<Vec<_>>>()?
        };
        if records.is_empty() {
            return Ok(());
        }
        self.inner.store.write(|tx| {
            for (change, record) in &records {
                let own: Option<Record> = record::find(tx.sql(), change.id)?;
                if newer(own.map(|r| (r.version, r.origin, r.body.is_some())), change) {
                    record::put(tx, record)?;
                }
            }
            Ok(())
        })?;
        self.inner.refresh()
    }
}

fn info(object: &Arc<Object>) -> Result<KeyInfo> {
    let state = zeroize::Zeroizing::new(
        postcard::to_allocvec(&(&object.origin, &object.attrs))
            .map_err(|_| Error::new(Rv::DEVICE_ERROR, "an object cannot be encoded"))?,
    );
    let mut hash = [0; 32];
    hash.copy_from_slice(&Hash::Sha256.digest(&state));
    Ok(KeyInfo {
        id: object.id,
        handle: handle(object.id),
        owner: object.origin.owner,
        shared: object.origin.shared.clone(),
        hash,
    })
}

/// The same on every HSM, since the id is.
fn handle(id: ObjectId) -> u64 {
    (id.0 as u64) & 0x7FFF_FFFF
}
