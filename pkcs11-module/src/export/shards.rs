//! The module and the calls inside, in so many parts that threads do not meet: each thread keeps to one of them, and a
//! line of memory that two processors write to in turns costs more than a short call's bookkeeping.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hsm_api::{Result, Rv};
use parking_lot::{RwLock, RwLockWriteGuard};

use crate::module::Module;

/// A power of two above the usual number of threads at work at once; with more of them, some share a part.
const SHARDS: usize = 64;

/// All parts.
pub struct Shards([Shard; SHARDS]);

/// One part, alone in its lines of memory (processors fetch them in pairs).
#[derive(Default)]
#[repr(align(128))]
pub struct Shard {
    /// Counted for each part by itself: a count that all calls raise and lower would be such a line.
    module: RwLock<Option<Arc<Hold>>>,
    inside: AtomicUsize,
}

/// A part's own share in the module.
pub struct Hold(Arc<Module>);

impl Deref for Hold {
    type Target = Module;
    fn deref(&self) -> &Module {
        &self.0
    }
}

thread_local! {
    /// This thread's part, once it has one.
    static MINE: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Default for Shards {
    fn default() -> Self {
        Shards(std::array::from_fn(|_| Shard::default()))
    }
}

impl Shards {
    /// This thread's part: always the same one, since who goes in must go out there.
    pub fn mine(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let at = MINE.get().unwrap_or_else(|| {
            let at = NEXT.fetch_add(1, Ordering::Relaxed);
            MINE.set(Some(at));
            at
        });
        &self.0[at % SHARDS]
    }

    /// How many calls are inside. A sum over parts that change meanwhile; but when a bar was put up before, whoever comes
    /// in after his part was read finds the bar and goes out again.
    pub fn inside(&self) -> usize {
        let counts = self.0.iter().map(|s| s.inside.load(Ordering::SeqCst));
        counts.sum()
    }

    /// All parts locked, always in the same order.
    fn all(&self) -> Vec<RwLockWriteGuard<'_, Option<Arc<Hold>>>> {
        self.0.iter().map(|s| s.module.write()).collect()
    }

    /// Puts the module there that `make` makes; meanwhile no call gets one.
    ///
    /// # Errors
    /// CRYPTOKI_ALREADY_INITIALIZED where one is there, and what `make` fails with.
    pub fn put(&self, make: impl FnOnce() -> Result<Arc<Module>>) -> Result<()> {
        let mut all = self.all();
        if all.iter().any(|place| place.is_some()) {
            return Err(Rv::CRYPTOKI_ALREADY_INITIALIZED.into());
        }
        let module = make()?;
        for place in &mut all {
            **place = Some(Arc::new(Hold(module.clone())));
        }
        Ok(())
    }

    /// Takes the module out.
    pub fn take(&self) -> Option<Arc<Module>> {
        let mut all = self.all();
        let taken = all.iter_mut().filter_map(|place| place.take()).last();
        taken.map(|hold| hold.0.clone())
    }
}

impl Shard {
    /// The module, if there is one.
    pub fn module(&self) -> Option<Arc<Hold>> {
        self.module.read().clone()
    }

    /// A call begins.
    pub fn go_in(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
    }

    /// A call ends.
    pub fn go_out(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}
