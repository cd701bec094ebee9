//! AWS-LC's generator: per thread, reseeded after fork.

use super::{ffi, ok};
use crate::{Error, Result};

pub fn fill(out: &mut [u8]) -> Result<()> {
    // SAFETY: pointer and length are one slice.
    ok(
        unsafe { ffi::RAND_bytes(out.as_mut_ptr(), out.len()) },
        Error::Internal,
    )
}
