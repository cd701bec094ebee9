//! AES in its block modes: ECB, CBC (raw and with PKCS#7 padding), CTR; stateless functions on the key and streams over them.
//!
//! ECB goes through the `aes` crate in both builds: blocks by the hundred are fast there. Single blocks, CBC and CTR are the
//! backend's, which knows what is faster on this processor.

use crate::backend::modes::Modes;
use crate::rustcrypto::modes::Blocks;
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;
use subtle::{ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroize;

/// Bytes of a block.
pub const BLOCK: usize = 16;

/// An AES key, expanded once. Shareable.
pub struct AesKey {
    blocks: Box<Blocks>,
    modes: Modes,
    len: usize,
}

impl AesKey {
    /// A key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn new(key: &[u8]) -> Result<Self> {
        Ok(AesKey {
            blocks: Box::new(Blocks::new(key)?),
            modes: Modes::new(key)?,
            len: key.len(),
        })
    }

    /// Bytes of the key.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn encrypt_blocks(&self, blocks: &mut [[u8; BLOCK]]) {
        self.blocks.encrypt(blocks);
    }

    pub(crate) fn decrypt_blocks(&self, blocks: &mut [[u8; BLOCK]]) {
        self.blocks.decrypt(blocks);
    }

    /// Encrypts one block in place.
    pub fn encrypt_block(&self, block: &mut [u8; BLOCK]) {
        self.modes.encrypt_block(&self.blocks, block);
    }

    /// Encrypts whole blocks of `data` into `out`.
    ///
    /// # Errors
    /// `BadLength` if `data` is not whole blocks or `out` too short.
    pub fn ecb_encrypt(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        let out = whole(data, out)?;
        out.copy_from_slice(data);
        self.encrypt_blocks(out.as_chunks_mut().0);
        Ok(())
    }

    /// Decrypts whole blocks of `data` into `out`.
    ///
    /// # Errors
    /// `BadLength` if `data` is not whole blocks or `out` too short.
    pub fn ecb_decrypt(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        let out = whole(data, out)?;
        out.copy_from_slice(data);
        self.decrypt_blocks(out.as_chunks_mut().0);
        Ok(())
    }

    /// Encrypts whole blocks of `data` into `out` and leaves the IV for what follows in `iv`.
    ///
    /// # Errors
    /// `BadLength` if `data` is not whole blocks or `out` too short.
    pub fn cbc_encrypt(&self, iv: &mut [u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<()> {
        let out = whole(data, out)?;
        self.modes.cbc_encrypt(&self.blocks, iv, data, out);
        Ok(())
    }

    /// Decrypts whole blocks of `data` into `out` and leaves the IV for what follows in `iv`.
    ///
    /// # Errors
    /// `BadLength` if `data` is not whole blocks or `out` too short.
    pub fn cbc_decrypt(&self, iv: &mut [u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<()> {
        let out = whole(data, out)?;
        self.modes.cbc_decrypt(&self.blocks, iv, data, out);
        Ok(())
    }

    /// CBC with PKCS#7 padding: encrypts all of `data` into `out` and returns the length, a block more at most.
    ///
    /// # Errors
    /// `BadLength` if `out` is too short.
    pub fn cbc_pad_encrypt(&self, iv: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
        let full = data.len() - data.len() % BLOCK;
        let out = out.get_mut(..full + BLOCK).ok_or(Error::BadLength)?;
        let mut iv = *iv;
        self.cbc_encrypt(&mut iv, &data[..full], out)?;
        let mut last = pad(&data[full..]);
        self.cbc_encrypt(&mut iv, &last, &mut out[full..])?;
        last.zeroize();
        Ok(full + BLOCK)
    }

    /// CBC with PKCS#7 padding: decrypts all of `data` into `out`, which needs `data.len()` bytes, and returns the length
    /// without the padding.
    ///
    /// # Errors
    /// `BadLength` if `data` is empty or not whole blocks or `out` too short, `BadPadding` (and `out` wiped).
    pub fn cbc_pad_decrypt(&self, iv: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
        if data.is_empty() {
            return Err(Error::BadLength);
        }
        let out = whole(data, out)?;
        let mut iv = *iv;
        self.cbc_decrypt(&mut iv, data, out)?;
        let rest = data.len() - BLOCK;
        match unpad(&out[rest..]) {
            Ok(len) => {
                out[rest + len..].zeroize();
                Ok(rest + len)
            }
            Err(e) => {
                out.zeroize();
                Err(e)
            }
        }
    }

    /// Counter mode over a whole message, in either direction. The low `counter_bits` (1..=128) of the counter block count;
    /// `counter` is left at the block that follows.
    ///
    /// # Errors
    /// `BadLength` if `out` is too short or the number of bits wrong, `TooLarge` if the counter would repeat.
    pub fn ctr(
        &self,
        counter: &mut [u8; BLOCK],
        counter_bits: u32,
        data: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        let out = out.get_mut(..data.len()).ok_or(Error::BadLength)?;
        let mask = counter_mask(counter_bits)?;
        if data.len().div_ceil(BLOCK).saturating_sub(1) as u128 > mask {
            return Err(Error::TooLarge);
        }
        let value = u128::from_be_bytes(*counter);
        // Blocks until the bits that count begin again at zero, leaving the others as they are.
        let turn = (mask - (value & mask)).saturating_add(1);
        let head = usize::try_from(turn.saturating_mul(BLOCK as u128))
            .map_or(data.len(), |n| n.min(data.len()));
        let (first, second) = data.split_at(head);
        let (first_out, second_out) = out.split_at_mut(head);
        self.modes.ctr(&self.blocks, counter, first, first_out);
        if first.len().div_ceil(BLOCK) as u128 == turn {
            *counter = (value & !mask).to_be_bytes();
            self.modes.ctr(&self.blocks, counter, second, second_out);
        }
        Ok(())
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKey({} bits)", self.len * 8)
    }
}

fn whole<'a>(data: &[u8], out: &'a mut [u8]) -> Result<&'a mut [u8]> {
    if !data.len().is_multiple_of(BLOCK) {
        return Err(Error::BadLength);
    }
    out.get_mut(..data.len()).ok_or(Error::BadLength)
}

fn counter_mask(bits: u32) -> Result<u128> {
    match bits {
        128 => Ok(u128::MAX),
        1..128 => Ok((1 << bits) - 1),
        _ => Err(Error::BadLength),
    }
}

pub(crate) fn xor(out: &mut [u8], with: &[u8]) {
    debug_assert_eq!(out.len(), with.len());
    for (out, with) in out.iter_mut().zip(with) {
        *out ^= with;
    }
}

fn pad(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [(BLOCK - rest.len()) as u8; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// How many bytes of the last block are data, by PKCS#7's padding. Looks at every byte whatever the padding is, and fails in one
/// way only: a caller who can send us ciphertexts must not learn which byte was wrong.
pub(crate) fn unpad(block: &[u8]) -> Result<usize> {
    let len = u8::try_from(block.len()).map_err(|_| Error::BadLength)?;
    let pad = *block.last().ok_or(Error::BadLength)?;
    let mut good = pad.ct_lt(&(len + 1)) & !pad.ct_eq(&0);
    for (i, byte) in block.iter().enumerate() {
        let inside = (len - 1 - i as u8).ct_lt(&pad);
        let mut seen = pad;
        seen.conditional_assign(byte, inside);
        good &= seen.ct_eq(&pad);
    }
    if good.into() {
        Ok(block.len() - usize::from(pad))
    } else {
        Err(Error::BadPadding)
    }
}

/// A block mode and what it starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Mode {
    Ecb,
    Cbc {
        iv: [u8; BLOCK],
    },
    /// CBC with PKCS#7 padding.
    CbcPad {
        iv: [u8; BLOCK],
    },
    /// Counter mode; the low `counter_bits` of the block count.
    Ctr {
        counter: [u8; BLOCK],
        counter_bits: u32,
    },
}

/// A message in parts under a block mode. Its clone goes on from the same point.
#[derive(Clone)]
pub struct AesStream {
    key: Arc<AesKey>,
    mode: Mode,
    encrypt: bool,
    /// Bytes that wait for their block to be whole; when unpadding, the last block waits too. In CTR: the unused key stream.
    rest: [u8; BLOCK],
    rest_len: usize,
    /// Blocks of key stream that CTR may still make before the counter repeats.
    blocks_left: u128,
}

impl AesStream {
    /// Begins a message.
    ///
    /// # Errors
    /// `BadLength` for a wrong number of counter bits.
    pub fn new(key: Arc<AesKey>, mode: Mode, encrypt: bool) -> Result<Self> {
        let blocks_left = match mode {
            // 2^128 blocks never come.
            Mode::Ctr { counter_bits, .. } => counter_mask(counter_bits)?.saturating_add(1),
            _ => 0,
        };
        Ok(AesStream {
            key,
            mode,
            encrypt,
            rest: [0; BLOCK],
            rest_len: 0,
            blocks_left,
        })
    }

    /// How many bytes `update` will write for `len` bytes of input.
    pub fn update_len(&self, len: usize) -> usize {
        if let Mode::Ctr { .. } = self.mode {
            return len;
        }
        let all = self.rest_len + len;
        let full = all - all % BLOCK;
        // The last block may be padding: it waits until more comes.
        if self.holds_back() && full == all && full > 0 {
            full - BLOCK
        } else {
            full
        }
    }

    /// How many bytes `finish` needs at most.
    pub fn finish_len(&self) -> usize {
        if let Mode::CbcPad { .. } = self.mode {
            BLOCK
        } else {
            0
        }
    }

    fn holds_back(&self) -> bool {
        !self.encrypt && matches!(self.mode, Mode::CbcPad { .. })
    }

    /// Transforms what can be transformed and returns how many bytes it wrote, exactly `update_len(data.len())`.
    ///
    /// # Errors
    /// `BadLength` if `out` is too short (nothing is consumed), `TooLarge` if a counter would repeat.
    pub fn update(&mut self, mut data: &[u8], out: &mut [u8]) -> Result<usize> {
        let total = self.update_len(data.len());
        let mut out = out.get_mut(..total).ok_or(Error::BadLength)?;
        if let Mode::Ctr { .. } = self.mode {
            self.ctr(data, out)?;
            return Ok(total);
        }
        if self.rest_len > 0 && !out.is_empty() {
            let (head, tail) = data.split_at(BLOCK - self.rest_len);
            self.rest[self.rest_len..].copy_from_slice(head);
            let block = self.rest;
            let (first, others) = out.split_at_mut(BLOCK);
            self.blocks(&block, first)?;
            (data, out, self.rest_len) = (tail, others, 0);
        }
        let (full, tail) = data.split_at(out.len());
        self.blocks(full, out)?;
        self.rest[self.rest_len..self.rest_len + tail.len()].copy_from_slice(tail);
        self.rest_len += tail.len();
        Ok(total)
    }

    /// Ends the message and returns how many bytes it wrote.
    ///
    /// # Errors
    /// `BadLength` if the data was not whole blocks or `out` is too short for what remains, `BadPadding`.
    pub fn finish(mut self, out: &mut [u8]) -> Result<usize> {
        match (self.mode, self.encrypt) {
            (Mode::Ctr { .. }, _) => Ok(0),
            (Mode::CbcPad { .. }, true) => {
                let mut last = pad(&self.rest[..self.rest_len]);
                let out = out.get_mut(..BLOCK).ok_or(Error::BadLength)?;
                self.blocks(&last, out)?;
                last.zeroize();
                Ok(BLOCK)
            }
            (Mode::CbcPad { .. }, false) => {
                if self.rest_len != BLOCK {
                    return Err(Error::BadLength);
                }
                let mut last = [0; BLOCK];
                let block = self.rest;
                self.blocks(&block, &mut last)?;
                let written = unpad(&last).and_then(|len| {
                    out.get_mut(..len)
                        .ok_or(Error::BadLength)?
                        .copy_from_slice(&last[..len]);
                    Ok(len)
                });
                last.zeroize();
                written
            }
            _ if self.rest_len == 0 => Ok(0),
            _ => Err(Error::BadLength),
        }
    }

    fn blocks(&mut self, data: &[u8], out: &mut [u8]) -> Result<()> {
        match (&mut self.mode, self.encrypt) {
            (Mode::Ecb, true) => self.key.ecb_encrypt(data, out),
            (Mode::Ecb, false) => self.key.ecb_decrypt(data, out),
            (Mode::Cbc { iv } | Mode::CbcPad { iv }, true) => self.key.cbc_encrypt(iv, data, out),
            (Mode::Cbc { iv } | Mode::CbcPad { iv }, false) => self.key.cbc_decrypt(iv, data, out),
            (Mode::Ctr { .. }, _) => Err(Error::Internal),
        }
    }

    /// `rest` holds the end of the key stream's last block, its unused bytes at its own end.
    fn ctr(&mut self, data: &[u8], out: &mut [u8]) -> Result<()> {
        let Mode::Ctr {
            counter,
            counter_bits,
        } = &mut self.mode
        else {
            return Err(Error::Internal);
        };
        let head = data.len().min(self.rest_len);
        let fresh = (data.len() - head).div_ceil(BLOCK) as u128;
        self.blocks_left = self.blocks_left.checked_sub(fresh).ok_or(Error::TooLarge)?;
        let start = BLOCK - self.rest_len;
        out[..head].copy_from_slice(&data[..head]);
        xor(&mut out[..head], &self.rest[start..start + head]);
        self.rest_len -= head;
        let full = head + (data.len() - head) / BLOCK * BLOCK;
        self.key.ctr(
            counter,
            *counter_bits,
            &data[head..full],
            &mut out[head..full],
        )?;
        if full < data.len() {
            self.key
                .ctr(counter, *counter_bits, &[0; BLOCK], &mut self.rest)?;
            out[full..].copy_from_slice(&data[full..]);
            let tail = data.len() - full;
            xor(&mut out[full..], &self.rest[..tail]);
            self.rest_len = BLOCK - tail;
        }
        Ok(())
    }
}

impl Drop for AesStream {
    fn drop(&mut self) {
        self.rest.zeroize();
    }
}

impl fmt::Debug for AesStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AesStream")
            .field("key", &self.key)
            .field("encrypt", &self.encrypt)
            .finish()
    }
}
