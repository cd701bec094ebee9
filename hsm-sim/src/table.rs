//! Token objects in memory, indexed by what callers search for: C_FindObjects does not scan.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hsm_api::{AttrType, ObjectId, Rv, Template, Value};

use crate::attr;
use crate::object::{Attrs, Object};
use crate::store::record::Record;
use crate::store::seal::SealKey;

/// Attributes that have an index.
const INDEXED: [AttrType; 4] = [attr::LABEL, attr::ID, attr::UNIQUE_ID, attr::CLASS];

/// What is known of an object.
enum Entry {
    /// Private, and nobody has brought the token key yet: version and origin.
    Locked(u64, u64),
    Open(Arc<Object>),
    /// Destroyed: version and origin of the destruction.
    Gone(u64, u64),
}

/// The newest state of an object.
pub enum Newest {
    /// It lives.
    Is(Arc<Object>),
    /// It was destroyed: version and origin of that.
    Gone(ObjectId, u64, u64),
}

/// Everything in the store as of one sequence number.
#[derive(Default)]
pub struct Table {
    entries: HashMap<ObjectId, Entry>,
    locked: BTreeSet<ObjectId>,
    index: HashMap<(AttrType, Key), BTreeSet<(u64, ObjectId)>>,
    /// When an object was first seen: results come in the order of creation.
    born: HashMap<ObjectId, u64>,
    next: u64,
    /// The newest sequence number that is in.
    pub seq: u64,
    /// See [`crate::store::News::epoch`].
    pub epoch: u64,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Bytes(Box<[u8]>),
    Number(u64),
}

fn key(value: &Value) -> Option<Key> {
    match value {
        Value::Bytes(b) => Some(Key::Bytes(b.as_slice().into())),
        Value::Ulong(n) => Some(Key::Number(*n)),
        _ => None,
    }
}

/// Whether an object has all of a template's values. A secret value is no search criterion: the
/// answer would tell it bit by bit.
pub fn matches(attrs: &Attrs, template: &Template) -> bool {
    template.iter().all(|want| {
        let secret = attr::row(want.ty).is_some_and(|r| r.secret) && attr::hides(attrs.class());
        !secret && attrs.get(want.ty) == Some(&want.value)
    })
}

impl Table {
    /// Takes a newer row in. A damaged one costs its own object and no other: it stays locked.
    pub fn take(&mut self, record: &Record, device: &SealKey, token: Option<&SealKey>) {
        let id = record.id;
        self.renew(id);
        let locked = Entry::Locked(record.version, record.origin);
        let entry = if record.private && token.is_none() {
            self.locked.insert(id);
            locked
        } else {
            match record.open(device, token) {
                Ok(Some(object)) => self.indexed(Arc::new(object)),
                Ok(None) => Entry::Gone(record.version, record.origin),
                // Version 0: any other HSM's state of it is newer, and catch-up brings that.
                Err(_) => {
                    self.locked.insert(id);
                    Entry::Locked(0, 0)
                }
            }
        };
        self.entries.insert(id, entry);
    }

    /// Takes in what this process itself has just written.
    pub fn put(&mut self, object: Arc<Object>) {
        let id = object.id;
        self.renew(id);
        let entry = self.indexed(object);
        self.entries.insert(id, entry);
    }

    /// Takes in that this process has just destroyed an object.
    pub fn bury(&mut self, id: ObjectId, version: u64, origin: u64) {
        self.renew(id);
        self.entries.insert(id, Entry::Gone(version, origin));
    }

    /// Makes room for a newer state of an object.
    fn renew(&mut self, id: ObjectId) {
        self.forget(id);
        if let std::collections::hash_map::Entry::Vacant(first) = self.born.entry(id) {
            first.insert(self.next);
            self.next += 1;
        }
    }

    /// Forgets what is private, since nobody is logged in any more.
    pub fn lock(&mut self) {
        let private: Vec<Arc<Object>> = self
            .objects()
            .filter(|o| o.facts.private)
            .cloned()
            .collect();
        for object in private {
            self.forget(object.id);
            self.locked.insert(object.id);
            let entry = Entry::Locked(object.origin.version, object.origin.origin);
            self.entries.insert(object.id, entry);
        }
    }

    /// Drops everything, retiring it: the token was wiped.
    pub fn clear(&mut self) {
        for entry in self.entries.values() {
            if let Entry::Open(object) = entry {
                object.retire();
            }
        }
        *self = Table::default();
    }

