//! A PKCS#11 slot with its token: the link to the HSM, who is logged in, how many sessions there
//! are, and the handles by which this application knows the token's objects.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hsm_api::reply::TokenInfo;
use hsm_api::{
    Error, Hello, Hsm, Link, MechId, ObjectId, Reply, Request, Result, Role, Rv, SessionId,
};
use parking_lot::{Mutex, RwLock};

use crate::personality::{Difference, Personality, SESSIONS};
use crate::selection::Selection;

/// How a PIN names its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinForm {
    /// The PIN of PKCS#11's own SO or user.
    Plain,
    /// `user:password`, cut at the first colon.
    UserAndPassword,
}

/// What the configuration says of a slot.
pub struct SlotSpec {
    /// Tells the same slot when the configuration is read again.
    pub key: String,
    /// For CK_SLOT_INFO.
    pub description: String,
    /// Where requests go.
    pub hsm: Arc<dyn Hsm>,
    /// How PINs are read.
    pub pins: PinForm,
    /// Whose behaviour it shows.
    pub personality: Personality,
    /// Which mechanisms it offers.
    pub mechanisms: Selection,
}

impl SlotSpec {
    /// Whether a mechanism that the token has is shown: by the personality, and by the settings.
    pub fn lists(&self, id: MechId) -> bool {
        self.personality.has(id) && self.mechanisms.has(id)
    }
}

/// Who is logged in, for all sessions of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// CKU_SO.
    So,
    /// CKU_USER.
    User,
}

#[derive(Default)]
struct Tally {
    login: Option<Login>,
    /// The name under which that was, where it had one.
    name: Option<String>,
    /// The last session took the login with it, and the HSM has not been told yet.
    untold: bool,
    /// The token is being initialised, under `logging`: sessions wait until that is over.
    initializing: bool,
    read_only: u64,
    read_write: u64,
}

/// One slot.
pub struct Slot {
    /// Stable while the module lives.
    pub id: u64,
    /// What the configuration says.
    pub spec: SlotSpec,
    hello: Hello,
    link: Mutex<Option<Arc<dyn Link>>>,
    /// Whether the token was seen initialised: it cannot become otherwise under our feet.
    initialized: AtomicBool,
    /// Rises whenever what is known about a key may have become wrong.
    epoch: AtomicU64,
    /// Held while somebody logs in or out, which takes time: a PIN is checked slowly, an HSM may be far
    /// away. Comes before `tally`, which is held for a look and never across a request.
    logging: Mutex<()>,
    tally: Mutex<Tally>,
    objects: RwLock<Objects>,
}

/// Handles are given in order of acquaintance and never twice.
#[derive(Default)]
struct Objects {
    by_handle: HashMap<u64, ObjectId>,
    by_id: HashMap<ObjectId, u64>,
    last: u64,
}

/// The session id of requests that belong to no session.
const NO_SESSION: SessionId = SessionId(0);

impl Slot {
    /// A slot that has not yet spoken to its HSM.
    pub fn new(id: u64, spec: SlotSpec, hello: Hello) -> Self {
        Slot {
            id,
            spec,
            hello,
            link: Mutex::default(),
            initialized: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            logging: Mutex::default(),
            tally: Mutex::default(),
            objects: RwLock::default(),
        }
    }

    /// Refuses what the slot's personality does not have.
    pub fn allows(&self, what: Difference) -> Result<()> {
        self.spec.personality.allows(what)
    }

    /// The link, opened at first use.
    ///
    /// # Errors
    /// TOKEN_NOT_PRESENT where no HSM can be reached.
    pub fn link(&self) -> Result<Arc<dyn Link>> {
        let mut link = self.link.lock();
        if let Some(link) = &*link {
            return Ok(link.clone());
        }
        let opened = self.spec.hsm.open(&self.hello)?;
        *link = Some(opened.clone());
        Ok(opened)
    }

    /// Asks the token itself, outside of any session.
    pub fn ask(&self, request: &Request<'_>) -> Result<Reply> {
        self.link()?.call(NO_SESSION, request, &mut [])
    }

    /// Whether there is a token that answers.
    ///
    /// # Errors
    /// What keeps it from answering.
    pub fn answers(&self) -> Result<()> {
        // Of a cluster C_GetTokenInfo asks each HSM; here one will do.
        self.ask(&Request::Mechanisms).map(drop)
    }

