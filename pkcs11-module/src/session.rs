//! Sessions: a handle, a link, and what goes on in it. One thread at a time works in a session; the
//! table is cut in parts so that threads with sessions of their own do not meet.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hsm_api::{
    AttrType, Error, KeyFacts, KeyRef, Link, MechId, Mechanism, ObjectId, Reply, Request, Result,
    Rv, SessionId, StreamId, Template,
};
use parking_lot::{Mutex, MutexGuard, RwLock};
use pkcs11_sys as ck;

use crate::ck::Spare;
use crate::op::Ops;
use crate::personality::attributes::Making;
use crate::token::{Login, Slot, unexpected};

/// One session.
pub struct Session {
    /// CK_SESSION_HANDLE.
    pub handle: u64,
    /// Where it was opened.
    pub slot: Arc<Slot>,
    /// CKF_RW_SESSION.
    pub read_write: bool,
    link: Arc<dyn Link>,
    state: Mutex<State>,
}

/// What goes on in a session.
#[derive(Default)]
pub struct State {
    /// Operation slots.
    pub ops: Ops,
    /// The search, if one is active.
    pub find: Option<Find>,
    last_key: Option<Arc<Key>>,
    /// Buffers of parameters that are done with.
    pub spare: Spare,
    made: Vec<ObjectId>,
    last_stream: u64,
    /// Whether the HSM knows of the session.
    touched: bool,
    closed: bool,
}

/// A search: what was found when it began, and how much of it was given.
pub struct Find {
    handles: Vec<u64>,
    given: usize,
}

/// A key, resolved.
pub struct Key {
    handle: u64,
    epoch: u64,
    /// For requests.
    pub key: KeyRef,
    /// For checks and length queries.
    pub facts: KeyFacts,
}

impl Session {
    /// Enters the session; other threads wait.
    ///
    /// # Errors
    /// SESSION_HANDLE_INVALID where another thread closed it meanwhile.
    pub fn enter(&self) -> Result<Entered<'_>> {
        let state = self.state.lock();
        if state.closed {
            return Err(Rv::SESSION_HANDLE_INVALID.into());
        }
        let calm = !std::thread::panicking();
        Ok(Entered { state, calm })
    }

    /// Asks the HSM.
    pub fn call(&self, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        self.link.call(SessionId(self.handle), request, out)
    }

    /// As [`Session::call`], for a request that is answered with a number of bytes in `out`.
    pub fn written(&self, request: &Request<'_>, out: &mut [u8]) -> Result<usize> {
        match self.call(request, out)? {
            Reply::Written(n) | Reply::Made { written: n, .. } if n <= out.len() => Ok(n),
            other => Err(unexpected(&other)),
        }
    }

    /// As [`Session::call`], where only success matters.
    pub fn done(&self, request: &Request<'_>) -> Result<()> {
        self.call(request, &mut []).map(drop)
    }

    /// CK_SESSION_INFO's state.
    pub fn ck_state(&self) -> ck::CK_STATE {
        match (self.slot.login_state(), self.read_write) {
            (None, false) => ck::CKS_RO_PUBLIC_SESSION,
            (None, true) => ck::CKS_RW_PUBLIC_SESSION,
            (Some(Login::User), false) => ck::CKS_RO_USER_FUNCTIONS,
            (Some(Login::User), true) => ck::CKS_RW_USER_FUNCTIONS,
            (Some(Login::So), _) => ck::CKS_RW_SO_FUNCTIONS,
        }
    }

    /// The object behind a handle.
    pub fn object(&self, handle: u64) -> Result<ObjectId> {
        self.slot
            .object(handle)
            .ok_or_else(|| Rv::OBJECT_HANDLE_INVALID.into())
    }

    /// The key behind a handle, `invalid` if there is none. The last one is remembered.
    pub fn key(&self, state: &mut State, handle: u64, invalid: Rv) -> Result<Arc<Key>> {
        let epoch = self.slot.epoch();
        if let Some(key) = &state.last_key
            && key.handle == handle
            && key.epoch == epoch
        {
            return Ok(key.clone());
        }
        let id = self.slot.object(handle).ok_or(invalid)?;
        let reply = self
            .call(&Request::Resolve { id }, &mut [])
            .map_err(|e| match e.rv {
                Rv::OBJECT_HANDLE_INVALID => Error::new(invalid, e.why),
                _ => e,
            })?;
        let Reply::Key(key, facts) = reply else {
            return Err(unexpected(&reply));
        };
        let key = Arc::new(Key {
            handle,
            epoch,
            key,
            facts,
        });
        state.last_key = Some(key.clone());
        Ok(key)
    }

    /// Checks a template for a key by the personality's rules, and adds its defaults.
    pub fn dress(&self, making: Making, template: &mut Template) -> Result<()> {
        self.slot.spec.personality.dress(making, template)
    }

    /// Refuses a mechanism, or a use of it (a CKF_ bit), that the personality does not have; [`Session::has`] comes before,
    /// when the parameters are read.
    pub fn offers(&self, mech: &Mechanism<'_>, function: u64) -> Result<()> {
        self.slot.spec.personality.offers(mech, function)
    }

    /// Refuses a mechanism that was left out of the settings, or that the token does not have.
    pub fn has(&self, id: MechId) -> Result<()> {
        self.slot.spec.mechanisms.offers(id)?;
        // Whether a token was told to have the broken and the old, only its own list says.
        if hsm_sim::mech::find(id).is_some_and(|row| row.legacy || row.never_fips)
            && let Reply::Mechanisms(all) = self.slot.ask(&Request::Mechanisms)?
            && all.iter().all(|offered| offered.mech != id.0)
        {
            let why = "the token offers this mechanism with the setting `legacy` only, or not in FIPS mode";
            return Err(Error::new(Rv::MECHANISM_INVALID, why));
        }
        Ok(())
    }

    /// Whether a template makes a token object; refused in a read-only session.
    pub fn may_make(&self, template: &Template) -> Result<bool> {
        let lasting = token_wish(template).unwrap_or(false);
        self.may_change(lasting)?;
        Ok(lasting)
    }

    /// Refuses to change a token object in a read-only session.
    pub fn may_change(&self, token_object: bool) -> Result<()> {
        if token_object && !self.read_write {
            let why = "a read-only session makes and changes no token object";
            return Err(Error::new(Rv::SESSION_READ_ONLY, why));
        }
        Ok(())
    }

    /// Takes a new object in and gives its handle. One that is not `lasting` goes with the session.
    pub fn adopt(&self, state: &mut State, id: ObjectId, lasting: bool) -> u64 {
        if !lasting {
            state.made.push(id);
            state.touched = true;
        }
        self.slot.handle(id)
    }

    fn close(&self) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let touched = state.touched || state.last_stream != 0;
        let made = std::mem::take(&mut state.made);
        *state = State {
            closed: true,
            ..State::default()
        };
        if touched {
            // An HSM that is gone has forgotten already.
            let _ = self.done(&Request::CloseSession);
            self.slot.forget(made);
        }
        drop(state);
        self.slot.session_closes(self.read_write);
    }
}

