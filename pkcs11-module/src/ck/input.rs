//! Bytes that the caller lends for the time of one call.

use std::ops::{Deref, Range};

use hsm_api::{Error, Hidden, Result, Rv};
use pkcs11_sys::CK_ULONG;
use zeroize::Zeroizing;

use super::null;

/// No process has more address space than this; a longer length is a lie.
const MAX: CK_ULONG = 1 << 47;
/// Longer than any PIN, password and user name together.
const MAX_PIN: CK_ULONG = 4096;

/// Input bytes: the caller's own, or a copy where its output buffer lies over them.
pub enum In<'a> {
    /// The caller's memory.
    Lent(&'a [u8]),
    /// A copy, wiped when dropped.
    Own(Zeroizing<Vec<u8>>),
}

impl In<'_> {
    /// # Safety
    /// `at` is null or may be read for `len` bytes until the call returns, and nobody writes there
    /// meanwhile but [`super::Out::over`]'s owner, which copies first.
    pub unsafe fn new(at: *const u8, len: CK_ULONG) -> Result<Self> {
        if len == 0 {
            return Ok(In::Lent(&[]));
        }
        if at.is_null() {
            return Err(null("an input pointer is null and its length is not 0"));
        }
        let end = (at as u64).checked_add(len);
        if len > MAX || end.is_none() {
            return Err(null("an input length is greater than any memory"));
        }
        // SAFETY: not null, not longer than the address space, readable by this function's contract.
        Ok(In::Lent(unsafe {
            std::slice::from_raw_parts(at, len as usize)
        }))
    }

    /// As [`In::new`], for a PIN: never null, never long.
    ///
    /// # Safety
    /// As for [`In::new`].
    pub unsafe fn pin(at: *const u8, len: CK_ULONG) -> Result<Self> {
        if at.is_null() {
            return Err(null(
                "the PIN is null, and there is no other way to enter it",
            ));
        }
        if len > MAX_PIN {
            return Err(Error::new(
                Rv::PIN_LEN_RANGE,
                "the PIN is longer than any PIN",
            ));
        }
        // SAFETY: this function's contract.
        unsafe { In::new(at, len) }
    }

    /// As [`In::new`], for a fixed number of bytes that must be there (C_InitToken's label).
    ///
    /// # Safety
    /// `at` is null or may be read for `len` bytes until the call returns.
    pub unsafe fn fixed(at: *const u8, len: usize) -> Result<Self> {
        if at.is_null() {
            return Err(null("an input pointer is null"));
        }
        // SAFETY: this function's contract.
        unsafe { In::new(at, super::ulong(len)) }
    }

    /// The same bytes for a request.
    pub fn hidden(&self) -> Hidden<'_> {
        Hidden(self)
    }

    /// Copies the bytes if they touch this range of addresses, so that the range may be written.
    pub(super) fn part_from(&mut self, range: &Range<usize>) {
        if let In::Lent(bytes) = self {
            let own = bytes.as_ptr() as usize..bytes.as_ptr() as usize + bytes.len();
            if own.start < range.end && range.start < own.end {
                *self = In::Own(Zeroizing::new(bytes.to_vec()));
            }
        }
    }
}

impl Deref for In<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            In::Lent(bytes) => bytes,
            In::Own(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rv(at: *const u8, len: CK_ULONG) -> Option<Rv> {
        // SAFETY: every pointer below is null or leads to as many bytes as are read.
        unsafe { In::new(at, len) }.err().map(|e| e.rv)
    }

    #[test]
    fn lengths_that_lie() {
        let bytes = [1u8, 2, 3];
        assert_eq!(rv(bytes.as_ptr(), 3), None);
        assert_eq!(rv(std::ptr::null(), 0), None);
        assert_eq!(rv(std::ptr::null(), 1), Some(Rv::ARGUMENTS_BAD));
        assert_eq!(rv(bytes.as_ptr(), CK_ULONG::MAX), Some(Rv::ARGUMENTS_BAD));
        assert_eq!(rv(bytes.as_ptr(), 1 << 62), Some(Rv::ARGUMENTS_BAD));
        // SAFETY: refused before anything is read.
        let pin = unsafe { In::pin(bytes.as_ptr(), 1 << 20) };
        assert_eq!(pin.err().map(|e| e.rv), Some(Rv::PIN_LEN_RANGE));
    }
}
