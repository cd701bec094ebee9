//! ChaCha20 and ChaCha20-Poly1305 (RFC 8439), from RustCrypto in both builds.

use crate::{Error, Result};
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Nonce, Tag};
use std::fmt;
use zeroize::Zeroize;

/// A ChaCha20 key stream at work, in either direction.
pub struct ChaCha20(Variant);

enum Variant {
    /// RFC 8439: a nonce of 96 bits, 32 bits of counter.
    Ietf(Box<chacha20::ChaCha20>),
    /// Bernstein's: a nonce of 64 bits, 64 bits of counter.
    Original(Box<chacha20::ChaCha20Legacy>),
}

impl ChaCha20 {
    /// Begins at block `counter`. The nonce's length, 8 or 12 bytes, chooses the variant.
    ///
    /// # Errors
    /// `BadKey` unless the key has 32 bytes, `BadLength` for another nonce, `TooLarge` for a counter beyond the variant's.
    pub fn new(key: &[u8], nonce: &[u8], counter: u64) -> Result<Self> {
        if key.len() != 32 {
            return Err(Error::BadKey);
        }
        let at = u128::from(counter) * 64;
        let variant = match nonce.len() {
            12 if counter <= u64::from(u32::MAX) => {
                let mut cipher = chacha20::ChaCha20::new_from_slices(key, nonce)
                    .map_err(|_| Error::BadLength)?;
                cipher.try_seek(at).map_err(|_| Error::TooLarge)?;
                Variant::Ietf(Box::new(cipher))
            }
            8 => {
                let mut cipher = chacha20::ChaCha20Legacy::new_from_slices(key, nonce)
                    .map_err(|_| Error::BadLength)?;
                cipher.try_seek(at).map_err(|_| Error::TooLarge)?;
                Variant::Original(Box::new(cipher))
            }
            12 => return Err(Error::TooLarge),
            _ => return Err(Error::BadLength),
        };
        Ok(ChaCha20(variant))
    }

    /// Transforms `data` into the first `data.len()` bytes of `out`.
    ///
    /// # Errors
    /// `BadLength` if `out` is too short, `TooLarge` if the counter would repeat.
    pub fn apply(&mut self, data: &[u8], out: &mut [u8]) -> Result<()> {
        let out = out.get_mut(..data.len()).ok_or(Error::BadLength)?;
        out.copy_from_slice(data);
        match &mut self.0 {
            Variant::Ietf(cipher) => cipher.try_apply_keystream(out),
            Variant::Original(cipher) => cipher.try_apply_keystream(out),
        }
        .map_err(|_| Error::TooLarge)
    }
}

impl fmt::Debug for ChaCha20 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChaCha20")
    }
}

/// A ChaCha20-Poly1305 key. Nonces have 12 bytes, tags 16.
pub struct ChaChaPolyKey(chacha20poly1305::ChaCha20Poly1305);

impl ChaChaPolyKey {
    /// A key of 32 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn new(key: &[u8]) -> Result<Self> {
        let key = chacha20poly1305::ChaCha20Poly1305::new_from_slice(key);
        Ok(ChaChaPolyKey(key.map_err(|_| Error::BadKey)?))
    }

    /// Encrypts `data` into `out`, tag behind, and returns how many bytes that is: 16 more.
    ///
    /// # Errors
    /// `BadLength` for another nonce or if `out` is too short.
    pub fn seal(&self, nonce: &[u8], aad: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize> {
        let nonce = <&Nonce>::try_from(nonce).map_err(|_| Error::BadLength)?;
        let total = data.len() + 16;
        let (cipher, tag) = out
            .get_mut(..total)
            .ok_or(Error::BadLength)?
            .split_at_mut(data.len());
        let buffer = InOutBuf::new(data, cipher).map_err(|_| Error::BadLength)?;
        let computed = self
            .0
            .encrypt_inout_detached(nonce, aad, buffer)
            .map_err(|_| Error::TooLarge)?;
        tag.copy_from_slice(&computed);
        Ok(total)
    }

    /// Decrypts `data` (its tag behind) into `out` and returns the plaintext's length.
    ///
    /// # Errors
    /// `Mismatch` for a wrong tag (and `out` wiped); else as [`ChaChaPolyKey::seal`].
    pub fn open(&self, nonce: &[u8], aad: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize> {
        let nonce = <&Nonce>::try_from(nonce).map_err(|_| Error::BadLength)?;
        let len = data.len().checked_sub(16).ok_or(Error::BadLength)?;
        let (cipher, tag) = data.split_at(len);
        let tag = <&Tag>::try_from(tag).map_err(|_| Error::BadLength)?;
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        let buffer = InOutBuf::new(cipher, &mut *out).map_err(|_| Error::BadLength)?;
        if self
            .0
            .decrypt_inout_detached(nonce, aad, buffer, tag)
            .is_err()
        {
            out.zeroize();
            return Err(Error::Mismatch);
        }
        Ok(len)
    }
}

impl fmt::Debug for ChaChaPolyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChaChaPolyKey")
    }
}
