//! Token objects in memory, indexed by what callers search for: C_FindObjects does not scan.

use std::collections::hash_map::{Entry as Slot, RandomState};
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
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

/// Everything in the store as of one sequence number. Sized for a hundred thousand objects: what an index needs is a
/// hash and a number.
#[derive(Default)]
pub struct Table {
    entries: HashMap<ObjectId, (Born, Entry)>,
    /// By number of birth: results come in the order of creation.
    births: Vec<ObjectId>,
    /// By the hash of attribute and value; what hashes alike is told apart by a look at the objects.
    index: HashMap<u64, Births>,
    hash: RandomState,
    /// Whether the destroyed are remembered, to be told to other HSMs.
    remembers: bool,
    /// The newest sequence number that is in.
    pub seq: u64,
    /// See [`crate::store::News::epoch`].
    pub epoch: u64,
}

/// When an object was first seen: its place in [`Table::births`].
type Born = u32;

/// Under what an object stands in the index, as far as it has the attributes.
type Hashes = [Option<u64>; INDEXED.len()];

/// What is locked or destroyed is not found.
const NOWHERE: Hashes = [None; INDEXED.len()];

/// Most values of a label, an id or a unique id are one object's.
enum Births {
    One(Born),
    Many(BTreeSet<Born>),
}

impl Births {
    fn add(&mut self, born: Born) {
        match self {
            Births::One(first) => *self = Births::Many(BTreeSet::from([*first, born])),
            Births::Many(all) => {
                all.insert(born);
            }
        }
    }

