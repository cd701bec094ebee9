//! An HSM in memory: objects with versions and tombstones, users, streams. "Encryption" is XOR with
//! the key's byte, so that a result tells which key made it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use hsm_api::{
    AttrType, Change, Error, Hello, Hsm, Link, ObjectId, Op, Peer, Phase, Reply, Request, Result,
    Rv, SessionId, StreamId, Value,
};
use parking_lot::Mutex;

pub const TOKEN: AttrType = AttrType(1);

pub struct Fake {
    pub origin: u64,
    pub state: Mutex<State>,
    /// Links open now.
    pub links: AtomicUsize,
    /// Requests carried out, by the name of their variant.
    pub counts: Mutex<HashMap<&'static str, usize>>,
    /// The next password that is prepared is so, and the answer is lost.
    pub loses_prepared: std::sync::atomic::AtomicBool,
    /// The most changes in one answer to Export.
    pub exports: AtomicUsize,
    /// Clones are refused.
    pub refuses_clones: std::sync::atomic::AtomicBool,
    /// Logins of an earlier epoch are void.
    pub epoch: AtomicUsize,
}

#[derive(Default)]
pub struct State {
    pub objects: HashMap<ObjectId, Object>,
    pub users: HashMap<String, User>,
}

#[derive(Clone)]
pub struct Object {
    pub version: u64,
    pub origin: u64,
    /// The key's byte; `None` is a tombstone.
    pub key: Option<u8>,
}

#[derive(Clone, Default)]
pub struct User {
    pub password: Vec<u8>,
    pub pending: Option<Vec<u8>>,
}

struct FakeLink {
    hsm: Arc<Fake>,
    peer: Peer,
    mine: Mutex<Mine>,
}

#[derive(Default)]
struct Mine {
    user: Option<String>,
    epoch: usize,
    session_objects: HashMap<ObjectId, (SessionId, u8)>,
    streams: HashMap<StreamId, Vec<u8>>,
    saved: Vec<Vec<u8>>,
}

impl Fake {
    pub fn new(origin: u64) -> Arc<Fake> {
        let fake = Arc::new(Fake {
            origin,
            state: Mutex::default(),
            links: AtomicUsize::new(0),
            counts: Mutex::default(),
            loses_prepared: false.into(),
            refuses_clones: false.into(),
            epoch: AtomicUsize::new(0),
            exports: AtomicUsize::new(usize::MAX),
        });
        fake.add_user("kmsuser", b"kmsPswd");
        fake
    }

    pub fn add_user(&self, name: &str, password: &[u8]) {
        let user = User {
            password: password.to_vec(),
            pending: None,
        };
        self.state.lock().users.insert(name.to_owned(), user);
    }

    /// As a restore from a backup does.
    pub fn forget_logins(&self) {
        self.epoch.fetch_add(1, SeqCst);
    }

    pub fn count(&self, what: &str) -> usize {
        self.counts.lock().get(what).copied().unwrap_or(0)
    }

    pub fn object(&self, id: ObjectId) -> Option<Object> {
        self.state.lock().objects.get(&id).cloned()
    }
}

/// What `serve` takes: the fake itself is shared with the test.
pub struct Served(pub Arc<Fake>);

impl Hsm for Served {
    fn open(&self, who: &Hello) -> Result<Arc<dyn Link>> {
        self.0.links.fetch_add(1, SeqCst);
        Ok(Arc::new(FakeLink {
            hsm: Arc::clone(&self.0),
            peer: who.peer,
            mine: Mutex::default(),
        }))
    }
}

impl Drop for FakeLink {
    fn drop(&mut self) {
        self.hsm.links.fetch_sub(1, SeqCst);
    }
}

impl FakeLink {
    fn key(&self, mine: &Mine, id: ObjectId) -> Result<u8> {
        if let Some((_, key)) = mine.session_objects.get(&id) {
            return Ok(*key);
        }
        let state = self.hsm.state.lock();
        state
            .objects
            .get(&id)
            .and_then(|object| object.key)
            .ok_or(Rv::KEY_HANDLE_INVALID.into())
    }

    fn change(id: ObjectId, object: &Object) -> Change {
        Change {
            id,
            version: object.version,
            origin: object.origin,
            sealed: object.key.map(|key| vec![key]),
            tag: Vec::new(),
        }
    }

