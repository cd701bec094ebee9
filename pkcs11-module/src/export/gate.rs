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
//!
//! Other libraries have fork handlers too, which run before or after these and may call the library,
//! or wait for a lock whose holder waits here. Neither may hang: the thread that forks passes every
//! bar, and nobody waits long for a fork that others hold up.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hsm_api::{Error, Result, Rv};

use super::process;
use super::shards::{Hold, Shard, Shards};
use crate::module::Module;

static GATE: AtomicPtr<Gate> = AtomicPtr::new(std::ptr::null_mut());

/// How long a fork waits for the calls of other threads. Nearly all take less than a thousandth of it;
/// what may take longer is the making of a long RSA key.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long calls wait for a fork that nothing of ours holds up. A fork takes milliseconds, so by then
/// another library's handler waits for a lock, which a caller may hold: from then on all calls go in, for he
/// may have many to make before he gives the lock back.
const FORK_TIME: Duration = Duration::from_secs(1);

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
    /// Forks under way for which nobody of ours has to wait any more: it is others' turn.
    prepared: AtomicUsize,
    /// When the last of them became so, in milliseconds of the gate's life.
    prepared_at: AtomicU64,
    born: Instant,
    /// Calls that went in under such a fork. Whoever is a child of it may find their locks held.
    forced: AtomicUsize,
}

thread_local! {
    /// How deep this thread itself is inside; a signal handler may fork in the midst of a call.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread went in by force.
    static FORCED: Cell<bool> = const { Cell::new(false) };
    /// Forks of this thread between their handlers: other libraries' handlers run meanwhile, and one of
    /// them may fork.
    static FORKS: Cell<usize> = const { Cell::new(0) };
    /// What the handler before this thread's fork found, for the child.
    static QUIET: Cell<bool> = const { Cell::new(true) };
}

/// The gate behind the pointer, if it is this process's own.
fn own(at: *const Gate) -> Option<&'static Gate> {
    // SAFETY: null or a leaked Gate, which nobody frees or writes to but through its lock.
    let gate = unsafe { at.as_ref() };
    gate.filter(|g| g.process == process::id())
}

/// Whether this process, or one that it came from, was forked in the midst of the work of others. Told
/// without asking for the process's number: children by `vfork` and `clone` are what their parents are.
pub fn is_torn() -> bool {
    // SAFETY: as in `own`.
    unsafe { GATE.load(Ordering::Acquire).as_ref() }.is_some_and(|gate| gate.torn)
}

/// This process's gate, built if it has none.
fn build() -> &'static Gate {
    loop {
        let old = GATE.load(Ordering::Acquire);
        if let Some(gate) = own(old) {
            return gate;
        }
        // SAFETY: as in `own`.
        let new = match unsafe { old.as_ref() } {
            Some(parents) => Gate::of_child(parents),
            None => Gate::new(false),
        };
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
    // A fork within the handlers of another finds no more than what that one found is true of both.
    let outer = FORKS.get() == 0 || QUIET.get();
    QUIET.set(quiet && outer);
    FORKS.set(FORKS.get() + 1);
    // Callers wait for the fork that has been held up longest.
    if gate.prepared.load(Ordering::SeqCst) == 0 {
        gate.prepared_at.store(gate.age(), Ordering::SeqCst);
    }
    gate.prepared.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn after_in_parent() {
    // None before it: the gate was not there yet, or this is a child made by another library's handler
    // in the midst of its parent's fork, whose gate is a new one.
    let Some(before) = FORKS.get().checked_sub(1) else {
        return;
    };
    FORKS.set(before);
    if before == 0 {
        QUIET.set(true);
    }
    if let Some(gate) = own(GATE.load(Ordering::Acquire)) {
        gate.prepared.fetch_sub(1, Ordering::SeqCst);
        gate.closed.fetch_sub(1, Ordering::SeqCst);
        gate.forking.fetch_sub(1, Ordering::SeqCst);
    }
}

extern "C" fn after_in_child() {
    let at = GATE.load(Ordering::Acquire);
    // Another library's handler in the child may have come first and have built the gate by C_Initialize.
    if FORKS.get() == 0 && own(at).is_some() {
        return;
    }
    // SAFETY: as in `own`.
    if let Some(parents) = unsafe { at.as_ref() } {
        GATE.store(Gate::of_child(parents), Ordering::Release);
    }
}

impl Gate {
    fn new(torn: bool) -> *mut Gate {
        Box::into_raw(Box::new(Gate {
            process: process::mark(),
            torn,
            shards: Shards::default(),
            forking: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            prepared: AtomicUsize::new(0),
            prepared_at: AtomicU64::new(0),
            born: Instant::now(),
            forced: AtomicUsize::new(0),
        }))
    }

    /// The first thread of a child looks at the memory of its parent at the fork.
    fn of_child(parents: &Gate) -> *mut Gate {
        let forced = FORKS.replace(0) != 0 && parents.forced.load(Ordering::SeqCst) != 0;
        let torn = parents.torn || forced || !QUIET.replace(true);
        DEPTH.set(0);
        FORCED.set(false);
        Gate::new(torn)
    }

    /// Goes in, as soon as the bar is up.
    fn go_in(&'static self, bar: &AtomicUsize) -> Inside {
        let depth = DEPTH.get();
        let shard = self.shards.mine();
        // Before the count: a signal handler that forks in between must not wait for its own thread.
        DEPTH.set(depth + 1);
        shard.go_in();
        // A thread that is inside already must not wait for a fork that waits for it; nor the one that forks,
        // whom another library's handler led here, for itself. But another thread may fork at the same time, and its
        // child would not know of this call.
        if depth == 0 && FORKS.get() != 0 {
            self.force();
        } else if depth == 0 && bar.load(Ordering::SeqCst) != 0 {
            self.wait(bar, shard);
        }
        Inside { gate: self, shard }
    }

    /// This thread goes in past a bar.
    fn force(&self) {
        FORCED.set(true);
        self.forced.fetch_add(1, Ordering::SeqCst);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a fork is prepared for so long that others must be holding it up.
    fn is_held_up(&self) -> bool {
        let limit = FORK_TIME.as_millis() as u64;
        self.prepared.load(Ordering::SeqCst) != 0
            && self.age()
                > self
                    .prepared_at
                    .load(Ordering::SeqCst)
                    .saturating_add(limit)
    }

    /// Steps back out until the bar is up, or the fork is held up by others.
    fn wait(&self, bar: &AtomicUsize, shard: &Shard) {
        while bar.load(Ordering::SeqCst) != 0 {
            if self.is_held_up() {
                self.force();
                return;
            }
            shard.go_out();
            while bar.load(Ordering::SeqCst) != 0 && !self.is_held_up() {
                std::thread::sleep(Duration::from_micros(50));
            }
            shard.go_in();
        }
    }
}

/// A call at work.
pub struct Inside {
    gate: &'static Gate,
    shard: &'static Shard,
}

impl Drop for Inside {
    fn drop(&mut self) {
        // In a child that was forked in the midst of this call the count was never raised.
        if let Some(depth) = DEPTH.get().checked_sub(1) {
            self.shard.go_out();
            if depth == 0 && FORCED.replace(false) {
                self.gate.forced.fetch_sub(1, Ordering::SeqCst);
            }
            DEPTH.set(depth);
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
    let module = inside.shard.module()?;
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
        drop(Inside {
            gate,
            shard: gate.shards.mine(),
        });
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
