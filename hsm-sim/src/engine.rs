//! The engine: one HSM's state in this process. Links share it; what a link alone has is in `link.rs`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hsm_api::{Change, Hello, Hsm, Link, ObjectId, Result};
use parking_lot::{Mutex, RwLock};

use crate::commit::{Commits, Work};
use crate::link::SimLink;
use crate::node::{ClusterIdentity, NodeSettings, NodeState};
use crate::object::{Attrs, Object, Origin};
use crate::store::Store;
use crate::store::kind::{Kind, TOKEN_MARK};
use crate::store::record::{self, Record};
use crate::store::seal::{SealKey, random};
use crate::table::{Newest, Table, absent};
use crate::users::PinRules;

/// Bytes of objects in one answer to Export: little enough for any frame with the largest object on top.
const EXPORTED: usize = 8 << 20;

/// For how many transactions an embedded token remembers what was destroyed. A process that sleeps through more of
/// them reads the whole token again. A cluster's HSM remembers for ever: another one may come back, or be
/// made from a backup, that still has the object.
const TOMBSTONES: u64 = 4096;

/// One simulated HSM. Cheap to clone; clones are the same HSM.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

/// How an embedded token behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rules for its PINs.
    pub pins: PinRules,
    /// Offers triple DES and MD5 too.
    pub legacy: bool,
    /// No key may be both for data and for keys (`roles.rs`).
    pub separate_roles: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            pins: PinRules::embedded(),
            legacy: false,
            separate_roles: false,
        }
    }
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) commits: Commits,
    /// Locked for look-ups and for taking news in; never while keys are at work.
    pub(crate) table: RwLock<Table>,
    /// The store's generation that the table reflects.
    applied: AtomicU64,
    /// Changes when the token is initialized anew: logins of before are void.
    epoch: AtomicU64,
    /// The token key, while anyone is logged in; on a node, always.
    token: RwLock<Option<Arc<SealKey>>>,
    /// Which user each link has logged in.
    pub(crate) logins: Mutex<HashMap<u64, u32>>,
    pub(crate) pins: PinRules,
    pub(crate) legacy: bool,
    pub(crate) separate_roles: bool,
    pub(crate) node: Option<NodeState>,
    next_link: AtomicU64,
}

impl Engine {
    /// A token in a directory of its own, in this process. Other processes may have it open too.
    ///
    /// # Errors
    /// DEVICE_ERROR where the directory or the store cannot be opened; TOKEN_NOT_RECOGNIZED where it is a
    /// cluster's HSM: both would read the same tables by other rules.
    pub fn embedded(dir: &Path, settings: Settings) -> Result<Engine> {
        let store = Store::open(dir, Kind::Token)?;
        if store.value(TOKEN_MARK)?.is_none() {
            let serial = format!("{:016x}", u64::from_be_bytes(random()?));
            store.write(|tx| {
                // Asked again: a node may have been first in a fresh directory.
                Kind::Token.admit(tx.sql(), dir)?;
                if crate::store::value(tx.sql(), TOKEN_MARK)?.is_none() {
                    tx.put(TOKEN_MARK, serial.as_bytes())?;
                }
                Ok(())
            })?;
        }
        store.forget_after(TOMBSTONES);
        Engine::start(store, settings, None, None)
    }

    /// One HSM of a cluster. It starts without a PIN, for its token key lies sealed in its directory.
    ///
    /// # Errors
    /// DEVICE_ERROR where the directory or the store cannot be opened; TOKEN_NOT_RECOGNIZED where it is an
    /// embedded token's.
    pub fn node(dir: &Path, settings: NodeSettings) -> Result<Engine> {
        let store = Store::open(dir, Kind::Node)?;
        let own = Settings {
            pins: settings.pins,
            // As CloudHSM's HSMs, which have triple DES but in FIPS mode.
            legacy: !settings.fips,
            separate_roles: false,
        };
        let (node, token) = NodeState::open(&store, settings)?;
        Engine::start(store, own, Some(node), Some(Arc::new(token)))
    }

