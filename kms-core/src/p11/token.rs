//! A token with a user logged in: sessions, key handles, and the handful of calls that KMS makes.
//!
//! PKCS#11's login belongs to the process and lasts while a session is open, so one session (the anchor) stays open from login to logout
//! and does nothing else. Work runs on pooled sessions; a session on which anything failed is closed, not put back, because
//! an operation may still be active on it. Nothing holds a lock while the HSM works.

use std::collections::HashMap;
use std::sync::Arc;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::{AuthPin, Ulong};
use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

use super::{Fault, FaultKind, Module, ModuleSpec, fault};
use crate::quirks::{IvMaker, PinForm};

/// Idle sessions kept; more are closed when work is done.
const POOL: usize = 32;
const TAG_BITS: u64 = 128;
const AES_256: u64 = 32;

/// What an AES-GCM encryption gives: the IV that was used, and ciphertext with tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The 12-byte IV.
    pub iv: [u8; 12],
    /// Ciphertext followed by the 16-byte tag.
    pub body: Vec<u8>,
}

/// A token with its user logged in. Dropping it logs out.
pub struct Token {
    module: Arc<Module>,
    label: String,
    slot: Slot,
    anchor: Mutex<Option<Session>>,
    idle: Mutex<Vec<Session>>,
    handles: RwLock<HashMap<String, ObjectHandle>>,
    pin: PinForm,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("slot", &self.slot)
            .field("pin", &self.pin)
            .finish()
    }
}

impl Token {
    /// Logs in: exactly one attempt, so that a caller can count them.
    ///
    /// # Errors
    /// The login kinds of [`FaultKind`], or Unreachable if there is no such token.
    pub fn login(
        module: &Arc<Module>,
        spec: &ModuleSpec,
        pin: &PinForm,
        password: &str,
    ) -> Result<Token, Fault> {
        let fail = |e| fault(e, module.quirks);
        let slot = module.must_slot(&spec.token_label)?;
        let anchor = module.ctx.open_rw_session(slot).map_err(fail)?;
        let secret = AuthPin::from(pin.login_pin(password).to_string());
        anchor.login(UserType::User, Some(&secret)).map_err(fail)?;
        let lists_gcm = module
            .ctx
            .get_mechanism_list(slot)
            .map_err(fail)?
            .contains(&MechanismType::AES_GCM);
        if !lists_gcm {
            let why = format!("{} does not list CKM_AES_GCM", module.quirks.name);
            return Err(Fault::new(FaultKind::Internal, why));
        }
        Ok(Token {
            module: module.clone(),
            label: spec.token_label.clone(),
            slot,
            anchor: Mutex::new(Some(anchor)),
            idle: Mutex::new(Vec::new()),
            handles: RwLock::new(HashMap::new()),
            pin: pin.clone(),
        })
    }

    /// The token's label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Changes the logged-in user's password.
    ///
    /// # Errors
    /// WrongPassword if `old` is not the password; PasswordRefused if `new` does not suit the token.
    pub fn set_password(&self, old: &str, new: &str) -> Result<(), Fault> {
        self.once(|session| {
            // In the form `user:password` the old PIN names the user; the new one is the bare password.
            let old = AuthPin::from(self.pin.login_pin(old).to_string());
            session.set_pin(&old, &AuthPin::from(new.to_owned()))
        })
    }

