//! What lives on one node only: session objects, streams, and the permission that a context-specific
//! login gives. All are gone with the node's link in which they were made.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hsm_api::mech::{HkdfSalt, KbkdfField};
use hsm_api::{
    AttrType, Mechanism, ObjectId, Params, Request, SessionId, StreamId, Template, Value,
};
use parking_lot::Mutex;

const CKA_TOKEN: AttrType = AttrType(1);

/// A place: a node and its link with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub node: usize,
    pub link: u64,
}

/// Where a request goes.
pub struct Home {
    pub place: Place,
    /// What it concerns is there and nowhere else; otherwise it is only better off there.
    pub must: bool,
}

#[derive(Default)]
pub struct Homes {
    inner: Mutex<Inner>,
    /// How many entries there are: with none, as is usual for token keys, no lock is taken.
    entries: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    objects: HashMap<ObjectId, (Place, SessionId)>,
    streams: HashMap<StreamId, Stream>,
    contexts: HashMap<SessionId, Place>,
    /// Where new session objects and digests go, so that they can be used together: a digest may be fed a session
    /// key (C_DigestKey) that is made after it has begun, and neither can move.
    common: Option<Place>,
}

struct Stream {
    place: Place,
    session: SessionId,
    digests: bool,
}

/// What a stream does, as far as its place depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// May be fed session keys.
    Digest,
    /// Has its key.
    Keyed,
}

impl Homes {
    /// Where a request must go, if it concerns something that is on one node only, or should.
    pub fn of(&self, session: SessionId, request: &Request<'_>) -> Option<Home> {
        if self.entries.load(Relaxed) == 0 {
            return None;
        }
        let mut inner = self.inner.lock();
        let mut found = None;
        concerned(request, &mut |id| {
            found = found.or(inner.objects.get(&id).map(|(place, _)| *place));
        });
        let context = if uses_key(request) {
            inner.contexts.remove(&session)
        } else {
            None
        };
        let common = if begins_digest(request) || makes_session_object(request) {
            inner.common
        } else {
            None
        };
        self.count(&inner);
        let home = |place, must| Home { place, must };
        let must = found.or(context).map(|place| home(place, true));
        must.or(common.map(|place| home(place, false)))
    }

    /// Where a stream is.
    pub fn of_stream(&self, stream: StreamId) -> Option<Place> {
        self.inner
            .lock()
            .streams
            .get(&stream)
            .map(|stream| stream.place)
    }

    /// All places with session objects, for a search.
    pub fn of_objects(&self) -> Vec<Place> {
        if self.entries.load(Relaxed) == 0 {
            return Vec::new();
        }
        let inner = self.inner.lock();
        distinct(inner.objects.values().map(|(place, _)| *place))
    }

    pub fn keep_object(&self, id: ObjectId, place: Place, session: SessionId) {
        self.change(|inner| {
            inner.objects.insert(id, (place, session));
            inner.common.get_or_insert(place);
        });
    }

    pub fn forget_object(&self, id: ObjectId) {
        if self.entries.load(Relaxed) > 0 {
            self.change(|inner| {
                inner.objects.remove(&id);
            });
        }
    }

    pub fn keep_stream(&self, stream: StreamId, place: Place, session: SessionId, kind: Kind) {
        let digests = kind == Kind::Digest;
        self.change(|inner| {
            let new = Stream {
                place,
                session,
                digests,
            };
            inner.streams.insert(stream, new);
            if digests {
                inner.common.get_or_insert(place);
            }
        });
    }

    pub fn forget_stream(&self, stream: StreamId) {
        self.change(|inner| {
            inner.streams.remove(&stream);
        });
    }

    pub fn keep_context(&self, session: SessionId, place: Place) {
        self.change(|inner| {
            inner.contexts.insert(session, place);
        });
    }

    /// Forgets a session, and tells where it left something.
    pub fn close(&self, session: SessionId) -> Vec<Place> {
        let mut left = Vec::new();
        if self.entries.load(Relaxed) > 0 {
            self.change(|inner| {
                let mut goes = |place: Place, of: SessionId| {
                    if of == session {
                        left.push(place);
                    }
                    of != session
                };
                inner.objects.retain(|_, (place, of)| goes(*place, *of));
                inner.streams.retain(|_, s| goes(s.place, s.session));
                inner.contexts.retain(|of, place| goes(*place, *of));
            });
        }
        distinct(left.into_iter())
    }

