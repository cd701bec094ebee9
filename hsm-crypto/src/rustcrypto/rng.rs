//! The operating system's generator.

use crate::{Error, Result};
use getrandom::{SysRng, rand_core::UnwrapErr};

pub fn fill(out: &mut [u8]) -> Result<()> {
    getrandom::fill(out).map_err(|_| Error::Internal)
}

/// The same as a value, for the crates that want one. A system without randomness panics there; at C_* it becomes an error.
pub fn source() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
