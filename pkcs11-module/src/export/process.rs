//! Which process this is, without asking the kernel: each call wants to know whether it runs in a child of the process
//! that opened the module, and `getpid` was a quarter of the time that a short call took.
//!
//! The number lies in a page of its own that the kernel empties in a child (MADV_WIPEONFORK, Linux 4.14), also in one that
//! came out of a bare `clone` and ran no fork handler. Where there is no such page, the kernel is asked each time. (A
//! child of `vfork` shares its parent's memory and so this number, but may do nothing but exec or exit.)

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The page, once it is there; it stays for the life of the process and of its children.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

fn page() -> Option<&'static AtomicU32> {
    // SAFETY: null or a mapping that nobody unmaps, aligned and zeroed by the kernel, used as this atomic only.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// This process's number, or 0 in a child that [`mark`] has not been called in.
pub fn id() -> u32 {
    match page() {
        Some(number) => number.load(Ordering::Relaxed),
        None => std::process::id(),
    }
}

/// Makes the process known to [`id`], and returns its number.
pub fn mark() -> u32 {
    let id = std::process::id();
    if page().is_none() {
        map();
    }
    if let Some(number) = page() {
        number.store(id, Ordering::Relaxed);
    }
    id
}

#[cfg(target_os = "linux")]
fn map() {
    // The advice is for whole pages; this is no less than one of any size that Linux has.
    const LEN: usize = 64 << 10;
    // SAFETY: a new mapping at a place of the kernel's choice, and advice for just that.
    let at = unsafe {
        let at = libc::mmap(
            std::ptr::null_mut(),
            LEN,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if at == libc::MAP_FAILED {
            return;
        }
        if libc::madvise(at, LEN, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(at, LEN);
            return;
        }
        at
    };
    let first = PAGE.compare_exchange(
        std::ptr::null_mut(),
        at.cast(),
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    if first.is_err() {
        // SAFETY: another thread was faster, and nobody has seen this one.
        unsafe { libc::munmap(at, LEN) };
    }
}

#[cfg(not(target_os = "linux"))]
fn map() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_without_handlers_is_another_process() {
        assert_eq!(mark(), std::process::id());
        assert_eq!(id(), std::process::id());
        #[cfg(target_os = "linux")]
        {
            assert!(page().is_some());
            // SAFETY: the child runs nothing but a load and `_exit`; the raw call passes no fork handler.
            let status = unsafe {
                let child =
                    libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t;
                if child == 0 {
                    libc::_exit(i32::from(id() != 0));
                }
                let mut status = -1;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                status
            };
            assert_eq!(status, 0, "the child saw its parent's number");
            assert_eq!(id(), std::process::id(), "the parent keeps it");
        }
    }
}
