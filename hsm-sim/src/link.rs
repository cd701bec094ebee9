//! One application's line to the engine: its login, its session objects, its streams. `call` is the
//! one match over what may be asked; the answers are in `op/`.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hsm_api::{
    Error, KeyRef, Link, ObjectId, Peer, Reply, Request, Result, Role, Rv, SessionId, StreamId,
};
use parking_lot::{Mutex, RwLock};

use crate::builtin;
use crate::engine::Inner;
use crate::object::Object;
use crate::op::random::Pool;
use crate::op::state::Saved;
use crate::op::stream::Running;
use crate::policy::{self, Who};
use crate::store::seal::SealKey;
use crate::table::absent;

pub(crate) struct SimLink {
    pub(crate) inner: Arc<Inner>,
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    login: RwLock<Option<Login>>,
    /// The login in one word, so that the hot path takes no lock: 0, or role + 1 and user.
    quick: AtomicU64,
    /// By what objects know that user; see [`crate::users::mark`].
    mark: AtomicU64,
    /// The epoch of that login.
    since: AtomicU64,
    /// Never held while keys are at work.
    pub(crate) own: Mutex<Own>,
    /// What C_SeedRandom has given.
    pub(crate) seeds: Mutex<Pool>,
}

/// Who is logged in, and the key that his PIN opened.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: u32,
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) token: Arc<SealKey>,
    pub(crate) epoch: u64,
}

/// What belongs to sessions of this link.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) objects: HashMap<ObjectId, (SessionId, Arc<Object>)>,
    pub(crate) streams: HashMap<StreamId, (SessionId, Arc<Mutex<Running>>)>,
    /// Sessions in which an always-authenticate key may be used once.
    pub(crate) freed: HashSet<SessionId>,
    /// States of digests, for whichever session restores them.
    pub(crate) saved: Saved,
}

/// An object for the time of a call: borrowed from the caller's pin, or found.
pub(crate) enum Held<'a> {
    Pinned(&'a Object),
    Found(Arc<Object>),
}

impl Deref for Held<'_> {
    type Target = Object;
    fn deref(&self) -> &Object {
        match self {
            Held::Pinned(object) => object,
            Held::Found(object) => object,
        }
    }
}

const ROLES: [Role; 4] = [Role::PreCo, Role::Co, Role::Cu, Role::Au];

impl SimLink {
    pub(crate) fn new(inner: Arc<Inner>, id: u64, peer: Peer) -> Self {
        SimLink {
            inner,
            id,
            peer,
            login: RwLock::new(None),
            quick: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            since: AtomicU64::new(0),
            own: Mutex::default(),
            seeds: Mutex::default(),
        }
    }

    /// Who asks.
    pub(crate) fn who(&self) -> Who {
        let quick = self.quick.load(Ordering::Acquire);
        let role = match quick >> 32 {
            0 => None,
            n => ROLES.get(n as usize - 1).copied(),
        };
        Who {
            role,
            user: quick as u32,
            mark: self.mark.load(Ordering::Acquire),
            node: self.inner.node.is_some(),
        }
    }

    /// The login, unless the token was initialized anew since.
    pub(crate) fn login(&self) -> Option<Login> {
        let login = self.login.read().clone();
        login.filter(|l| l.epoch == self.inner.epoch())
    }

    pub(crate) fn logged_in(&self) -> Result<Login> {
        self.login()
            .ok_or_else(|| Error::new(Rv::USER_NOT_LOGGED_IN, "log in first"))
    }

    pub(crate) fn set_login(&self, login: Option<Login>) {
        let mut place = self.login.write();
        let quick = login.as_ref().map_or(0, |l| {
            let role = ROLES
                .iter()
                .position(|r| *r == l.role)
                .map_or(0, |i| i as u64 + 1);
            role << 32 | u64::from(l.user)
        });
        if let Some(login) = &login {
            self.inner.logins.lock().insert(self.id, login.user);
        } else {
            self.inner.logged_out(self.id);
        }
        self.since
            .store(login.as_ref().map_or(0, |l| l.epoch), Ordering::Release);
        self.mark.store(
            login.as_ref().map_or(0, |l| crate::users::mark(&l.name)),
            Ordering::Release,
        );
        *place = login;
        self.quick.store(quick, Ordering::Release);
    }

    /// An object that this caller may see.
    pub(crate) fn object(&self, id: ObjectId) -> Result<Arc<Object>> {
        let own = self.own.lock().objects.get(&id).map(|(_, o)| Arc::clone(o));
        let object = own.or_else(|| self.inner.find(id));
        let object = object.or_else(|| builtin::get(id, self.who().node).cloned());
        let object = object.ok_or_else(absent)?;
        if policy::may_see(self.who(), &object) {
            return Ok(object);
        }
        Err(absent())
    }