    /// Forgets all that was at a place that is no more. Streams stay: who asks for one is to hear
    /// that its HSM is gone, not that there never was one.
    pub fn gone(&self, place: Place) {
        self.change(|inner| {
            inner.objects.retain(|_, (at, _)| *at != place);
            inner.contexts.retain(|_, at| *at != place);
            if inner.common == Some(place) {
                inner.common = None;
            }
            // No session key can join what has ended.
            let ended = inner.streams.values_mut().filter(|s| s.place == place);
            ended.for_each(|stream| stream.digests = false);
        });
    }

    fn change(&self, how: impl FnOnce(&mut Inner)) {
        let mut inner = self.inner.lock();
        how(&mut inner);
        if inner.objects.is_empty() && !inner.streams.values().any(|stream| stream.digests) {
            inner.common = None;
        }
        self.count(&inner);
    }

    fn count(&self, inner: &Inner) {
        let entries = inner.objects.len() + inner.streams.len() + inner.contexts.len();
        self.entries.store(entries, Relaxed);
    }
}

fn distinct(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut seen = Vec::new();
    for place in places {
        if !seen.contains(&place) {
            seen.push(place);
        }
    }
    seen
}

/// Calls `visit` with each existing object that a request names.
fn concerned(request: &Request<'_>, visit: &mut dyn FnMut(ObjectId)) {
    use Request as R;
    match request {
        R::Copy { from: id, .. }
        | R::Destroy { id }
        | R::Resolve { id }
        | R::Attributes { id, .. }
        | R::SetAttributes { id, .. }
        | R::ObjectSize { id }
        | R::DigestKey { key: id, .. }
        | R::Share { key: id, .. } => visit(*id),
        R::Wrap {
            mech, with, key, ..
        } => {
            visit(with.id);
            visit(*key);
            named(mech, visit);
        }
        R::Unwrap {
            mech, with: key, ..
        }
        | R::Derive {
            mech, base: key, ..
        }
        | R::Encapsulate {
            mech, public: key, ..
        }
        | R::Decapsulate {
            mech, private: key, ..
        } => {
            visit(key.id);
            named(mech, visit);
        }
        R::Crypt { key, mech, .. } | R::Begin { key, mech, .. } => {
            if let Some(key) = key {
                visit(key.id);
            }
            named(mech, visit);
        }
        _ => {}
    }
}

/// Keys that a mechanism's parameters name.
fn named(mech: &Mechanism<'_>, visit: &mut dyn FnMut(ObjectId)) {
    match &mech.params {
        Params::Key(id) => visit(*id),
        Params::Hkdf {
            salt: HkdfSalt::Key(id),
            ..
        } => visit(*id),
        Params::Kbkdf(kbkdf) => {
            for field in &kbkdf.data {
                if let KbkdfField::Key(id) = field {
                    visit(*id);
                }
            }
        }
        _ => {}
    }
}

/// Objects that a request makes.
pub fn made(request: &Request<'_>, visit: &mut dyn FnMut(ObjectId)) {
    use Request as R;
    match request {
        R::Create { id, .. }
        | R::Copy { id, .. }
        | R::GenerateKey { id, .. }
        | R::Unwrap { id, .. }
        | R::Encapsulate { id, .. }
        | R::Decapsulate { id, .. } => visit(*id),
        R::GenerateKeyPair {
            public, private, ..
        } => {
            visit(*public);
            visit(*private);
        }
        R::Derive { id, mech, .. } => {
            visit(*id);
            if let Params::Kbkdf(kbkdf) = &mech.params {
                for (id, _) in &kbkdf.more {
                    visit(*id);
                }
            }
        }
        _ => {}
    }
}

/// Uses what a context-specific login permits once.
fn uses_key(request: &Request<'_>) -> bool {
    use Request as R;
    matches!(
        request,
        R::Crypt { .. }
            | R::Begin { .. }
            | R::Unwrap { .. }
            | R::Derive { .. }
            | R::Decapsulate { .. }
    )
}

/// Whether a digest begins.
pub fn begins_digest(request: &Request<'_>) -> bool {
    matches!(request, Request::Begin { key: None, .. })
}

fn makes_session_object(request: &Request<'_>) -> bool {
    use Request as R;
    match request {
        R::Create { template, .. }
        | R::Copy { template, .. }
        | R::GenerateKey { template, .. }
        | R::Unwrap { template, .. }
        | R::Derive { template, .. }
        | R::Encapsulate { template, .. }
        | R::Decapsulate { template, .. } => !is_token(template),
        R::GenerateKeyPair {
            public_template,
            private_template,
            ..
        } => !is_token(public_template) || !is_token(private_template),
        _ => false,
    }
}

fn is_token(template: &Template) -> bool {
    template
        .iter()
        .any(|attr| attr.ty == CKA_TOKEN && attr.value == Value::Bool(true))
}