    /// Makes an AES-256 key that never leaves the token, able to encrypt and decrypt and nothing else.
    ///
    /// # Errors
    /// KeyAmbiguous if the label is taken; else what the module answered.
    pub fn generate_aes(&self, label: &str, id: &[u8]) -> Result<(), Fault> {
        match self.find(label) {
            Err(gone) if gone.kind == FaultKind::KeyGone => {}
            Ok(_) => {
                let why = format!("the token already has a key with the label {label}");
                return Err(Fault::new(FaultKind::KeyAmbiguous, why));
            }
            Err(other) => return Err(other),
        }
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Sign(false),
            Attribute::Verify(false),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
            Attribute::ValueLen(Ulong::new(AES_256)),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(id.to_vec()),
        ];
        // Never repeated by itself: a lost answer may have made the key, and two keys of one label serve nobody.
        let handle = self.once(|session| session.generate_key(&Mechanism::AesKeyGen, &template))?;
        self.handles.write().insert(label.to_owned(), handle);
        Ok(())
    }

    /// Encrypts with the key of this label.
    ///
    /// # Errors
    /// KeyGone, Unreachable and the like.
    pub fn seal(&self, label: &str, aad: &[u8], plain: &[u8]) -> Result<Sealed, Fault> {
        self.with_key(label, |session, key| {
            let mut iv = match self.module.quirks.iv {
                IvMaker::Caller => rand::random::<[u8; 12]>(),
                IvMaker::Module => [0; 12],
            };
            let params = GcmParams::new(&mut iv, aad, Ulong::new(TAG_BITS))?;
            let body = session.encrypt(&Mechanism::AesGcm(params), key, plain)?;
            Ok(Sealed { iv, body })
        })
    }

    /// Decrypts with the key of this label.
    ///
    /// # Errors
    /// BadTag if the ciphertext or the AAD is not what was encrypted; KeyGone, Unreachable and the like.
    pub fn open(
        &self,
        label: &str,
        aad: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.with_key(label, |session, key| {
            let mut iv = sealed.iv;
            let params = GcmParams::new(&mut iv, aad, Ulong::new(TAG_BITS))?;
            session
                .decrypt(&Mechanism::AesGcm(params), key, &sealed.body)
                .map(Zeroizing::new)
        })
    }

    /// Random bytes from the HSM.
    ///
    /// # Errors
    /// Unreachable and the like.
    pub fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.again(|session| {
            let mut bytes = Zeroizing::new(vec![0; length]);
            session.generate_random_slice(&mut bytes)?;
            Ok(bytes)
        })
    }

    /// Whether the token has exactly one key of this label.
    ///
    /// # Errors
    /// Unreachable and the like; not KeyGone.
    pub fn has(&self, label: &str) -> Result<bool, Fault> {
        match self.find(label) {
            Ok(_) => Ok(true),
            Err(fault) if fault.kind == FaultKind::KeyGone => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Destroys the key of this label.
    ///
    /// # Errors
    /// KeyGone if it is not there; else what the module answered.
    pub fn destroy(&self, label: &str) -> Result<(), Fault> {
        let done = self.with_key(label, |session, key| session.destroy_object(key));
        self.handles.write().remove(label);
        done
    }

    /// Logs out and closes every session. Later calls answer LoggedOut.
    pub fn logout(&self) {
        let anchor = self.anchor.lock().take();
        self.idle.lock().clear();
        self.handles.write().clear();
        if let Some(anchor) = anchor {
            // A token that cannot be reached has logged us out already.
            let _ = anchor.logout();
        }
    }

    fn find(&self, label: &str) -> Result<ObjectHandle, Fault> {
        if let Some(handle) = self.handles.read().get(label) {
            return Ok(*handle);
        }
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        // Two are asked for to prove that there is one; the iterator closes the search when it is dropped.
        let found = self.again(|session| {
            session
                .iter_objects(&template)?
                .take(2)
                .collect::<Result<Vec<_>, _>>()
        })?;
        match found[..] {
            [handle] => {
                self.handles.write().insert(label.to_owned(), handle);
                Ok(handle)
            }
            [] => Err(Fault::new(
                FaultKind::KeyGone,
                format!("the token has no key {label}"),
            )),
            _ => Err(Fault::new(
                FaultKind::KeyAmbiguous,
                format!("the token has several keys with the label {label}"),
            )),
        }
    }

    /// Runs `work` with the key's handle; a stale handle is looked up anew, once.
    fn with_key<T>(
        &self,
        label: &str,
        work: impl Fn(&Session, ObjectHandle) -> cryptoki::error::Result<T>,
    ) -> Result<T, Fault> {
        let key = self.find(label)?;
        match self.again(|session| work(session, key)) {
            Err(stale) if stale.kind == FaultKind::StaleHandle => {
                self.handles.write().remove(label);
                let key = self.find(label)?;
                self.again(|session| work(session, key))
                    .map_err(|fault| match fault.kind {
                        FaultKind::StaleHandle => Fault::new(FaultKind::KeyGone, fault.why),
                        _ => fault,
                    })
            }
            done => done,
        }
    }

    /// Runs `work`, which may be repeated, once more on a new session if the first was stale or lost its HSM.
    fn again<T>(&self, work: impl Fn(&Session) -> cryptoki::error::Result<T>) -> Result<T, Fault> {
        match self.once(&work) {
            Err(lost) if matches!(lost.kind, FaultKind::StaleSession | FaultKind::Unreachable) => {
                // What else is pooled is as old as what failed.
                self.idle.lock().clear();
                self.once(&work)
            }
            done => done,
        }
    }

    fn once<T>(
        &self,
        work: impl FnOnce(&Session) -> cryptoki::error::Result<T>,
    ) -> Result<T, Fault> {
        let fail = |e| fault(e, self.module.quirks);
        if self.anchor.lock().is_none() {
            return Err(Fault::new(FaultKind::LoggedOut, "the token was logged out"));
        }
        let pooled = Pooled::take(&self.idle, &self.module.ctx, self.slot).map_err(fail)?;
        let done = work(pooled.session()).map_err(fail)?;
        pooled.put_back();
        Ok(done)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.logout();
    }
}

/// A session out of the pool. Only [`Pooled::put_back`] returns it; otherwise it is closed, as after any error it must be.
struct Pooled<'a> {
    session: Session,
    idle: &'a Mutex<Vec<Session>>,
}

impl<'a> Pooled<'a> {
    fn take(
        idle: &'a Mutex<Vec<Session>>,
        ctx: &Pkcs11,
        slot: Slot,
    ) -> cryptoki::error::Result<Pooled<'a>> {
        let kept = idle.lock().pop();
        let session = match kept {
            Some(session) => session,
            None => ctx.open_rw_session(slot)?,
        };
        Ok(Pooled { session, idle })
    }

    fn session(&self) -> &Session {
        &self.session
    }

    fn put_back(self) {
        let mut idle = self.idle.lock();
        if idle.len() < POOL {
            idle.push(self.session);
        }
    }
}
