//! AES blocks by the hundred, and the modes over them: CBC, CTR.

use crate::aes::{BLOCK, xor};
use crate::{Error, Result};
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256, Block};
use zeroize::Zeroize;

/// Blocks worked on at once in CTR and CBC decryption: enough to keep every vector unit busy, small enough for the stack.
pub const BATCH: usize = 64;

/// A key, expanded.
pub enum Blocks {
    K128(Aes128),
    K192(Aes192),
    K256(Aes256),
}

macro_rules! each {
    ($this:expr, $cipher:ident => $do:expr) => {
        match $this {
            Blocks::K128($cipher) => $do,
            Blocks::K192($cipher) => $do,
            Blocks::K256($cipher) => $do,
        }
    };
}

impl Blocks {
    pub fn new(key: &[u8]) -> Result<Self> {
        let bad = |_| Error::BadKey;
        Ok(match key.len() {
            16 => Blocks::K128(Aes128::new_from_slice(key).map_err(bad)?),
            24 => Blocks::K192(Aes192::new_from_slice(key).map_err(bad)?),
            32 => Blocks::K256(Aes256::new_from_slice(key).map_err(bad)?),
            _ => return Err(Error::BadKey),
        })
    }

    pub fn encrypt(&self, blocks: &mut [[u8; BLOCK]]) {
        let blocks = Block::cast_slice_from_core_mut(blocks);
        each!(self, cipher => cipher.encrypt_blocks(blocks));
    }

    pub fn decrypt(&self, blocks: &mut [[u8; BLOCK]]) {
        let blocks = Block::cast_slice_from_core_mut(blocks);
        each!(self, cipher => cipher.decrypt_blocks(blocks));
    }

    /// As [`Modes::cbc_decrypt`].
    pub fn cbc_decrypt(&self, iv: &mut [u8; BLOCK], data: &[u8], out: &mut [u8]) {
        for (data, out) in data
            .chunks(BATCH * BLOCK)
            .zip(out.chunks_mut(BATCH * BLOCK))
        {
            out.copy_from_slice(data);
            self.decrypt(out.as_chunks_mut().0);
            xor(&mut out[..BLOCK], &iv[..]);
            xor(&mut out[BLOCK..], &data[..data.len() - BLOCK]);
            iv.copy_from_slice(&data[data.len() - BLOCK..]);
        }
    }

    /// As [`Modes::ctr`].
    pub fn ctr(&self, counter: &mut [u8; BLOCK], data: &[u8], out: &mut [u8]) {
        let mut value = u128::from_be_bytes(*counter);
        let mut stream = [[0u8; BLOCK]; BATCH];
        for (data, out) in data
            .chunks(BATCH * BLOCK)
            .zip(out.chunks_mut(BATCH * BLOCK))
        {
            let blocks = &mut stream[..data.len().div_ceil(BLOCK)];
            for block in &mut *blocks {
                *block = value.to_be_bytes();
                value = value.wrapping_add(1);
            }
            self.encrypt(blocks);
            out.copy_from_slice(data);
            xor(out, &blocks.as_flattened()[..data.len()]);
        }
        stream.as_flattened_mut().zeroize();
        *counter = value.to_be_bytes();
    }
}

/// Single blocks, CBC and CTR of this backend, which need no more than the blocks.
pub struct Modes;

impl Modes {
    pub fn new(_key: &[u8]) -> Result<Self> {
        Ok(Modes)
    }

    /// One block, which others wait for.
    pub fn encrypt_block(&self, blocks: &Blocks, block: &mut [u8; BLOCK]) {
        blocks.encrypt(std::slice::from_mut(block));
    }

    /// Block after block, since each needs the one before. `data` is whole blocks and `out` as long.
    pub fn cbc_encrypt(&self, blocks: &Blocks, iv: &mut [u8; BLOCK], data: &[u8], out: &mut [u8]) {
        for (data, out) in data.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BLOCK)) {
            xor(iv, data);
            blocks.encrypt(std::slice::from_mut(iv));
            out.copy_from_slice(iv);
        }
    }

    /// `data` is whole blocks and `out` as long.
    pub fn cbc_decrypt(&self, blocks: &Blocks, iv: &mut [u8; BLOCK], data: &[u8], out: &mut [u8]) {
        blocks.cbc_decrypt(iv, data, out);
    }

    /// All 128 bits count; `counter` is left at the block that follows. `out` is as long as `data`.
    pub fn ctr(&self, blocks: &Blocks, counter: &mut [u8; BLOCK], data: &[u8], out: &mut [u8]) {
        blocks.ctr(counter, data, out);
    }
}