    fn start(
        store: Store,
        settings: Settings,
        node: Option<NodeState>,
        token: Option<Arc<SealKey>>,
    ) -> Result<Engine> {
        let inner = Inner {
            store,
            commits: Commits::default(),
            table: RwLock::new(Table::new(node.is_some())),
            applied: AtomicU64::new(u64::MAX),
            epoch: AtomicU64::new(0),
            token: RwLock::new(token),
            logins: Mutex::default(),
            pins: settings.pins,
            legacy: settings.legacy,
            separate_roles: settings.separate_roles,
            node,
            next_link: AtomicU64::new(1),
        };
        inner.refresh()?;
        Ok(Engine(Arc::new(inner)))
    }

    /// What a node's server presents to its clients: nothing before the cluster certificate is
    /// installed. The same `Arc` as before means that nothing changed.
    pub fn cluster_identity(&self) -> Option<Arc<ClusterIdentity>> {
        self.0.node.as_ref()?.identity()
    }

    /// From now on every write fails as on a full disk, or no longer.
    pub fn fill_disk(&self, full: bool) {
        self.0.store.fill_disk(full);
    }
}

impl Hsm for Engine {
    fn open(&self, who: &Hello) -> Result<Arc<dyn Link>> {
        let id = self.0.next_link.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(SimLink::new(Arc::clone(&self.0), id, who.peer)))
    }
}

impl Inner {
    /// Takes in what others, or we, have committed. In the steady state two loads and a comparison.
    pub(crate) fn refresh(&self) -> Result<()> {
        if self.store.generation() == self.applied.load(Ordering::Acquire) {
            return Ok(());
        }
        self.reload()
    }

    #[cold]
    fn reload(&self) -> Result<()> {
        let announced = self.store.generation();
        let mut table = self.table.write();
        let device = self.store.device();
        let seq = self.store.news(|news| {
            if news.epoch != table.epoch {
                table.clear();
                table.epoch = news.epoch;
                if self.node.is_none() {
                    *self.token.write() = None;
                }
                self.logins.lock().clear();
                self.epoch.store(news.epoch, Ordering::Release);
            }
            // An empty table misses nothing.
            if table.seq != 0 && table.seq < news.swept {
                table.clear();
                table.epoch = news.epoch;
            }
            let token = self.token();
            let token = token.as_deref();
            news.order(table.seq, |id| table.expect(id))?;
            news.each(table.seq, token.is_some(), |record| {
                table.take(record, device, token);
            })?;
            Ok(news.seq)
        })?;
        table.seq = seq;
        self.applied(seq);
        drop(table);
        if seq < announced {
            // Someone is about to commit, or died before he could.
            self.store.mend();
        }
        Ok(())
    }

    /// See [`Inner::epoch`].
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn token(&self) -> Option<Arc<SealKey>> {
        self.token.read().clone()
    }

    /// Another token key, with everything that is sealed under it: a backup is restored by `commit`.
    /// Under the table's lock nobody learns of the commit before the key is there, to seal under the
    /// old one what belongs to the new store.
    pub(crate) fn adopt(&self, token: SealKey, commit: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut table = self.table.write();
        commit()?;
        table.clear();
        *self.token.write() = Some(Arc::new(token));
        self.applied.store(u64::MAX, Ordering::Release);
        drop(table);
        self.refresh()
    }

    /// The token key has come: what is private becomes visible.
    pub(crate) fn unlock(&self, token: &Arc<SealKey>) -> Result<()> {
        self.refresh()?;
        let mut table = self.table.write();
        if self.token.read().is_some() {
            return Ok(());
        }
        let device = self.store.device();
        self.store.read(|sql| {
            record::each_private(sql, |record| {
                if table.is_locked(record.id) {
                    table.take(record, device, Some(token));
                }
            })
        })?;
        *self.token.write() = Some(Arc::clone(token));
        Ok(())
    }

