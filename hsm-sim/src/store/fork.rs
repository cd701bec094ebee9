//! SQLite after a fork. It keeps, for the whole process, a list of the files that it has open and of
//! the locks that it holds on them, and knows a file by device and inode. A forked child inherits the
//! list, but not the locks: these are its parent's. A connection of the child to the same file would
//! take the parent's entry and lock nothing; when the parent then closes the store, the write-ahead
//! log goes, and with it what the child commits afterwards.
//!
//! So in a forked child files get other device numbers, as far as SQLite sees: it finds none of them
//! in its list and takes locks of its own. What the parent had open stays open and is never used.
#![allow(unsafe_code)]

use std::os::raw::{c_char, c_int};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::ffi;

/// The process that last opened a store; 0 before the first.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// Forks between the process that opened the first store and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Device numbers use the low bits; the high ones tell the generations of processes apart.
fn shift(stat: &mut libc::stat) {
    stat.st_dev ^= FORKS.load(Ordering::Relaxed) << 40;
}

unsafe extern "C" fn fstat(file: c_int, to: *mut libc::stat) -> c_int {
    // SAFETY: SQLite passes an open file and a structure of its own.
    unsafe {
        let rc = libc::fstat(file, to);
        if rc == 0 {
            shift(&mut *to);
        }
        rc
    }
}

unsafe extern "C" fn stat(path: *const c_char, to: *mut libc::stat) -> c_int {
    // SAFETY: SQLite passes a C string and a structure of its own.
    unsafe {
        let rc = libc::stat(path, to);
        if rc == 0 {
            shift(&mut *to);
        }
        rc
    }
}

/// To be called before a file is opened: notices that this process is a child of the one before.
pub fn notice() {
    static ONE: Mutex<()> = Mutex::new(());
    let now = std::process::id();
    let before = PROCESS.load(Ordering::Acquire);
    if before == now {
        return;
    }
    if before == 0 {
        // Threads may get here together: no matter, they are of one process.
        PROCESS.store(now, Ordering::Release);
        return;
    }
    let _one = ONE.lock();
    if PROCESS.load(Ordering::Acquire) == now {
        return;
    }
    FORKS.fetch_add(1, Ordering::Relaxed);
    type Call = unsafe extern "C" fn();
    type Fstat = unsafe extern "C" fn(c_int, *mut libc::stat) -> c_int;
    type Stat = unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int;
    // SAFETY: the default file system is SQLite's own static one, whose calls these two replace with
    // functions of the same C signature. No connection of this process exists yet, for the parent's
    // are not used here.
    unsafe {
        let vfs = ffi::sqlite3_vfs_find(std::ptr::null());
        if let Some(set) = vfs.as_ref().and_then(|v| v.xSetSystemCall) {
            let (by_file, by_path): (Fstat, Stat) = (fstat, stat);
            let by_file = std::mem::transmute::<Fstat, Call>(by_file);
            let by_path = std::mem::transmute::<Stat, Call>(by_path);
            set(vfs, c"fstat".as_ptr(), Some(by_file));
            set(vfs, c"stat".as_ptr(), Some(by_path));
        }
    }
    PROCESS.store(now, Ordering::Release);
}
