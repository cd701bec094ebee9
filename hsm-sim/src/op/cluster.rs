//! What the HSMs of a cluster tell each other, and what officers see of keys.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use hsm_api::reply::{KeyInfo, NodeInfo};
use hsm_api::{Change, Error, ObjectId, Reply, Result, Role, Rv};
use hsm_crypto::{Hash, HmacKey};

use crate::change;
use crate::encode;
use crate::link::SimLink;
use crate::node::NodeState;
use crate::object::Object;
use crate::store::record;
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
        let masking = self.node()?.masking();
        let known: HashMap<u64, u32> = self
            .inner
            .store
            .read(users::all)?
            .into_iter()
            .map(|u| (users::mark(&u.name), u.id))
            .collect();
        let Some(mark) = known.iter().find(|(_, id)| **id == user).map(|(m, _)| *m) else {
            return Ok(Reply::Keys(Vec::new()));
        };
        let found: Vec<Arc<Object>> = {
            let table = self.inner.table.read();
            let theirs = table.objects();
            theirs.filter(|o| o.belongs_to(mark)).cloned().collect()
        };
        let mut keys = found
            .iter()
            .map(|o| info(o, &known, masking.expose()))
            .collect::<Result<Vec<_>>>()?;
        keys.sort_by_key(|k| k.handle);
        Ok(Reply::Keys(keys))
    }

    pub(crate) fn share(&self, key: ObjectId, user: u32, share: bool) -> Result<Reply> {
        self.node()?;
        let old = self.object(key)?;
        if !old.is_owned_by(self.who().mark) {
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "only its owner shares a key",
            ));
        }
        let known = self.inner.store.read(users::all)?;
        let Some(with) = known.iter().find(|u| u.id == user && u.role == Role::Cu) else {
            return Err(Error::new(
                Rv::USER_PIN_NOT_INITIALIZED,
                "there is no such crypto user",
            ));
        };
        let with = users::mark(&with.name);
        if !old.facts.token {
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "session keys are not shared",
            ));
        }
        self.inner.update(key, |now| {
            let mut origin = now.origin.clone();
            origin.shared.retain(|u| *u != with);
            if share {
                origin.shared.push(with);
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
        let epoch = self.inner.epoch();
        let token = self.inner.token();
        let device = self.inner.store.device();
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
                    if c.rises() && table.gone(c.id).is_none() {
                        let over = |own: &Arc<Object>| c.over(own, self.inner.origin()).is_some();
                        return table.get(c.id).is_none_or(over);
                    }
                    let alive = table.gone(c.id).is_none();
                    newer(table.version(c.id).map(|(v, o)| (v, o, alive)), c)
                })
                .map(|c| c.record(device, token.as_deref()).map(|r| (c, r)))
                .collect::<Result<Vec<_>>>()?
        };
        if records.is_empty() {
            return Ok(());
        }
        self.inner.store.write(|tx| {
            tx.still(epoch)?;
            for (change, record) in &records {
                // One that is damaged yields to any.
                let own = record::find(tx.sql(), change.id)?;
                let own = own.and_then(|r| r.open(device, token.as_deref()).ok().map(|o| (r, o)));
                match own {
                    Some((_, Some(own))) => match change.over(&own, self.inner.origin()) {
                        Some(Cow::Borrowed(_)) => record::put(tx, record)?,
                        Some(Cow::Owned(merged)) => {
                            record::put(tx, &merged.record(device, token.as_deref())?)?;
                        }
                        None => {}
                    },
                    Some((r, None)) if !newer(Some((r.version, r.origin, false)), change) => {}
                    _ => record::put(tx, record)?,
                }
            }
            Ok(())
        })?;
        self.inner.refresh()
    }
}

/// The hash is keyed: officers see it, and a bare one of a short secret would tell it to who guesses.
/// Users are told by the number that they have here; 0 is one who is not here.
fn info(object: &Object, known: &HashMap<u64, u32>, masking: &[u8]) -> Result<KeyInfo> {
    let state = encode::secret(&(&object.origin, &*object.attrs))?;
    let mut hash = [0; 32];
    let keyed = HmacKey::new(Hash::Sha256, masking)
        .map_err(|e| Error::new(Rv::DEVICE_ERROR, e.to_string()))?;
    hash.copy_from_slice(&keyed.mac(&state));
    let here = |mark: &u64| known.get(mark).copied().unwrap_or(0);
    Ok(KeyInfo {
        id: object.id,
        handle: handle(object.id),
        owner: here(&object.origin.owner),
        shared: object.origin.shared.iter().map(here).collect(),
        hash,
    })
}

/// The HSM's handle of a key: the same on every HSM, since the id is.
pub fn handle(id: ObjectId) -> u64 {
    (id.0 as u64) & 0x7FFF_FFFF
}
