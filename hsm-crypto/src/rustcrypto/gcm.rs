//! AES-GCM from its parts, `aes` and `ghash`: the `aes-gcm` crate has neither streams nor IVs of any length.

use crate::aes::AesKey;
use crate::{Error, Result};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

pub struct Key {
    aes: Arc<AesKey>,
    hash: GHash,
}

impl Key {
    pub fn new(key: &[u8]) -> Result<Self> {
        let aes = Arc::new(AesKey::new(key)?);
        let mut h = [0; 16];
        aes.encrypt_block(&mut h);
        let hash = GHash::new(&h.into());
        h.zeroize();
        Ok(Key { aes, hash })
    }

    pub fn seal(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        out: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Result<()> {
        let mut stream = self.stream(iv, true)?;
        stream.aad(aad)?;
        stream.update(data, out)?;
        *tag = stream.tag()?;
        Ok(())
    }

    pub fn open(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        let mut stream = self.stream(iv, false)?;
        stream.aad(aad)?;
        stream.update(data, out)?;
        stream.verify(tag).inspect_err(|_| out.zeroize())
    }

    pub fn stream(&self, iv: &[u8], encrypt: bool) -> Result<Stream> {
        let mut counter = [0; 16];
        if iv.len() == 12 {
            counter[..12].copy_from_slice(iv);
            counter[15] = 1;
        } else {
            let mut hash = self.hash.clone();
            hash.update_padded(iv);
            let mut last = [0; 16];
            last[8..].copy_from_slice(&(iv.len() as u64 * 8).to_be_bytes());
            hash.update(&[last.into()]);
            counter.copy_from_slice(&hash.finalize());
        }
        let mut mask = counter;
        self.aes.encrypt_block(&mut mask);
        Ok(Stream {
            aes: self.aes.clone(),
            hash: Hasher {
                hash: self.hash.clone(),
                rest: [0; 16],
                rest_len: 0,
            },
            counter: increment(counter),
            key_stream: [0; 16],
            left: 0,
            mask,
            aad: 0,
            data: 0,
            encrypt,
        })
    }
}

/// The low 32 bits count, and wrap.
fn increment(mut counter: [u8; 16]) -> [u8; 16] {
    let low = u32::from_be_bytes([counter[12], counter[13], counter[14], counter[15]]);
    counter[12..].copy_from_slice(&low.wrapping_add(1).to_be_bytes());
    counter
}

#[derive(Clone)]
struct Hasher {
    hash: GHash,
    rest: [u8; 16],
    rest_len: usize,
}

impl Hasher {
    fn update(&mut self, mut data: &[u8]) {
        if self.rest_len > 0 {
            let take = data.len().min(16 - self.rest_len);
            self.rest[self.rest_len..self.rest_len + take].copy_from_slice(&data[..take]);
            self.rest_len += take;
            data = &data[take..];
            if self.rest_len < 16 {
                return;
            }
            self.pad();
        }
        let (full, rest) = data.split_at(data.len() - data.len() % 16);
        self.hash.update_padded(full);
        self.rest[..rest.len()].copy_from_slice(rest);
        self.rest_len = rest.len();
    }

    fn pad(&mut self) {
        self.hash.update_padded(&self.rest[..self.rest_len]);
        self.rest_len = 0;
    }
}

#[derive(Clone)]
pub struct Stream {
    aes: Arc<AesKey>,
    hash: Hasher,
    counter: [u8; 16],
    key_stream: [u8; 16],
    /// Unused bytes at the end of `key_stream`.
    left: usize,
    mask: [u8; 16],
    aad: u64,
    data: u64,
    encrypt: bool,
}

impl Stream {
    pub fn aad(&mut self, aad: &[u8]) -> Result<()> {
        self.hash.update(aad);
        self.aad += aad.len() as u64;
        Ok(())
    }

    pub fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<()> {
        if self.data == 0 && !data.is_empty() {
            self.hash.pad();
        }
        self.data += data.len() as u64;
        if !self.encrypt {
            self.hash.update(data);
        }
        let head = data.len().min(self.left);
        out[..head].copy_from_slice(&data[..head]);
        crate::aes::xor(&mut out[..head], &self.key_stream[16 - self.left..][..head]);
        self.left -= head;
        let full = head + (data.len() - head) / 16 * 16;
        self.aes.ctr(
            &mut self.counter,
            32,
            &data[head..full],
            &mut out[head..full],
        )?;
        if full < data.len() {
            let tail = data.len() - full;
            self.key_stream = self.counter;
            self.aes.encrypt_block(&mut self.key_stream);
            self.counter = increment(self.counter);
            out[full..].copy_from_slice(&data[full..]);
            crate::aes::xor(&mut out[full..], &self.key_stream[..tail]);
            self.left = 16 - tail;
        }
        if self.encrypt {
            self.hash.update(out);
        }
        Ok(())
    }

    pub fn tag(mut self) -> Result<[u8; 16]> {
        self.hash.pad();
        let mut lengths = [0; 16];
        lengths[..8].copy_from_slice(&(self.aad * 8).to_be_bytes());
        lengths[8..].copy_from_slice(&(self.data * 8).to_be_bytes());
        self.hash.hash.update(&[lengths.into()]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&self.hash.hash.clone().finalize());
        crate::aes::xor(&mut tag, &self.mask);
        Ok(tag)
    }

    pub fn verify(self, tag: &[u8]) -> Result<()> {
        let mine = self.tag()?;
        if mine[..tag.len()].ct_eq(tag).into() {
            Ok(())
        } else {
            Err(Error::Mismatch)
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.key_stream.zeroize();
        self.mask.zeroize();
    }
}
