//! AWS-LC's locks in a child that was forked in the midst of its work.
//!
//! At a process's end a destructor of AWS-LC's wipes its random generators. It takes a lock of each, for
//! writing. In a torn child (see `gate`) one of them may be held for ever by a thread that is not
//! there, so that the child would hang in `exit`. The child has one thread and does nothing with AWS-LC
//! but this: it need not wait for locks.
//!
//! So AWS-LC, and nothing outside of this library, sees a `pthread_rwlock_wrlock` that knows of torn
//! children. As in `hsm-crypto`'s `aws_lc/hooks.rs` the symbol is hidden, which takes the assembler.

use std::os::raw::c_int;

use super::gate;

unsafe extern "C" {
    /// POSIX's; the `libc` crate has it for fewer systems than there are.
    fn pthread_rwlock_timedwrlock(
        lock: *mut libc::pthread_rwlock_t,
        limit: *const libc::timespec,
    ) -> c_int;
}

unsafe extern "C" fn write_lock(lock: *mut libc::pthread_rwlock_t) -> c_int {
    if gate::is_torn() {
        // Where nobody holds it, it is taken, so that it can be given back.
        // SAFETY: the caller's lock.
        unsafe { libc::pthread_rwlock_trywrlock(lock) };
        return 0;
    }
    // The function itself under another name: one with a limit, which never comes.
    let limit = libc::timespec {
        tv_sec: libc::time_t::MAX,
        tv_nsec: 0,
    };
    loop {
        // SAFETY: the caller's lock, and a time on this stack.
        match unsafe { pthread_rwlock_timedwrlock(lock, &raw const limit) } {
            libc::ETIMEDOUT => {}
            done => return done,
        }
    }
}

std::arch::global_asm!(
    ".pushsection .text",
    ".globl pthread_rwlock_wrlock",
    ".hidden pthread_rwlock_wrlock",
    ".type pthread_rwlock_wrlock, %function",
    "pthread_rwlock_wrlock:",
    #[cfg(target_arch = "x86_64")]
    "jmp {f}",
    #[cfg(target_arch = "aarch64")]
    "b {f}",
    ".size pthread_rwlock_wrlock, . - pthread_rwlock_wrlock",
    ".popsection",
    f = sym write_lock,
);
