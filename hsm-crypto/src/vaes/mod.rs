//! AES-GCM in one shot for processors with 256-bit AES and carry-less multiplication but without AVX-512 (AMD Zen 3, Intel's
//! hybrid cores): the libraries have no code for these and fall back to 128 bits (docs/adr/0008). Streams, and all other
//! processors, are left to the backend.
//!
//! | file | duty |
//! |---|---|
//! | `lanes` | 32 bytes to a register and back: all pointers are here |
//! | `cipher` | key schedule and counter blocks |
//! | `ghash` | the hash: powers of its key, sums that are reduced once |
//! | `bulk` | both interleaved, 16 blocks at a time |
//!
//! No branch and no address depends on a secret: AES and the products are single instructions. The functions are safe ones
//! that require the features; `unsafe` is at the call out of a [`Key`], which exists only where they were found, and in `lanes`.

mod bulk;
mod cipher;
mod ghash;
mod lanes;
#[cfg(test)]
mod tests;

use crate::{Error, Result};
use cipher::Schedule;
use ghash::Powers;
use lanes::{number, zero};
use std::arch::is_x86_feature_detected as has;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// An AES-GCM key: its schedule and the powers of the hash key, both wiped when dropped. Made in its place on the heap, so
/// that no copy is left behind by a move.
pub struct Key {
    schedule: Schedule,
    powers: Powers,
}

/// Whether this processor has what the code here is made of.
fn possible() -> bool {
    has!("vaes") && has!("vpclmulqdq") && has!("avx2") && has!("aes") && has!("pclmulqdq")
}

/// Whether the libraries have something better for it.
fn surpassed() -> bool {
    has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq")
}

impl Key {
    /// A key of 16, 24 or 32 bytes, where this is the fastest code for the processor.
    pub fn new(key: &[u8]) -> Option<Box<Key>> {
        if surpassed() { None } else { Key::forced(key) }
    }

    /// A key wherever this code can run.
    fn forced(key: &[u8]) -> Option<Box<Key>> {
        if !possible() || !matches!(key.len(), 16 | 24 | 32) {
            return None;
        }
        let mut this = Box::new(Key {
            schedule: Schedule::empty(),
            powers: Powers::empty(),
        });
        // SAFETY: `possible` has found every feature that the function requires.
        unsafe { this.expand(key) };
        Some(this)
    }

    #[target_feature(enable = "vaes,vpclmulqdq,avx2")]
    fn expand(&mut self, key: &[u8]) {
        self.schedule.expand(key);
        self.powers.fill(self.schedule.encrypt(zero()));
    }

    /// Writes the ciphertext into `out` (as long as `data`) and the whole tag into `tag`.
    pub fn seal(&self, iv: &[u8], aad: &[u8], data: &[u8], out: &mut [u8], tag: &mut [u8; 16]) {
        assert_eq!(data.len(), out.len());
        // SAFETY: a `Key` exists only where `possible` has found every feature that the function requires.
        let made = unsafe { bulk::seal(&self.schedule, &self.powers, iv, aad, data, out) };
        *tag = made.to_le_bytes();
    }

    /// Writes the plaintext into `out` (as long as `data`), or wipes `out` and refuses.
    pub fn open(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        assert_eq!(data.len(), out.len());
        // SAFETY: a `Key` exists only where `possible` has found every feature that the function requires.
        let mut mine = unsafe { bulk::open(&self.schedule, &self.powers, iv, aad, data, out) };
        let right = matches!(tag.len(), 1..=16) && {
            let mine = mine << (8 * (16 - tag.len()));
            let theirs = number(tag) << (8 * (16 - tag.len()));
            bool::from(mine.ct_eq(&theirs))
        };
        mine.zeroize();
        if right {
            return Ok(());
        }
        out.zeroize();
        Err(Error::Mismatch)
    }
}