    fn write(&self, id: ObjectId, key: Option<u8>) -> Reply {
        let mut state = self.hsm.state.lock();
        let version = state.objects.get(&id).map_or(0, |object| object.version) + 1;
        let object = Object {
            version,
            origin: self.hsm.origin,
            key,
        };
        let change = Self::change(id, &object);
        state.objects.insert(id, object);
        Reply::Made {
            changes: vec![change],
            written: 0,
        }
    }
}

impl Link for FakeLink {
    fn is_logged_in(&self) -> bool {
        // A request that is carried out right now is somebody's; no test asks meanwhile.
        let mine = self.mine.lock();
        mine.user.is_some() && mine.epoch == self.hsm.epoch.load(SeqCst)
    }

    fn call(&self, session: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        use Request as R;
        let mut mine = self.mine.lock();
        let epoch = self.hsm.epoch.load(SeqCst);
        if mine.epoch != epoch {
            (mine.user, mine.epoch) = (None, epoch);
        }
        let debug = format!("{request:?}");
        let name: &'static str = [
            "Login",
            "Logout",
            "SetPin",
            "Crypt",
            "Begin",
            "GenerateKey",
            "Apply",
            "Random",
            "Digest",
            "CloseSession",
        ]
        .into_iter()
        .find(|name| debug.split([' ', '{']).next() == Some(name))
        .unwrap_or("other");
        *self.hsm.counts.lock().entry(name).or_default() += 1;
        let logged_in = || match (&mine.user, self.peer) {
            (None, Peer::Client) => Err(Error::from(Rv::USER_NOT_LOGGED_IN)),
            _ => Ok(()),
        };
        match request {
            R::Login { name, pin, .. } => {
                if mine.user.is_some() {
                    return Err(Rv::USER_ALREADY_LOGGED_IN.into());
                }
                let name = name.unwrap_or("kmsuser");
                let mut state = self.hsm.state.lock();
                let Some(user) = state.users.get_mut(name) else {
                    return Err(Error::new(Rv::PIN_INCORRECT, "USER_NOT_FOUND"));
                };
                if user.pending.as_deref() == Some(&pin[..]) {
                    user.password = user.pending.take().unwrap();
                } else if user.password != **pin {
                    return Err(Error::new(Rv::PIN_INCORRECT, "wrong password"));
                }
                mine.user = Some(name.to_owned());
                Ok(Reply::Done)
            }
            R::Logout => mine
                .user
                .take()
                .map(|_| Reply::Done)
                .ok_or(Rv::USER_NOT_LOGGED_IN.into()),
            R::SetPin { old, new, phase } => {
                logged_in()?;
                let mut state = self.hsm.state.lock();
                let user = state.users.get_mut("kmsuser").unwrap();
                match phase {
                    Phase::Commit if user.pending.as_deref() == Some(&new[..]) => {
                        user.password = user.pending.take().unwrap();
                    }
                    Phase::Prepare if user.password == **old => {
                        user.pending = Some(new.to_vec()).filter(|new| *new != **old);
                        if self.hsm.loses_prepared.swap(false, SeqCst) {
                            panic!("the answer is lost");
                        }
                    }
                    _ => return Err(Rv::PIN_INCORRECT.into()),
                }
                Ok(Reply::Done)
            }
            R::GenerateKey { id, template, .. } => {
                logged_in()?;
                if let Some(object) = self.hsm.object(*id) {
                    let changes = vec![Self::change(*id, &object)];
                    return Ok(Reply::Made {
                        changes,
                        written: 0,
                    });
                }
                let key = rand::random();
                if template
                    .iter()
                    .any(|a| a.ty == TOKEN && a.value == Value::Bool(true))
                {
                    return Ok(self.write(*id, Some(key)));
                }
                mine.session_objects.insert(*id, (session, key));
                Ok(Reply::Made {
                    changes: Vec::new(),
                    written: 0,
                })
            }
            R::SetAttributes { id, .. } => {
                let key = self.key(&mine, *id)?;
                Ok(self.write(*id, Some(key)))
            }
            R::Destroy { id } => {
                self.key(&mine, *id)
                    .map_err(|_| Rv::OBJECT_HANDLE_INVALID)?;
                Ok(self.write(*id, None))
            }
            R::Find { .. } => {
                let state = self.hsm.state.lock();
                let live = state
                    .objects
                    .iter()
                    .filter(|(_, object)| object.key.is_some());
                let found = live
                    .map(|(id, _)| *id)
                    .chain(mine.session_objects.keys().copied());
                Ok(Reply::Objects(found.collect()))
            }
            R::CloseSession => {
                mine.session_objects.retain(|_, (of, _)| *of != session);
                Ok(Reply::Done)
            }
            R::Crypt {
                op: Op::Encrypt,
                key: Some(key),
                data,
                ..
            } => {
                logged_in()?;
                let key = self.key(&mine, key.id)?;
                if out.len() < data.len() {
                    return Err(Rv::BUFFER_TOO_SMALL.into());
                }
                out.iter_mut()
                    .zip(data.iter())
                    .for_each(|(to, from)| *to = from ^ key);
                Ok(Reply::Written(data.len()))
            }
            // Every key here wants a login before each signature.
            R::Crypt { op: Op::Sign, .. } => Err(Error::new(
                Rv::USER_NOT_LOGGED_IN,
                "the key wants a context-specific login before each use",
            )),
            R::Begin { stream, .. } => {
                mine.streams.insert(*stream, Vec::new());
                Ok(Reply::Done)
            }
            R::Update { stream, data } => {
                let parts = mine
                    .streams
                    .get_mut(stream)
                    .ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
                parts.extend_from_slice(data);
                Ok(Reply::Written(0))
            }
            R::DigestKey { stream, key } => {
                let key = self.key(&mine, *key)?;
                let parts = mine
                    .streams
                    .get_mut(stream)
                    .ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
                parts.push(key);
                Ok(Reply::Done)
            }
            R::SaveState { stream } => {
                let parts = mine.streams.get(stream);
                let parts = parts.ok_or(Rv::OPERATION_NOT_INITIALIZED)?.clone();
                mine.saved.push(parts);
                let name = [self.hsm.origin as u8, mine.saved.len() as u8 - 1];
                Ok(Reply::Bytes(name.to_vec()))
            }
            R::RestoreState { stream, state } => {
                let saved = match state[..] {
                    [origin, at] if u64::from(origin) == self.hsm.origin => {
                        mine.saved.get(usize::from(at)).cloned()
                    }
                    _ => None,
                };
                let saved = saved.ok_or(Rv::SAVED_STATE_INVALID)?;
                mine.streams.insert(*stream, saved);
                Ok(Reply::Done)
            }
            R::Finish { stream, .. } => {
                let parts = mine
                    .streams
                    .remove(stream)
                    .ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
                out[..parts.len()].copy_from_slice(&parts);
                Ok(Reply::Written(parts.len()))
            }
            R::Random => {
                out.fill(0x5A);
                Ok(Reply::Written(out.len()))
            }
            R::Digest => {
                let state = self.hsm.state.lock();
                let rows = state
                    .objects
                    .iter()
                    .map(|(id, o)| (*id, o.version, o.origin));
                Ok(Reply::Digest(rows.collect()))
            }
            R::Export { ids } => {
                let state = self.hsm.state.lock();
                let known = ids
                    .iter()
                    .filter_map(|id| Some((id, state.objects.get(id)?)));
                Ok(Reply::Changes(
                    known
                        .take(self.hsm.exports.load(SeqCst))
                        .map(|(id, object)| Self::change(*id, object))
                        .collect(),
                ))
            }
            R::Apply { changes } => {
                if self.hsm.refuses_clones.load(SeqCst) {
                    return Err(Error::new(Rv::DEVICE_MEMORY, "full"));
                }
                let mut state = self.hsm.state.lock();
                for change in changes {
                    let own = state.objects.get(&change.id);
                    let newer =
                        own.is_none_or(|o| (change.version, change.origin) > (o.version, o.origin));
                    let wins = match (&change.sealed, own.map(|o| o.key)) {
                        // A tombstone beats any living state.
                        (None, Some(Some(_))) => true,
                        (Some(_), Some(None)) => false,
                        _ => newer,
                    };
                    if wins {
                        let key = change.sealed.as_ref().map(|sealed| sealed[0]);
                        let object = Object {
                            version: change.version,
                            origin: change.origin,
                            key,
                        };
                        state.objects.insert(change.id, object);
                    }
                }
                Ok(Reply::Done)
            }
            R::Backup => Ok(Reply::Bytes(vec![7; 20 << 20])),
            R::Restore { backup } if backup.len() == 20 << 20 => Ok(Reply::Done),
            // A frame with this asks for what no HSM does: room for a panic.
            R::Seed { .. } => panic!("the HSM panics"),
            _ => Err(Rv::FUNCTION_NOT_SUPPORTED.into()),
        }
    }
}
