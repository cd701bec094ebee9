//! A C string behind a pointer that may be none.
//!
//! C_Initialize's pReserved is null in the specification (5.4); a string there is our extension, and NSS's. Who leaves anything else
//! in it must get CKR_ARGUMENTS_BAD, not a signal.

use std::io::{ErrorKind, Read, pipe};
use std::os::fd::AsRawFd;

/// No page is smaller, so no string's part up to the next multiple lies on two.
const PAGE: usize = 4096;

/// The bytes of the string at `at`, if there is one of at most `most` bytes.
///
/// The kernel reads it: where nothing is mapped, write(2) answers EFAULT.
pub(super) fn string(at: *const u8, most: usize) -> Option<Vec<u8>> {
    let (mut back, into) = pipe().ok()?;
    let (mut bytes, mut part) = (Vec::new(), [0; PAGE]);
    while bytes.len() < most {
        let from = at.wrapping_add(bytes.len());
        let len = (PAGE - from.addr() % PAGE).min(most - bytes.len());
        // SAFETY: write(2) itself refuses addresses that cannot be read. The pipe is empty, so a page never waits for room.
        let written = unsafe { libc::write(into.as_raw_fd(), from.cast(), len) };
        let Ok(written @ 1..) = usize::try_from(written) else {
            if std::io::Error::last_os_error().kind() == ErrorKind::Interrupted {
                continue;
            }
            return None;
        };
        let part = &mut part[..written];
        back.read_exact(part).ok()?;
        if let Some(end) = part.iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&part[..end]);
            return Some(bytes);
        }
        bytes.extend_from_slice(part);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::without_provenance;

    #[test]
    fn strings_and_what_is_none() {
        assert_eq!(
            string(c"a=b".as_ptr().cast(), 4096).as_deref(),
            Some(&b"a=b"[..])
        );
        for nowhere in [1, 0xDEAD_BEEF, usize::MAX, usize::MAX - PAGE] {
            assert_eq!(
                string(without_provenance(nowhere), 4096),
                None,
                "{nowhere:#x}"
            );
        }
        // Across pages, up to the limit and beyond.
        let mut long = vec![b'x'; 3 * PAGE];
        long[5000] = 0;
        assert_eq!(string(long.as_ptr(), 8000).map(|s| s.len()), Some(5000));
        assert_eq!(string(long.as_ptr(), 5000), None);
    }
}
