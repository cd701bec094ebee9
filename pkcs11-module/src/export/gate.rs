//! The one static: which module the process has.
//!
//! A fork leaves the child with the parent's memory, the parent's TLS connections in it, and with
//! locks that threads which are no more may hold. So the child must neither lock what the parent
//! locked nor drop what the parent opened: the gate carries its process's number, and a child that
//! finds another number walks past the whole gate and, at C_Initialize, builds its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use hsm_api::{Result, Rv};
use parking_lot::RwLock;

use crate::module::Module;

static GATE: AtomicPtr<Gate> = AtomicPtr::new(std::ptr::null_mut());

/// The module of one process. Never freed: at most one for each generation of forks.
struct Gate {
    process: u32,
    module: RwLock<Option<Arc<Module>>>,
}

/// The gate behind the pointer, if it is this process's own.
fn own(at: *const Gate) -> Option<&'static Gate> {
    // SAFETY: null or a leaked Gate, which nobody frees or writes to but through its lock.
    let gate = unsafe { at.as_ref() };
    gate.filter(|g| g.process == std::process::id())
}

/// This process's gate, built if it has none.
fn build() -> &'static Gate {
    loop {
        let old = GATE.load(Ordering::Acquire);
        if let Some(gate) = own(old) {
            return gate;
        }
        let new = Box::into_raw(Box::new(Gate {
            process: std::process::id(),
            module: RwLock::new(None),
        }));
        if GATE
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            // SAFETY: another thread was first, so this one was never shown to anybody.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

/// The module, between C_Initialize and C_Finalize.
pub fn current() -> Option<Arc<Module>> {
    own(GATE.load(Ordering::Acquire))?.module.read().clone()
}

/// C_Initialize: nobody else gets in while `make` works.
pub fn enter(make: impl FnOnce() -> Result<Module>) -> Result<()> {
    let mut module = build().module.write();
    if module.is_some() {
        return Err(Rv::CRYPTOKI_ALREADY_INITIALIZED.into());
    }
    *module = Some(Arc::new(make()?));
    Ok(())
}

/// C_Finalize: takes the module out. Calls that are under way keep it until they return.
pub fn leave() -> Result<Arc<Module>> {
    let gate = own(GATE.load(Ordering::Acquire)).ok_or(Rv::CRYPTOKI_NOT_INITIALIZED)?;
    let module = gate.module.write().take();
    module.ok_or_else(|| Rv::CRYPTOKI_NOT_INITIALIZED.into())
}
