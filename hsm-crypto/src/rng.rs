//! Random bytes for keys, IVs and salts.

use crate::{Result, backend::rng as imp};

/// Fills `out` from a cryptographically strong source seeded by the operating system.
///
/// # Errors
/// `Internal` if the system has no randomness to give.
pub fn fill(out: &mut [u8]) -> Result<()> {
    imp::fill(out)
}
