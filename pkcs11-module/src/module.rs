//! The module between C_Initialize and C_Finalize: a value, of which the process holds one.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex as Waiting, PoisonError};

use hsm_api::{Hello, ObjectId, Peer, Result, Rv};
use parking_lot::{Mutex, RwLock};
use rand::TryRng;
use rand::rngs::SysRng;

use crate::config::{Config, Listed};
use crate::log::Log;
use crate::session::{Session, Sessions};
use crate::token::{Slot, SlotSpec};

/// All state of the library.
pub struct Module {
    /// The call log.
    pub log: Log,
    /// Open sessions of all slots.
    pub sessions: Sessions,
    hello: Hello,
    slots: RwLock<Vec<Arc<Slot>>>,
    listing: Mutex<Listing>,
    /// Of what was complained, so that an application that asks again and again reads it once.
    complaints: Mutex<HashSet<String>>,
    /// The standard library's, which is nothing but its own memory: a fork does not wait for who waits
    /// here, and parking_lot's would share a table with all other locks.
    stopped: Waiting<bool>,
    stop: Condvar,
}

/// What the slots were last made from.
#[derive(Default)]
struct Listing {
    config: Config,
    known: Vec<Known>,
    next: u64,
}

/// A slot that the configuration lists. Its id stays with its key while it is listed.
struct Known {
    listed: Listed,
    slot: Arc<Slot>,
}

impl Module {
    /// A module of this configuration.
    ///
    /// # Errors
    /// GENERAL_ERROR where no random number can be had.
    pub fn new(config: Config, log: Log) -> Result<Module> {
        let module = Module {
            log,
            sessions: Sessions::default(),
            hello: Hello {
                application: random()?,
                peer: Peer::Client,
            },
            slots: RwLock::default(),
            listing: Mutex::new(Listing {
                config,
                ..Listing::default()
            }),
            complaints: Mutex::default(),
            stopped: Waiting::default(),
            stop: Condvar::new(),
        };
        module.relist();
        Ok(module)
    }

    /// The slots, after another look at the configuration file and the token directories: what is
    /// new gets a slot, what is no longer listed loses its own.
    pub fn refresh(&self) -> Vec<Arc<Slot>> {
        let reread = self.listing.lock().config.reread();
        if let Err(e) = reread {
            let why = format!("the configuration as it was before holds: {e}");
            self.complain(&why, &why);
        }
        self.relist();
        self.slots()
    }

    fn relist(&self) {
        // Told once nothing is locked any more: whoever reads them may be slow.
        let mut complaints = Vec::new();
        self.relist_with(&mut complaints);
        for why in complaints {
            self.complain(&why, &why);
        }
    }

    fn relist_with(&self, complaints: &mut Vec<String>) {
        let mut listing = self.listing.lock();
        let listed = listing.config.list(|e| {
            complaints.push(format!(
                "a token directory cannot be looked at, and has the tokens of before, if any: {e}"
            ));
        });
        let mut old = std::mem::take(&mut listing.known);
        for listed in listed {
            let at = old.iter().position(|k| k.listed.key == listed.key);
            let known = at.map(|at| old.swap_remove(at));
            let id = known.as_ref().map(|k| k.slot.id);
            let known = match known {
                // Changed settings wait until nobody works with the old ones.
                Some(k) if k.listed == listed || k.slot.sessions().0 != 0 => Ok(k),
                _ => listing.config.open(&listed).map(|spec| {
                    let id = id.unwrap_or(listing.next);
                    let slot = Arc::new(Slot::new(id, spec, self.hello.clone()));
                    Known { listed, slot }
                }),
            };
            match known {
                Ok(known) => {
                    listing.next = listing.next.max(known.slot.id + 1);
                    listing.known.push(known);
                }
                Err(e) => complaints.push(format!("a slot is left out: {e}")),
            }
        }
        for gone in old {
            self.sessions.close_all(Some(gone.slot.id));
        }
        *self.slots.write() = listing.known.iter().map(|k| k.slot.clone()).collect();
    }

    /// Whether the slot has a token now; where it has none, it is said why.
    pub fn has_token(&self, slot: &Slot) -> bool {
        match slot.answers() {
            Ok(()) => {
                self.complaints.lock().remove(&slot.spec.key);
                true
            }
            Err(e) => {
                let why = format!("slot {} has no token: {e}", slot.id);
                self.complain(&slot.spec.key, &why);
                false
            }
        }
    }

    /// Says what leaves an application without a slot or a token, of which no return code tells: each time in the log; without
    /// one, on standard error the first time for each `subject`.
    fn complain(&self, subject: &str, why: &str) {
        self.log.line(why);
        if !self.complaints.lock().contains(subject) && self.log.complain(why) {
            self.complaints.lock().insert(subject.to_owned());
        }
    }

    /// A module with these slots, for tests of what lies above the configuration.
    pub fn with_slots(specs: Vec<SlotSpec>) -> Result<Module> {
        let module = Module::new(Config::empty(), Log::Off)?;
        let slots = specs.into_iter().enumerate();
        *module.slots.write() = slots
            .map(|(id, spec)| Arc::new(Slot::new(id as u64, spec, module.hello.clone())))
            .collect();
        Ok(module)
    }

    /// The slots as last listed.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().clone()
    }

    /// One slot.
    pub fn slot(&self, id: u64) -> Result<Arc<Slot>> {
        let slots = self.slots.read();
        let found = slots.iter().find(|s| s.id == id).cloned();
        found.ok_or_else(|| Rv::SLOT_ID_INVALID.into())
    }

    /// One session.
    pub fn session(&self, handle: u64) -> Result<Arc<Session>> {
        self.sessions.session(handle)
    }

    /// Waits until C_Finalize: no slot of ours has events of its own.
    pub fn wait_for_stop(&self) {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stop.wait_while(stopped, |stopped| !*stopped);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether C_Finalize was called.
    pub fn is_shut(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// C_Finalize: no session is left, and whoever waits is woken.
    pub fn shut(&self) {
        self.sessions.close_all(None);
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.notify_all();
    }
}

/// 128 random bits of the operating system.
fn random() -> Result<u128> {
    let mut bytes = [0u8; 16];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|e| hsm_api::Error::new(Rv::GENERAL_ERROR, format!("no random numbers: {e}")))?;
    Ok(u128::from_ne_bytes(bytes))
}

/// A name for a new object, chosen before the HSM is asked to make it.
pub fn new_id() -> Result<ObjectId> {
    random().map(ObjectId)
}