    /// The object of a key reference: straight from the pin while that is the newest version.
    pub(crate) fn key<'a>(&self, key: &'a KeyRef) -> Result<Held<'a>> {
        if let Some(object) = key.pin.as_ref().and_then(|p| p.downcast_ref::<Object>())
            && !object.is_retired()
            && object.id == key.id
            && policy::may_see(self.who(), object)
        {
            return Ok(Held::Pinned(object));
        }
        self.object(key.id).map(Held::Found).map_err(gone)
    }

    /// The same, to be kept.
    pub(crate) fn kept_key(&self, key: &KeyRef) -> Result<Arc<Object>> {
        if let Held::Found(object) = self.key(key)? {
            return Ok(object);
        }
        let pin = key.pin.clone().and_then(|p| p.downcast::<Object>().ok());
        pin.ok_or_else(|| gone(absent()))
    }

    /// Takes the one use of an always-authenticate key that a context-specific login has freed.
    pub(crate) fn authenticate(&self, session: SessionId, object: &Object) -> Result<()> {
        if object.facts.always_authenticate && !self.own.lock().freed.remove(&session) {
            return Err(Error::new(
                Rv::USER_NOT_LOGGED_IN,
                "the key wants a context-specific login before each use",
            ));
        }
        Ok(())
    }

    /// Nothing of a login outlives it: streams end, private session objects go.
    pub(crate) fn logout(&self) {
        let mut own = self.own.lock();
        own.streams.clear();
        own.saved.clear();
        own.freed.clear();
        own.objects.retain(|_, (_, object)| {
            if object.facts.private {
                object.retire();
            }
            !object.facts.private
        });
        drop(own);
        self.set_login(None);
    }

    fn close_session(&self, session: SessionId) {
        let mut own = self.own.lock();
        own.streams.retain(|_, (of, _)| *of != session);
        own.freed.remove(&session);
        own.objects.retain(|_, (of, object)| {
            if *of == session {
                object.retire();
            }
            *of != session
        });
    }
}

fn gone(e: Error) -> Error {
    Error::new(Rv::KEY_HANDLE_INVALID, e.why)
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.set_login(None);
    }
}

impl Link for SimLink {
    fn is_logged_in(&self) -> bool {
        self.quick.load(Ordering::Acquire) != 0
            && self.since.load(Ordering::Acquire) == self.inner.epoch()
    }

    fn call(&self, session: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        use Request as R;
        self.inner.refresh()?;
        if self.quick.load(Ordering::Acquire) != 0
            && self.since.load(Ordering::Acquire) != self.inner.epoch()
        {
            // Somebody initialized the token anew.
            self.logout();
        }
        policy::may_ask(self.peer, self.who(), request)?;
        match request {
            R::Crypt {
                op,
                mech,
                key,
                data,
                signature,
            } => self.crypt(session, *op, mech, key.as_deref(), data, signature, out),
            R::Begin {
                stream,
                op,
                mech,
                key,
            } => self.begin(session, *stream, *op, mech, key.as_deref()),
            R::Update { stream, data } => self.update(*stream, data, out),
            R::Finish { stream, signature } => self.finish(*stream, signature, out),
            R::DigestKey { stream, key } => self.digest_key(*stream, *key),
            R::Abort { stream } => {
                self.own.lock().streams.remove(stream);
                Ok(Reply::Done)
            }
            R::SaveState { stream } => self.save_state(*stream),
            R::RestoreState { stream, state } => self.restore_state(session, *stream, state),
            R::Random => self.random(out),
            R::Seed { data } => self.seed(data),

            R::TokenInfo => self.token_info(),
            R::Mechanisms => Ok(Reply::Mechanisms(self.mechanisms())),
            R::InitToken { so_pin, label } => self.init_token(so_pin, label),
            R::InitPin { pin } => self.init_pin(pin),
            R::SetPin { old, new, phase } => self.set_pin(old, new, *phase),
            R::Login { role, name, pin } => self.log_in(*role, *name, pin),
            R::LoginContext { pin } => self.log_in_for_once(session, pin),
            R::Logout => {
                self.logout();
                Ok(Reply::Done)
            }
            R::CloseSession => {
                self.close_session(session);
                Ok(Reply::Done)
            }

            R::Create { id, template } => self.create(session, *id, template),
            R::Copy { from, id, template } => self.copy(session, *from, *id, template),
            R::Destroy { id } => self.destroy(*id),
            R::Resolve { id } => self.resolve(*id),
            R::Attributes { id, types } => self.attributes(*id, types),
            R::SetAttributes { id, template } => self.set_attributes(*id, template),
            R::Find { template } => self.find(template),
            R::ObjectSize { id } => self.size(*id),

            R::GenerateKey { mech, id, template } => self.generate(session, mech, *id, template),
            R::GenerateKeyPair {
                mech,
                public,
                public_template,
                private,
                private_template,
            } => self.generate_pair(
                session,
                mech,
                (*public, public_template),
                (*private, private_template),
            ),
            R::Wrap {
                mech,
                with,
                key,
                aad,
            } => self.wrap(session, mech, with, *key, aad, out),
            R::Unwrap {
                mech,
                with,
                wrapped,
                aad,
                id,
                template,
            } => self.unwrap(session, mech, with, (wrapped, aad), *id, template),
            R::Derive {
                mech,
                base,
                id,
                template,
            } => self.derive(session, mech, base, *id, template),
            R::Encapsulate {
                mech,
                public,
                id,
                template,
            } => self.encapsulate(session, mech, public, *id, template, out),
            R::Decapsulate {
                mech,
                private,
                ciphertext,
                id,
                template,
            } => self.decapsulate(session, mech, private, ciphertext, (*id, template)),

            R::Users => self.users(),
            R::CreateUser {
                role,
                name,
                password,
            } => self.create_user(*role, name, password),
            R::DeleteUser { role, name } => self.delete_user(*role, name),
            R::ChangePassword {
                role,
                name,
                password,
            } => self.change_password(*role, name, password),
            R::NodeInfo => self.node_info(),
            R::UserKeys { user } => self.user_keys(*user),
            R::Share { key, user, share } => self.share(*key, *user, *share),

            R::Digest => Ok(Reply::Digest(self.inner.table.read().digest())),
            R::Export { ids } => Ok(Reply::Changes(self.inner.export(ids)?)),
            R::Apply { changes } => self.apply(changes),
            R::Csr => self.csr(),
            R::Install {
                certificate,
                anchor,
            } => self.install(certificate, anchor),
            R::Backup => self.backup(),
            R::Restore { backup } => self.restore(backup),
        }
    }
}