/// What a template says of CKA_TOKEN.
pub fn token_wish(template: &Template) -> Option<bool> {
    let token = AttrType(ck::CKA_TOKEN);
    template.iter().find(|a| a.ty == token)?.value.as_bool()
}

impl State {
    /// A name for a new stream.
    pub fn new_stream(&mut self, session: &Session) -> StreamId {
        self.last_stream += 1;
        self.touched = true;
        // Streams are named within the link, which all sessions of a slot share.
        StreamId((session.handle << 32) | (self.last_stream & 0xFFFF_FFFF))
    }

    /// The HSM will know something about this session that it must forget at its end.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// An object is gone: neither its making nor its facts are remembered.
    pub fn forget(&mut self, id: ObjectId) {
        self.made.retain(|made| *made != id);
        self.last_key = None;
    }
}

impl Find {
    /// A search with all that it found.
    pub fn new(handles: Vec<u64>) -> Self {
        Find { handles, given: 0 }
    }

    /// The next ones, at most `max`.
    pub fn next(&mut self, max: usize) -> &[u64] {
        let from = self.given;
        self.given = self.handles.len().min(from.saturating_add(max));
        &self.handles[from..self.given]
    }
}

/// A session that this thread is in. If the thread panics in it, nothing half-done stays active.
pub struct Entered<'a> {
    state: MutexGuard<'a, State>,
    calm: bool,
}

impl Deref for Entered<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.calm && std::thread::panicking() {
            self.state.ops = Ops::default();
            self.state.find = None;
            self.state.last_key = None;
        }
    }
}

/// How many parts the table has: a power of two well above the usual number of cores.
const PARTS: usize = 32;

type Part = HashMap<u64, Arc<Session>, BuildHasherDefault<Spread>>;

/// Spreads session handles. They are our own, counted up, so nobody can choose them to collide, and
/// each call looks one up.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, n: u64) {
        // The map takes its place from the low bits and its tag from the high ones.
        self.0 = (self.0 ^ n)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(32);
    }
}

/// A part alone in its lines of memory (processors fetch them in pairs): two threads with neighbouring sessions would
/// else take the line from each other at every call.
#[derive(Default)]
#[repr(align(128))]
struct Apart(RwLock<Part>);

/// All sessions of the module.
#[derive(Default)]
pub struct Sessions {
    parts: [Apart; PARTS],
    last: AtomicU64,
}

impl Sessions {
    fn part(&self, handle: u64) -> &RwLock<Part> {
        &self.parts[handle as usize % PARTS].0
    }

    /// C_OpenSession.
    pub fn open(&self, slot: &Arc<Slot>, read_write: bool) -> Result<u64> {
        let link = slot.link()?;
        slot.session_opens(read_write)?;
        let handle = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session {
            handle,
            slot: slot.clone(),
            read_write,
            link,
            state: Mutex::default(),
        };
        self.part(handle).write().insert(handle, Arc::new(session));
        Ok(handle)
    }

    /// The session of a handle.
    pub fn session(&self, handle: u64) -> Result<Arc<Session>> {
        let found = self.part(handle).read().get(&handle).cloned();
        found.ok_or_else(|| Rv::SESSION_HANDLE_INVALID.into())
    }

    /// C_CloseSession.
    pub fn close(&self, handle: u64) -> Result<()> {
        let found = self.part(handle).write().remove(&handle);
        found.ok_or(Rv::SESSION_HANDLE_INVALID)?.close();
        Ok(())
    }

    /// C_CloseAllSessions; of every slot without an argument.
    pub fn close_all(&self, slot: Option<u64>) {
        for part in &self.parts {
            let mut gone = Vec::new();
            part.0.write().retain(|_, session| {
                let stays = slot.is_some_and(|id| session.slot.id != id);
                if !stays {
                    gone.push(session.clone());
                }
                stays
            });
            gone.iter().for_each(|session| session.close());
        }
    }
}
