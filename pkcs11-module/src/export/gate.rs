//! The one static: which module the process has, and how many calls are inside.
//!
//! A fork leaves the child with the parent's memory and the parent's TLS connections in it. So the
//! child must neither use nor drop what the parent opened: the gate carries its process's number, and
//! a child that finds another number walks past the whole gate and, at C_Initialize, builds its own.
//!
//! What a gate cannot renew are the locks inside AWS-LC and SQLite, which a thread that is no more in
//! the child may hold there. Hence the fork handlers (docs/adr/0006): a fork waits until no other
//! thread is at work inside. Where that takes too long, the fork goes on, and the child's C_Initialize
//! refuses at once instead of hanging some time later.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hsm_api::{Error, Result, Rv};

use super::process;
use super::shards::{Hold, Shard, Shards};
use crate::module::Module;

static GATE: AtomicPtr<Gate> = AtomicPtr::new(std::ptr::null_mut());

/// How long a fork waits for the calls of other threads. Nearly all take less than a thousandth of it;
/// what may take longer is the making of a long RSA key.
const PATIENCE: Duration = Duration::from_secs(5);

/// The module of one process. Never freed: at most one for each generation of forks.
struct Gate {
    process: u32,
    /// The process was forked while others were at work: locks may be held for ever.
    torn: bool,
    /// The module, and the calls at work, each of which may hold a lock that a child would need.
    shards: Shards,
    /// Forks that wait or are under way; no call begins meanwhile.
    forking: AtomicUsize,
    /// Forks under way. Only these keep out whoever comes back from a wait: another call inside may wait for a lock of
    /// his, and so would a fork that waits for that call.
    closed: AtomicUsize,
}

thread_local! {
    /// How deep this thread itself is inside; a signal handler may fork in the midst of a call.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// What the handler before this thread's fork found, for the handler in the child.
    static QUIET: Cell<bool> = const { Cell::new(true) };
}

/// The gate behind the pointer, if it is this process's own.
fn own(at: *const Gate) -> Option<&'static Gate> {
    // SAFETY: null or a leaked Gate, which nobody frees or writes to but through its lock.
    let gate = unsafe { at.as_ref() };
    gate.filter(|g| g.process == process::id())
}

/// This process's gate, built if it has none.
fn build() -> &'static Gate {
    loop {
        let old = GATE.load(Ordering::Acquire);
        if let Some(gate) = own(old) {
            return gate;
        }
        let new = Gate::new(false);
        match GATE.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) if old.is_null() => watch_forks(),
            Ok(_) => {}
            // SAFETY: another thread was first, so this one was never shown to anybody.
            Err(_) => drop(unsafe { Box::from_raw(new) }),
        }
    }
}

/// The handlers stay for the life of the process and of its children, as the library does (it is
/// linked so that dlclose does not unmap it).
fn watch_forks() {
    // SAFETY: three functions without arguments, callable at any fork. It fails for want of memory
    // only; then forks are as they were without handlers.
    unsafe {
        libc::pthread_atfork(
            Some(before_fork),
            Some(after_in_parent),
            Some(after_in_child),
        )
    };
    hsm_net::while_waiting(aside);
}

extern "C" fn before_fork() {
    let Some(gate) = own(GATE.load(Ordering::Acquire)) else {
        return;
    };
    gate.forking.fetch_add(1, Ordering::SeqCst);
    // A fork out of a signal handler in the midst of a call: what this thread holds, it still holds.
    let mine = DEPTH.get();
    let started = Instant::now();
    let mut pause = Duration::from_micros(20);
    let quiet = loop {
        gate.closed.fetch_add(1, Ordering::SeqCst);
        if gate.shards.inside() <= mine {
            break mine == 0;
        }
        if started.elapsed() > PATIENCE {
            break false;
        }
        gate.closed.fetch_sub(1, Ordering::SeqCst);
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    };
    QUIET.set(quiet);
}

extern "C" fn after_in_parent() {
    if let Some(gate) = own(GATE.load(Ordering::Acquire)) {
        gate.closed.fetch_sub(1, Ordering::SeqCst);
        gate.forking.fetch_sub(1, Ordering::SeqCst);
    }
}

extern "C" fn after_in_child() {
    let at = GATE.load(Ordering::Acquire);
    // SAFETY: as in `own`.
    let Some(parents) = (unsafe { at.as_ref() }) else {
        return;
    };
    let torn = parents.torn || !QUIET.get();
    DEPTH.set(0);
    GATE.store(Gate::new(torn), Ordering::Release);
}

impl Gate {
    fn new(torn: bool) -> *mut Gate {
        Box::into_raw(Box::new(Gate {
            process: process::mark(),
            torn,
            shards: Shards::default(),
            forking: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
        }))
    }

    /// Goes in, as soon as the bar is up.
    fn go_in(&'static self, bar: &AtomicUsize) -> Inside {
        let depth = DEPTH.get();
        let shard = self.shards.mine();
        shard.go_in();
        // A thread that is inside already must not wait for a fork that waits for it.
        while depth == 0 && bar.load(Ordering::SeqCst) != 0 {
            shard.go_out();
            while bar.load(Ordering::SeqCst) != 0 {
                std::thread::sleep(Duration::from_micros(50));
            }
            shard.go_in();
        }
        DEPTH.set(depth + 1);
        Inside(shard)
    }
}

/// A call at work.
pub struct Inside(&'static Shard);

impl Drop for Inside {
    fn drop(&mut self) {
        // In a child that was forked in the midst of this call the count was never raised.
        if let Some(depth) = DEPTH.get().checked_sub(1) {
            DEPTH.set(depth);
            self.0.go_out();
        }
    }
}

/// The module, between C_Initialize and C_Finalize, and the right to work in it. The module goes first.
pub struct Call {
    pub module: Arc<Hold>,
    _inside: Inside,
}

/// A call begins.
pub fn call() -> Option<Call> {
    let gate = own(GATE.load(Ordering::Acquire))?;
    let inside = gate.go_in(&gate.forking);
    let module = inside.0.module()?;
    Some(Call {
        module,
        _inside: inside,
    })
}

/// Waits for something outside of this process. `wait` takes no lock that is shared with anything but
/// what it waits for, so a fork need not wait for it.
pub fn aside(wait: &mut dyn FnMut()) {
    struct Back(&'static Gate);
    impl Drop for Back {
        fn drop(&mut self) {
            if self.0.process == process::id() {
                std::mem::forget(self.0.go_in(&self.0.closed));
            }
        }
    }
    let gate = own(GATE.load(Ordering::Acquire)).filter(|_| DEPTH.get() == 1);
    let _back = gate.map(|gate| {
        drop(Inside(gate.shards.mine()));
        Back(gate)
    });
    wait();
}

/// C_Initialize: nobody else gets in while `make` works.
pub fn enter(make: impl FnOnce() -> Result<Module>) -> Result<()> {
    let gate = build();
    if gate.torn {
        let why = "this process was forked while other threads of its parent were at work in the \
                   library, and may not use it: start another program in it";
        return Err(Error::new(Rv::FUNCTION_FAILED, why));
    }
    let _inside = gate.go_in(&gate.forking);
    gate.shards.put(|| make().map(Arc::new))
}

/// C_Finalize: takes the module out. Calls that are under way keep it until they return.
pub fn leave() -> Result<Arc<Module>> {
    let gate = own(GATE.load(Ordering::Acquire)).ok_or(Rv::CRYPTOKI_NOT_INITIALIZED)?;
    let module = gate.shards.take();
    module.ok_or_else(|| Rv::CRYPTOKI_NOT_INITIALIZED.into())
}