    /// A link has logged out. With the last one the token key goes. (Lock order: table, logins, token.
    /// Under the table's lock a login that comes now is either counted here or unlocks after us.)
    pub(crate) fn logged_out(&self, link: u64) {
        let mut table = self.table.write();
        let mut logins = self.logins.lock();
        if logins.remove(&link).is_some() && logins.is_empty() && self.node.is_none() {
            *self.token.write() = None;
            table.lock();
        }
    }

    /// In how many other links a user is logged in.
    pub(crate) fn logged_in(&self, user: u32, but: Option<u64>) -> u32 {
        let logins = self.logins.lock();
        let count = logins
            .iter()
            .filter(|(l, u)| **u == user && Some(**l) != but)
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// A living token object.
    pub(crate) fn find(&self, id: ObjectId) -> Option<Arc<Object>> {
        self.table.read().get(id).cloned()
    }

    /// Writes new token objects. An id that the store has already is a repeat: it stays as it is.
    pub(crate) fn add(&self, objects: Vec<Arc<Object>>) -> Result<()> {
        // Before the key: with another epoch's key nothing is written.
        let epoch = self.epoch();
        let token = self.token();
        let records = objects
            .iter()
            .map(|o| Record::seal(o, self.store.device(), token.as_deref()))
            .collect::<Result<Vec<_>>>()?;
        self.commit(Work::Add {
            objects,
            records,
            epoch,
        })
        .map(|_| ())
    }

    /// Makes the next version of a token object out of the newest, whoever made that: it is read again
    /// under the write lock.
    pub(crate) fn update(
        &self,
        id: ObjectId,
        next: impl FnOnce(&Object) -> Result<(Origin, Attrs)>,
    ) -> Result<()> {
        let epoch = self.epoch();
        let token = self.token();
        let (device, token) = (self.store.device(), token.as_deref());
        self.store.write(|tx| {
            tx.still(epoch)?;
            let old = match record::find(tx.sql(), id)? {
                Some(record) => record.open(device, token)?.ok_or_else(absent)?,
                None => return Err(absent()),
            };
            let (mut origin, attrs) = next(&old)?;
            origin.version = old.origin.version + 1;
            origin.origin = self.origin();
            record::put(
                tx,
                &Record::seal(&Object::new(id, origin, attrs), device, token)?,
            )
        })?;
        self.refresh()
    }

    /// Leaves a tombstone; `false` if the object is gone already.
    pub(crate) fn destroy(&self, id: ObjectId) -> Result<bool> {
        let origin = self.origin();
        self.commit(Work::Destroy { id, origin })
    }

    /// The table reflects the store up to this transaction; only under the table's lock.
    pub(crate) fn applied(&self, seq: u64) {
        self.applied.store(seq, Ordering::Release);
    }

    /// Which HSM's versions are made here.
    pub(crate) fn origin(&self) -> u64 {
        self.node.as_ref().map_or(0, |n| n.settings.origin)
    }

    /// What the other HSMs of the cluster need to know; nothing where there are none.
    pub(crate) fn changes(&self, ids: &[ObjectId]) -> Result<Vec<Change>> {
        let Some(node) = &self.node else {
            return Ok(Vec::new());
        };
        let newest: Vec<Newest> = {
            let table = self.table.read();
            ids.iter().filter_map(|id| table.newest(*id)).collect()
        };
        let masking = node.masking();
        let seal = |newest: &Newest| crate::change::seal(&masking, newest);
        newest.iter().map(seal).collect()
    }

    /// The changes of the first of these objects, as many as go well into one reply. There is at least
    /// one, if any object is known: who wants the rest asks again.
    pub(crate) fn export(&self, ids: &[ObjectId]) -> Result<Vec<Change>> {
        let (mut all, mut size) = (Vec::new(), 0);
        for id in ids {
            for change in self.changes(&[*id])? {
                size += change.sealed.as_ref().map_or(0, Vec::len);
                if size > EXPORTED && !all.is_empty() {
                    return Ok(all);
                }
                all.push(change);
            }
        }
        Ok(all)
    }
}