    /// What the token says of itself.
    pub fn info(&self) -> Result<TokenInfo> {
        match self.ask(&Request::TokenInfo)? {
            Reply::Token(info) => {
                self.initialized.store(info.initialized, Ordering::Relaxed);
                Ok(info)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// C_InitToken.
    pub fn initialize(&self, so_pin: &[u8], label: &str) -> Result<()> {
        self.allows(Difference::InitToken)?;
        let _one = self.logging.lock();
        let _alone = self.alone()?;
        self.tell();
        let so_pin = hsm_api::Hidden(so_pin);
        self.ask(&Request::InitToken { so_pin, label })?;
        self.initialized.store(true, Ordering::Relaxed);
        *self.objects.write() = Objects::default();
        self.forget_keys();
        Ok(())
    }

    /// From now on no session is opened, until the answer goes. There must be none, and `logging` is held.
    fn alone(&self) -> Result<impl Drop> {
        struct Alone<'a>(&'a Slot);
        impl Drop for Alone<'_> {
            fn drop(&mut self) {
                self.0.tally.lock().initializing = false;
            }
        }
        let mut tally = self.tally.lock();
        if tally.sessions() != 0 {
            let why = "close all sessions with the token first";
            return Err(Error::new(Rv::SESSION_EXISTS, why));
        }
        tally.initializing = true;
        Ok(Alone(self))
    }

    /// Counts a new session in, if the rules let it.
    pub fn session_opens(&self, read_write: bool) -> Result<()> {
        if !read_write {
            self.allows(Difference::ReadOnlySession)?;
        }
        if !self.initialized.load(Ordering::Relaxed) && !self.info()?.initialized {
            let why = "the token is not initialised: use C_InitToken";
            return Err(Error::new(Rv::TOKEN_NOT_RECOGNIZED, why));
        }
        let mut tally = self.tally.lock();
        while tally.untold || tally.initializing {
            drop(tally);
            let one = self.logging.lock();
            self.tell();
            drop(one);
            tally = self.tally.lock();
        }
        if tally.sessions() >= SESSIONS {
            self.allows(Difference::Sessions)?;
        }
        if !read_write && tally.login == Some(Login::So) {
            let why = "the security officer is logged in: only read-write sessions now";
            return Err(Error::new(Rv::SESSION_READ_WRITE_SO_EXISTS, why));
        }
        *tally.count(read_write) += 1;
        Ok(())
    }

    /// Counts a session out; the last one takes the login with it.
    pub fn session_closes(&self, read_write: bool) {
        let mut tally = self.tally.lock();
        *tally.count(read_write) -= 1;
        if tally.sessions() != 0 || tally.login.is_none() {
            return;
        }
        tally.login = None;
        tally.name = None;
        tally.untold = true;
        drop(tally);
        self.forget_keys();
        let _one = self.logging.lock();
        self.tell();
    }

    /// Tells the HSM of a login that went with the last session. Under `logging`.
    fn tell(&self) {
        let untold = self.tally.lock().untold;
        if untold {
            // The HSM may be gone; then so is the login.
            let _ = self.ask(&Request::Logout);
            // Only now: until the HSM has heard of it, no new session may find what the old login could see.
            self.tally.lock().untold = false;
        }
    }

    /// Sessions of this application: all, and those that may write.
    pub fn sessions(&self) -> (u64, u64) {
        let tally = self.tally.lock();
        (tally.sessions(), tally.read_write)
    }

    /// Who is logged in.
    pub fn login_state(&self) -> Option<Login> {
        self.tally.lock().login
    }

    /// C_Login and C_LoginUser for CKU_SO and CKU_USER.
    pub fn login(&self, who: Login, name: Option<&str>, pin: &[u8]) -> Result<()> {
        if who == Login::So {
            self.allows(Difference::SoLogin)?;
        }
        let _one = self.logging.lock();
        self.tally.lock().may_login(who)?;
        self.tell();
        let (name, pin) = self.user_and_pin(name, pin)?;
        let role = match who {
            Login::So => Role::Co,
            Login::User => Role::Cu,
        };
        let pin = hsm_api::Hidden(pin);
        self.ask(&Request::Login { role, name, pin })?;
        // What may have changed meanwhile: sessions come and go.
        let mut tally = self.tally.lock();
        if let Err(e) = tally.may_login(who).and_then(|()| tally.lives()) {
            drop(tally);
            let _ = self.ask(&Request::Logout);
            return Err(e);
        }
        tally.login = Some(who);
        tally.name = name.map(str::to_owned);
        drop(tally);
        self.forget_keys();
        Ok(())
    }

    fn user_and_pin<'a>(
        &self,
        name: Option<&'a str>,
        pin: &'a [u8],
    ) -> Result<(Option<&'a str>, &'a [u8])> {
        if name.is_some() || self.spec.pins == PinForm::Plain {
            return Ok((name, pin));
        }
        let cut = pin.iter().position(|b| *b == b':');
        let parts =
            cut.and_then(|at| Some((std::str::from_utf8(&pin[..at]).ok()?, &pin[at + 1..])));
        match parts {
            Some((name, password)) if !name.is_empty() => Ok((Some(name), password)),
            _ => {
                let why = "the PIN of a cluster's user has the form user:password";
                Err(Error::new(Rv::PIN_INCORRECT, why))
            }
        }
    }