    fn indexed(&mut self, object: Arc<Object>) -> Entry {
        let born = self.born.get(&object.id).copied().unwrap_or_default();
        for ty in INDEXED {
            if let Some(key) = object.attrs.get(ty).and_then(key) {
                self.index
                    .entry((ty, key))
                    .or_default()
                    .insert((born, object.id));
            }
        }
        Entry::Open(object)
    }

    fn forget(&mut self, id: ObjectId) {
        self.locked.remove(&id);
        let Some(Entry::Open(object)) = self.entries.remove(&id) else {
            return;
        };
        object.retire();
        let born = self.born.get(&id).copied().unwrap_or_default();
        for ty in INDEXED {
            if let Some(key) = object.attrs.get(ty).and_then(key) {
                let at = (ty, key);
                if let Some(set) = self.index.get_mut(&at) {
                    set.remove(&(born, id));
                    if set.is_empty() {
                        self.index.remove(&at);
                    }
                }
            }
        }
    }

    /// An object, if it lives and is not locked.
    pub fn get(&self, id: ObjectId) -> Option<&Arc<Object>> {
        match self.entries.get(&id) {
            Some(Entry::Open(object)) => Some(object),
            _ => None,
        }
    }

    /// Whether a private object of this id waits for a login.
    pub fn is_locked(&self, id: ObjectId) -> bool {
        self.locked.contains(&id)
    }

    /// Version and origin of its destruction, if it was destroyed.
    pub fn gone(&self, id: ObjectId) -> Option<(u64, u64)> {
        match self.entries.get(&id) {
            Some(Entry::Gone(version, origin)) => Some((*version, *origin)),
            _ => None,
        }
    }

    /// The newest state; nothing for an object that never was, or that is locked.
    pub fn newest(&self, id: ObjectId) -> Option<Newest> {
        match self.entries.get(&id)? {
            Entry::Open(object) => Some(Newest::Is(Arc::clone(object))),
            Entry::Gone(version, origin) => Some(Newest::Gone(id, *version, *origin)),
            Entry::Locked(..) => None,
        }
    }

    /// All that match, in the order of their creation.
    pub fn find(&self, template: &Template, may_see: impl Fn(&Object) -> bool) -> Vec<ObjectId> {
        let hit = |id: &ObjectId| {
            self.get(*id)
                .is_some_and(|o| matches(&o.attrs, template) && may_see(o))
        };
        let mut narrowest: Option<&BTreeSet<(u64, ObjectId)>> = None;
        for want in template.iter().filter(|a| INDEXED.contains(&a.ty)) {
            let Some(key) = key(&want.value) else {
                continue;
            };
            let Some(set) = self.index.get(&(want.ty, key)) else {
                return Vec::new();
            };
            if narrowest.is_none_or(|n| set.len() < n.len()) {
                narrowest = Some(set);
            }
        }
        if let Some(set) = narrowest {
            return set.iter().map(|(_, id)| *id).filter(hit).collect();
        }
        let mut all: Vec<ObjectId> = self.entries.keys().copied().filter(hit).collect();
        all.sort_by_key(|id| self.born.get(id).copied());
        all
    }

    /// Every open object.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.entries.values().filter_map(|e| match e {
            Entry::Open(object) => Some(object),
            _ => None,
        })
    }

    /// Id, version and origin of everything, the destroyed too.
    pub fn digest(&self) -> Vec<(ObjectId, u64, u64)> {
        self.entries
            .iter()
            .map(|(id, entry)| match entry {
                Entry::Open(o) => (*id, o.origin.version, o.origin.origin),
                Entry::Locked(version, origin) | Entry::Gone(version, origin) => {
                    (*id, *version, *origin)
                }
            })
            .collect()
    }

    /// Version and origin of an object, living or destroyed.
    pub fn version(&self, id: ObjectId) -> Option<(u64, u64)> {
        Some(match self.entries.get(&id)? {
            Entry::Open(o) => (o.origin.version, o.origin.origin),
            Entry::Locked(version, origin) | Entry::Gone(version, origin) => (*version, *origin),
        })
    }
}

/// The refusal for an object that is not there, or not for this caller.
pub fn absent() -> hsm_api::Error {
    hsm_api::Error::new(
        Rv::OBJECT_HANDLE_INVALID,
        "there is no such object for this user",
    )
}
