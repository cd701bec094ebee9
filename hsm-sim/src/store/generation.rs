//! Eight bytes in a mapped file, by which a process knows whether another has committed: the price
//! of a look is a load, not a system call. The one unsafe file of this crate.
//!
//! The number is set to a transaction's sequence number *before* that transaction commits, under
//! SQLite's write lock. So whoever is told of a commit finds the number raised; and where a process
//! dies between the two, the number is merely too high, which the next reader finds and mends.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapMut;

const LEN: u64 = 4096;

/// The mapped number.
pub struct Generation(MmapMut);

impl Generation {
    /// Maps the file, which is made if it is not there.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        if file.metadata()?.len() < LEN {
            // Written, not just lengthened: a hole gets its block at the first write through the mapping,
            // and on a full disk that write is a signal that kills the host. The number itself is left
            // alone, for another process may have set it already.
            use std::io::{Seek, Write};
            (&file).seek(io::SeekFrom::Start(8))?;
            (&file).write_all(&[0; LEN as usize - 8])?;
            file.sync_all()?;
        }
        // SAFETY: no part of this program shortens the file, and all access to the mapping is by the
        // one atomic below, so other processes' writes are no data race.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Generation(map))
    }

    fn number(&self) -> &AtomicU64 {
        // SAFETY: the mapping is page-aligned, at least eight bytes long, lives as long as `self`, and
        // is never accessed but through this atomic.
        unsafe { &*self.0.as_ptr().cast::<AtomicU64>() }
    }

    /// The number.
    pub fn load(&self) -> u64 {
        self.number().load(Ordering::Acquire)
    }

    /// Sets it; only under the store's write lock.
    pub fn store(&self, number: u64) {
        self.number().store(number, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_share_the_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("generation");
        let (a, b) = (
            Generation::open(&path).unwrap(),
            Generation::open(&path).unwrap(),
        );
        assert_eq!(b.load(), 0);
        a.store(7);
        assert_eq!(b.load(), 7);
        drop((a, b));
        assert_eq!(Generation::open(&path).unwrap().load(), 7);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let fresh = dir.path().join("fresh");
            let _number = Generation::open(&fresh).unwrap();
            let blocks = std::fs::metadata(&fresh).unwrap().blocks();
            assert!(blocks > 0, "no hole that a full disk could not fill");
        }
    }
}