    /// A PIN for C_SetPIN, free of the user's name where it begins with it.
    pub fn own_pin<'a>(&self, pin: &'a [u8]) -> &'a [u8] {
        if self.spec.pins == PinForm::Plain {
            return pin;
        }
        let tally = self.tally.lock();
        let name = tally.name.as_deref().unwrap_or_default().as_bytes();
        match pin.get(name.len()) {
            Some(b':') if pin[..name.len()].eq_ignore_ascii_case(name) => &pin[name.len() + 1..],
            _ => pin,
        }
    }

    /// C_Logout.
    pub fn logout(&self) -> Result<()> {
        let _one = self.logging.lock();
        let mut tally = self.tally.lock();
        if tally.login.is_none() {
            return Err(Rv::USER_NOT_LOGGED_IN.into());
        }
        tally.login = None;
        tally.name = None;
        drop(tally);
        self.forget_keys();
        self.ask(&Request::Logout)?;
        self.forget_private()
    }

    /// Handles of private objects do not survive a logout, not even until the next login.
    fn forget_private(&self) -> Result<()> {
        let template = Vec::new();
        let Reply::Objects(public) = self.ask(&Request::Find { template })? else {
            return Ok(());
        };
        let public: HashSet<ObjectId> = public.into_iter().collect();
        let mut objects = self.objects.write();
        objects.by_handle.retain(|_, id| public.contains(id));
        objects.by_id.retain(|id, _| public.contains(id));
        Ok(())
    }

    /// What sessions remember about keys holds as long as this number stays.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Something happened after which keys must be resolved again.
    pub fn forget_keys(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// The object behind a handle.
    pub fn object(&self, handle: u64) -> Option<ObjectId> {
        self.objects.read().by_handle.get(&handle).copied()
    }

    /// The handle of an object, a new one for a new acquaintance.
    pub fn handle(&self, id: ObjectId) -> u64 {
        self.objects.write().handle(id)
    }

    /// The handles of many.
    pub fn handles(&self, ids: &[ObjectId]) -> Vec<u64> {
        let mut objects = self.objects.write();
        ids.iter().map(|id| objects.handle(*id)).collect()
    }

    /// The objects are no more.
    pub fn forget(&self, ids: impl IntoIterator<Item = ObjectId>) {
        let mut objects = self.objects.write();
        for id in ids {
            if let Some(handle) = objects.by_id.remove(&id) {
                objects.by_handle.remove(&handle);
            }
        }
    }
}

impl Tally {
    fn sessions(&self) -> u64 {
        self.read_only + self.read_write
    }

    fn may_login(&self, who: Login) -> Result<()> {
        match self.login {
            Some(now) if now == who => return Err(Rv::USER_ALREADY_LOGGED_IN.into()),
            Some(_) => return Err(Rv::USER_ANOTHER_ALREADY_LOGGED_IN.into()),
            None => {}
        }
        if who == Login::So && self.read_only != 0 {
            let why = "a read-only session is open, and the security officer has none";
            return Err(Error::new(Rv::SESSION_READ_ONLY_EXISTS, why));
        }
        Ok(())
    }

    /// Refuses a login whose last session was closed while the PIN was checked.
    fn lives(&self) -> Result<()> {
        if self.sessions() == 0 {
            return Err(Rv::SESSION_CLOSED.into());
        }
        Ok(())
    }

    fn count(&mut self, read_write: bool) -> &mut u64 {
        if read_write {
            &mut self.read_write
        } else {
            &mut self.read_only
        }
    }
}

impl Objects {
    fn handle(&mut self, id: ObjectId) -> u64 {
        *self.by_id.entry(id).or_insert_with(|| {
            self.last += 1;
            self.by_handle.insert(self.last, id);
            self.last
        })
    }
}

/// An HSM that answers something else than was asked. The log is told the form and not the content,
/// which may be long, or the state of a digest over a secret.
pub fn unexpected(reply: &Reply) -> Error {
    let shown = format!("{reply:?}");
    let form = shown.split(|c: char| !c.is_alphanumeric()).next();
    Error::new(
        Rv::GENERAL_ERROR,
        format!(
            "the HSM's answer has another form: {}",
            form.unwrap_or_default()
        ),
    )
}

#[cfg(test)]
mod tests;