    /// Whether any is left.
    fn remove(&mut self, born: Born) -> bool {
        match self {
            Births::One(one) => *one != born,
            Births::Many(all) => {
                all.remove(&born);
                !all.is_empty()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Births::One(_) => 1,
            Births::Many(all) => all.len(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = Born> {
        let (one, many) = match self {
            Births::One(one) => (Some(*one), None),
            Births::Many(all) => (None, Some(all.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// Whether an object has all of a template's values. A secret value is no search criterion: the
/// answer would tell it bit by bit.
pub fn matches(object: &Object, template: &Template) -> bool {
    if template.is_empty() {
        return true;
    }
    object.attrs.peek(|attrs| {
        template.iter().all(|want| {
            let secret = attr::row(want.ty).is_some_and(|r| r.secret) && attr::hides(attrs.class());
            !secret && attrs.get(want.ty) == Some(&want.value)
        })
    })
}

impl Table {
    /// An empty one, which `remembers` what was destroyed or forgets it.
    pub fn new(remembers: bool) -> Table {
        Table {
            remembers,
            ..Table::default()
        }
    }

    /// Takes a newer row in. A damaged one costs its own object and no other: it stays locked.
    pub fn take(&mut self, record: &Record, device: &SealKey, token: Option<&SealKey>) {
        let entry = if record.private && token.is_none() {
            Entry::Locked(record.version, record.origin)
        } else {
            match record.open(device, token) {
                Ok(Some(mut object)) => {
                    let hashes = self.hashes(&object);
                    object.attrs.fold();
                    return self.enter(record.id, Entry::Open(Arc::new(object)), hashes);
                }
                Ok(None) => Entry::Gone(record.version, record.origin),
                // Version 0: any other HSM's state of it is newer, and catch-up brings that.
                Err(_) => Entry::Locked(0, 0),
            }
        };
        self.enter(record.id, entry, NOWHERE);
    }

    /// Takes in what this process itself has just written.
    pub fn put(&mut self, object: Arc<Object>) {
        let hashes = self.hashes(&object);
        self.enter(object.id, Entry::Open(object), hashes);
    }

    /// Takes in that this process has just destroyed an object.
    pub fn bury(&mut self, id: ObjectId, version: u64, origin: u64) {
        self.enter(id, Entry::Gone(version, origin), NOWHERE);
    }

    /// Gives an object its place among the others, before its state is known. (Rows are read fastest in another order
    /// than that of creation.)
    pub fn expect(&mut self, id: ObjectId) {
        if !self.entries.contains_key(&id) {
            self.enter(id, Entry::Locked(0, 0), NOWHERE);
        }
    }

    /// Puts a newer state of an object in the place of what was there.
    fn enter(&mut self, id: ObjectId, entry: Entry, hashes: Hashes) {
        if !self.remembers && matches!(entry, Entry::Gone(..)) {
            self.unindex(id);
            self.entries.remove(&id);
            return self.tidy();
        }
        let born = match self.entries.get(&id) {
            Some((born, _)) => *born,
            None => {
                self.births.push(id);
                // Four thousand million objects do not fit the memory of anything that runs this.
                Born::try_from(self.births.len() - 1).unwrap_or(Born::MAX)
            }
        };
        self.unindex(id);
        self.index(born, hashes);
        self.entries.insert(id, (born, entry));
    }

    /// Numbers births anew once most of them are of objects that are forgotten.
    fn tidy(&mut self) {
        if self.births.len() < 256 || self.births.len() / 2 < self.entries.len() {
            return;
        }
        let mut left: Vec<(Born, ObjectId)> = self
            .entries
            .iter()
            .map(|(id, (born, _))| (*born, *id))
            .collect();
        left.sort_unstable_by_key(|(born, _)| *born);
        let new = |old: Born| {
            let at = left.binary_search_by_key(&old, |(born, _)| *born);
            at.map_or(Born::MAX, |at| Born::try_from(at).unwrap_or(Born::MAX))
        };
        for (born, _) in self.entries.values_mut() {
            *born = new(*born);
        }
        for births in self.index.values_mut() {
            match births {
                Births::One(born) => *born = new(*born),
                Births::Many(all) => *all = all.iter().map(|born| new(*born)).collect(),
            }
        }
        self.births = left.into_iter().map(|(_, id)| id).collect();
    }

    fn index(&mut self, born: Born, hashes: Hashes) {
        for hash in hashes.into_iter().flatten() {
            match self.index.entry(hash) {
                Slot::Vacant(first) => {
                    first.insert(Births::One(born));
                }
                Slot::Occupied(mut more) => more.get_mut().add(born),
            }
        }
    }

    /// Forgets what is private, since nobody is logged in any more.
    pub fn lock(&mut self) {
        // What is left is little or nothing, so the index is made anew.
        self.index.clear();
        let mut left = Vec::new();
        for (born, entry) in self.entries.values_mut() {
            let Entry::Open(object) = entry else { continue };
            if object.facts.private {
                object.retire();
                *entry = Entry::Locked(object.origin.version, object.origin.origin);
            } else {
                left.push((*born, Arc::clone(object)));
            }
        }
        for (born, object) in left {
            let hashes = self.hashes(&object);
            self.index(born, hashes);
        }
    }

    /// Drops everything, retiring it: the token was wiped.
    pub fn clear(&mut self) {
        for object in self.objects() {
            object.retire();
        }
        *self = Table::new(self.remembers);
    }

    fn hash(&self, ty: AttrType, value: &Value) -> Option<u64> {
        match value {
            Value::Bytes(bytes) => Some(self.hash.hash_one((ty.0, &**bytes))),
            Value::Ulong(number) => Some(self.hash.hash_one((ty.0, number))),
            _ => None,
        }
    }

    /// Under what an object stands in the index.
    fn hashes(&self, object: &Object) -> Hashes {
        let of = |attrs: &Attrs| INDEXED.map(|ty| self.hash(ty, attrs.get(ty)?));
        object.attrs.peek(of)
    }

    /// Retires what is there of an object and takes it out of the index.
    fn unindex(&mut self, id: ObjectId) {
        let Some((born, Entry::Open(object))) = self.entries.get(&id) else {
            return;
        };
        let (born, object) = (*born, Arc::clone(object));
        object.retire();
        for hash in self.hashes(&object).into_iter().flatten() {
            if let Slot::Occupied(mut births) = self.index.entry(hash)
                && !births.get_mut().remove(born)
            {
                births.remove();
            }
        }
    }

    /// An object, if it lives and is not locked.
    pub fn get(&self, id: ObjectId) -> Option<&Arc<Object>> {
        match self.entries.get(&id) {
            Some((_, Entry::Open(object))) => Some(object),
            _ => None,
        }
    }

    /// Whether a private object of this id waits for a login.
    pub fn is_locked(&self, id: ObjectId) -> bool {
        matches!(self.entries.get(&id), Some((_, Entry::Locked(..))))
    }

    /// Version and origin of its destruction, if it was destroyed.
    pub fn gone(&self, id: ObjectId) -> Option<(u64, u64)> {
        match self.entries.get(&id) {
            Some((_, Entry::Gone(version, origin))) => Some((*version, *origin)),
            _ => None,
        }
    }

    /// The newest state; nothing for an object that never was, or that is locked.
    pub fn newest(&self, id: ObjectId) -> Option<Newest> {
        match &self.entries.get(&id)?.1 {
            Entry::Open(object) => Some(Newest::Is(Arc::clone(object))),
            Entry::Gone(version, origin) => Some(Newest::Gone(id, *version, *origin)),
            Entry::Locked(..) => None,
        }
    }

    /// All that match, in the order of their creation.
    pub fn find(&self, template: &Template, may_see: impl Fn(&Object) -> bool) -> Vec<ObjectId> {
        let hit = |id: &ObjectId| {
            self.get(*id)
                .is_some_and(|o| may_see(o) && matches(o, template))
        };
        let mut narrowest: Option<&Births> = None;
        for want in template.iter().filter(|a| INDEXED.contains(&a.ty)) {
            let Some(hash) = self.hash(want.ty, &want.value) else {
                continue;
            };
            let Some(births) = self.index.get(&hash) else {
                return Vec::new();
            };
            if narrowest.is_none_or(|n| births.len() < n.len()) {
                narrowest = Some(births);
            }
        }
        match narrowest {
            Some(births) => {
                let ids = births.iter().filter_map(|b| self.births.get(b as usize));
                ids.copied().filter(hit).collect()
            }
            None => self.births.iter().copied().filter(hit).collect(),
        }
    }

    /// Every open object.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.entries.values().filter_map(|(_, entry)| match entry {
            Entry::Open(object) => Some(object),
            _ => None,
        })
    }

    /// Id, version and origin of everything, the destroyed too.
    pub fn digest(&self) -> Vec<(ObjectId, u64, u64)> {
        self.entries
            .iter()
            .map(|(id, (_, entry))| match entry {
                Entry::Open(o) => (*id, o.origin.version, o.origin.origin),
                Entry::Locked(version, origin) | Entry::Gone(version, origin) => {
                    (*id, *version, *origin)
                }
            })
            .collect()
    }

    /// How many births are on the list, of the forgotten too.
    #[cfg(test)]
    pub fn births(&self) -> usize {
        self.births.len()
    }

    /// Version and origin of an object, living or destroyed.
    pub fn version(&self, id: ObjectId) -> Option<(u64, u64)> {
        Some(match &self.entries.get(&id)?.1 {
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
