//! AES-XTS (IEEE 1619, NIST SP 800-38E), with ciphertext stealing.

use crate::aes::{BLOCK, xor};
use crate::rustcrypto::modes::BATCH;
use crate::{AesKey, Error, Result};
use std::fmt;
use subtle::ConstantTimeEq;

/// The longest data unit: 2^20 blocks.
const MAX_DATA: usize = (1 << 20) * BLOCK;

/// Both halves of an XTS key, expanded. Shareable.
pub struct XtsKey {
    data: AesKey,
    tweak: AesKey,
}

impl XtsKey {
    /// A key of 32 or 64 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length, and for two equal halves (SP 800-38E's reference, IEEE 1619, 5.1; FIPS 140 IG C.I).
    pub fn new(key: &[u8]) -> Result<Self> {
        if !matches!(key.len(), 32 | 64) {
            return Err(Error::BadKey);
        }
        let (data, tweak) = key.split_at(key.len() / 2);
        if data.ct_eq(tweak).into() {
            return Err(Error::BadKey);
        }
        Ok(XtsKey {
            data: AesKey::new(data)?,
            tweak: AesKey::new(tweak)?,
        })
    }

    /// Encrypts one data unit, at least a block, into `out` and returns its length, which is the same.
    ///
    /// # Errors
    /// `BadLength` for less than a block or if `out` is too short, `TooLarge` above 2^20 blocks.
    pub fn encrypt(&self, unit: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.apply(true, unit, data, out)
    }

    /// Decrypts one data unit.
    ///
    /// # Errors
    /// As [`XtsKey::encrypt`].
    pub fn decrypt(&self, unit: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.apply(false, unit, data, out)
    }

    fn apply(
        &self,
        encrypt: bool,
        unit: &[u8; BLOCK],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize> {
        if data.len() < BLOCK {
            return Err(Error::BadLength);
        }
        if data.len() > MAX_DATA {
            return Err(Error::TooLarge);
        }
        let out = out.get_mut(..data.len()).ok_or(Error::BadLength)?;
        out.copy_from_slice(data);
        let mut tweak = *unit;
        self.tweak.encrypt_block(&mut tweak);
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        let (last, head) = blocks.split_last_mut().ok_or(Error::BadLength)?;
        let mut tweaks = [[0; BLOCK]; BATCH];
        for blocks in head.chunks_mut(BATCH) {
            let tweaks = &mut tweaks[..blocks.len()];
            for place in &mut *tweaks {
                *place = tweak;
                tweak = double(tweak);
            }
            self.blocks(encrypt, tweaks, blocks);
        }
        // Decryption takes the tweaks of the last two in the other order.
        let next = double(tweak);
        let (first, second) = if encrypt {
            (&tweak, &next)
        } else {
            (&next, &tweak)
        };
        if rest.is_empty() {
            self.block(encrypt, &tweak, last);
            return Ok(data.len());
        }
        self.block(encrypt, first, last);
        rest.swap_with_slice(&mut last[..rest.len()]);
        self.block(encrypt, second, last);
        Ok(data.len())
    }

    fn block(&self, encrypt: bool, tweak: &[u8; BLOCK], block: &mut [u8; BLOCK]) {
        self.blocks(
            encrypt,
            std::slice::from_ref(tweak),
            std::slice::from_mut(block),
        );
    }

    fn blocks(&self, encrypt: bool, tweaks: &[[u8; BLOCK]], blocks: &mut [[u8; BLOCK]]) {
        xor(blocks.as_flattened_mut(), tweaks.as_flattened());
        if encrypt {
            self.data.encrypt_blocks(blocks);
        } else {
            self.data.decrypt_blocks(blocks);
        }
        xor(blocks.as_flattened_mut(), tweaks.as_flattened());
    }
}

impl fmt::Debug for XtsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XtsKey")
    }
}

/// Multiplication by x in GF(2^128), least significant byte first; constant time.
fn double(block: [u8; BLOCK]) -> [u8; BLOCK] {
    let value = u128::from_le_bytes(block);
    (value << 1 ^ (0x87 & (value >> 127).wrapping_neg())).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ieee_1619_vectors_2_and_15() {
        let key = XtsKey::new(&[[0x11; 16], [0x22; 16]].concat()).unwrap();
        let mut unit = [0; 16];
        unit[..5].fill(0x33);
        let mut out = [0; 32];
        assert_eq!(key.encrypt(&unit, &[0x44; 32], &mut out), Ok(32));
        assert_eq!(
            hex::encode(out),
            "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0"
        );
        let key: Vec<u8> = (0xf0..=0xffu8).rev().chain((0xb0..=0xbf).rev()).collect();
        let key = XtsKey::new(&key).unwrap();
        let mut unit = [0; 16];
        unit[..5].copy_from_slice(&[0x9a, 0x78, 0x56, 0x34, 0x12]);
        let data: Vec<u8> = (0..17).collect();
        let mut out = [0; 17];
        assert_eq!(key.encrypt(&unit, &data, &mut out), Ok(17));
        assert_eq!(hex::encode(out), "6c1625db4671522d3d7599601de7ca09ed");
        let mut back = [0; 17];
        assert_eq!(key.decrypt(&unit, &out, &mut back), Ok(17));
        assert_eq!(back[..], data);
    }

    #[test]
    fn every_length_comes_back_and_bad_keys_are_refused() {
        let key: Vec<u8> = (0..64).collect();
        let key = XtsKey::new(&key).unwrap();
        let data: Vec<u8> = (0..70).collect();
        for len in 16..=70 {
            let (mut out, mut back) = (vec![0; len], vec![0; len]);
            key.encrypt(&[3; 16], &data[..len], &mut out).unwrap();
            key.decrypt(&[3; 16], &out, &mut back).unwrap();
            assert_eq!(back, data[..len], "{len}");
        }
        assert_eq!(
            key.encrypt(&[3; 16], &data[..15], &mut [0; 15]),
            Err(Error::BadLength)
        );
        assert!(XtsKey::new(&[1; 48]).is_err() && XtsKey::new(&[1; 32]).is_err());
    }
}
