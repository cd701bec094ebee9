//! The only folder that says `cryptoki::`.
//!
//! `load.rs` opens modules, `fault.rs` says what an error means, `token.rs` is a logged-in token with its session pool and key handles.
//! Here: modules (loaded once a path) and their tokens found by label.

mod fault;
#[cfg(feature = "suite")]
mod inspect;
mod load;
mod token;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cryptoki::context::Pkcs11;
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use parking_lot::Mutex;

use crate::quirks::Quirks;
use fault::fault;
pub use fault::{Fault, FaultKind, ckr};
#[cfg(feature = "suite")]
pub use inspect::SeenKey;
pub use load::{open, probe};
pub use token::{Sealed, Token};

/// What it takes to reach a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSpec {
    /// The module's file.
    pub path: PathBuf,
    /// Configuration handed to C_Initialize through `pReserved`; for our own module only.
    pub config: Option<String>,
    /// The token's label.
    pub token_label: String,
}

/// A loaded module.
#[derive(Debug)]
pub struct Module {
    ctx: Pkcs11,
    quirks: &'static Quirks,
}

/// The modules of one service, each loaded once.
#[derive(Debug, Default)]
pub struct Modules {
    loaded: Mutex<HashMap<PathBuf, Arc<Module>>>,
}

impl Modules {
    /// The module at `path`, loaded now if it was not.
    ///
    /// The configuration counts at the first load only: a module is initialised once a process.
    ///
    /// # Errors
    /// [`FaultKind::Internal`] with what is wrong with the file.
    pub fn load(&self, path: &Path, config: Option<&str>) -> Result<Arc<Module>, Fault> {
        // Held while loading on purpose: two threads must not initialise one module twice.
        let mut loaded = self.loaded.lock();
        if let Some(module) = loaded.get(path) {
            return Ok(module.clone());
        }
        let ctx = load::open(path, config).map_err(|why| Fault::new(FaultKind::Internal, why))?;
        let info = ctx
            .get_library_info()
            .map_err(|e| Fault::new(FaultKind::Internal, format!("C_GetInfo failed: {e}")))?;
        let quirks = Quirks::of(info.manufacturer_id(), info.library_description());
        let module = Arc::new(Module { ctx, quirks });
        loaded.insert(path.to_owned(), module.clone());
        Ok(module)
    }
}

impl Module {
    /// The module's row of differences.
    pub fn quirks(&self) -> &'static Quirks {
        self.quirks
    }

    /// Listed anew each time: modules add slots when clusters or tokens appear.
    fn slot(&self, label: &str) -> Result<Option<Slot>, Fault> {
        let fail = |e| fault(e, self.quirks);
        let mut found = None;
        for slot in self.ctx.get_slots_with_token().map_err(fail)? {
            // One slot that does not answer must not hide the others.
            let Ok(info) = self.ctx.get_token_info(slot) else {
                continue;
            };
            if info.token_initialized() && info.label() == label && found.replace(slot).is_some() {
                return Err(Fault::new(
                    FaultKind::KeyAmbiguous,
                    format!("two tokens of {} have the label {label}", self.quirks.name),
                ));
            }
        }
        Ok(found)
    }

    fn must_slot(&self, label: &str) -> Result<Slot, Fault> {
        self.slot(label)?.ok_or_else(|| {
            Fault::new(
                FaultKind::Unreachable,
                format!("{} has no token with the label {label}", self.quirks.name),
            )
        })
    }

    /// Makes the token with this label if there is none: on the first uninitialised token, with these PINs.
    ///
    /// # Errors
    /// [`FaultKind::Internal`] if the module has no uninitialised token left; else what the module answered.
    pub fn ensure_token(&self, label: &str, so_pin: &str, user_pin: &str) -> Result<(), Fault> {
        let fail = |e| fault(e, self.quirks);
        if let Some(slot) = self.slot(label)? {
            let info = self.ctx.get_token_info(slot).map_err(fail)?;
            // One that was made by a process which was killed before it had set the PIN.
            return match info.user_pin_initialized() {
                true => Ok(()),
                false => self.init_pin(label, so_pin, user_pin),
            };
        }
        let blank = self
            .ctx
            .get_slots_with_token()
            .map_err(fail)?
            .into_iter()
            .find(|slot| {
                self.ctx
                    .get_token_info(*slot)
                    .is_ok_and(|info| !info.token_initialized())
            })
            .ok_or_else(|| {
                Fault::new(
                    FaultKind::Internal,
                    format!(
                        "{} has no uninitialised token to make {label} of",
                        self.quirks.name
                    ),
                )
            })?;
        let so = AuthPin::from(so_pin.to_owned());
        self.ctx.init_token(blank, &so, label).map_err(fail)?;
        self.init_pin(label, so_pin, user_pin)
    }

    fn init_pin(&self, label: &str, so_pin: &str, user_pin: &str) -> Result<(), Fault> {
        let fail = |e| fault(e, self.quirks);
        let slot = self.must_slot(label)?;
        let session = self.ctx.open_rw_session(slot).map_err(fail)?;
        let so_pin = AuthPin::from(so_pin.to_owned());
        session.login(UserType::So, Some(&so_pin)).map_err(fail)?;
        let made = session
            .init_pin(&AuthPin::from(user_pin.to_owned()))
            .map_err(fail);
        session.logout().map_err(fail)?;
        made
    }
}
