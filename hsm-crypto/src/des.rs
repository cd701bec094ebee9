//! Triple DES (NIST SP 800-67) in ECB, CBC and CMAC, for old data only; from RustCrypto in both builds.

use crate::aes::unpad;
use crate::mac::verify_tag;
use crate::{Error, Result};
use des::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a block.
pub const BLOCK: usize = 8;

/// A key of one, two or three DES keys, expanded. Shareable.
pub struct DesKey(des::TdesEde3);

impl DesKey {
    /// A key of 8, 16 or 24 bytes. Parity bits are ignored.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn new(key: &[u8]) -> Result<Self> {
        let mut whole = Zeroizing::new([0; 24]);
        match key.len() {
            24 => whole.copy_from_slice(key),
            16 => {
                whole[..16].copy_from_slice(key);
                whole[16..].copy_from_slice(&key[..8]);
            }
            // Thrice with the same key is single DES.
            8 => whole
                .as_chunks_mut::<8>()
                .0
                .iter_mut()
                .for_each(|k| k.copy_from_slice(key)),
            _ => return Err(Error::BadKey),
        }
        Ok(DesKey(
            des::TdesEde3::new_from_slice(&whole[..]).map_err(|_| Error::BadKey)?,
        ))
    }

    fn encrypt_block(&self, block: &mut [u8; BLOCK]) {
        self.0.encrypt_block(Array::cast_from_core_mut(block));
    }

    /// ECB, or CBC where there is an IV: whole blocks of `data` into `out`.
    ///
    /// # Errors
    /// `BadLength` if `data` is not whole blocks or `out` too short.
    pub fn encrypt(&self, iv: Option<&[u8; BLOCK]>, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let out = whole(data, out)?;
        out.copy_from_slice(data);
        let mut chain = iv.copied();
        for block in out.as_chunks_mut::<BLOCK>().0 {
            if let Some(chain) = &chain {
                crate::aes::xor(block, chain);
            }
            self.encrypt_block(block);
            chain = chain.map(|_| *block);
        }
        Ok(data.len())
    }

    /// The reverse.
    ///
    /// # Errors
    /// `BadLength` if `data` is not whole blocks or `out` too short.
    pub fn decrypt(&self, iv: Option<&[u8; BLOCK]>, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let out = whole(data, out)?;
        out.copy_from_slice(data);
        let mut chain = iv.copied();
        for block in out.as_chunks_mut::<BLOCK>().0 {
            let next = *block;
            self.0.decrypt_block(Array::cast_from_core_mut(block));
            if let Some(chain) = &mut chain {
                crate::aes::xor(block, chain);
                *chain = next;
            }
        }
        Ok(data.len())
    }

    /// CBC with PKCS#7 padding: at most a block more.
    ///
    /// # Errors
    /// `BadLength` if `out` is too short.
    pub fn encrypt_pad(&self, iv: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
        let pad = BLOCK - data.len() % BLOCK;
        let mut padded = Zeroizing::new(data.to_vec());
        padded.resize(data.len() + pad, pad as u8);
        self.encrypt(Some(iv), &padded, out)
    }

    /// CBC with PKCS#7 padding, back. `out` needs `data.len()` bytes.
    ///
    /// # Errors
    /// `BadLength`; `BadPadding` (and `out` wiped).
    pub fn decrypt_pad(&self, iv: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
        if data.is_empty() {
            return Err(Error::BadLength);
        }
        let out = whole(data, out)?;
        self.decrypt(Some(iv), data, out)?;
        let rest = data.len() - BLOCK;
        match unpad(&out[rest..]) {
            Ok(len) => Ok(rest + len),
            Err(e) => {
                out.zeroize();
                Err(e)
            }
        }
    }
}

impl fmt::Debug for DesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DesKey")
    }
}

fn whole<'a>(data: &[u8], out: &'a mut [u8]) -> Result<&'a mut [u8]> {
    if !data.len().is_multiple_of(BLOCK) {
        return Err(Error::BadLength);
    }
    out.get_mut(..data.len()).ok_or(Error::BadLength)
}

/// Sets the low bit of each byte so that the byte has an odd number of ones.
pub fn set_parity(key: &mut [u8]) {
    for byte in key {
        *byte = *byte & 0xFE | u8::from((*byte >> 1).count_ones().is_multiple_of(2));
    }
}

/// A CMAC with triple DES (NIST SP 800-38B) being computed.
#[derive(Clone)]
pub struct DesCmac {
    key: Arc<DesKey>,
    chain: [u8; BLOCK],
    rest: Zeroizing<Vec<u8>>,
}

impl DesCmac {
    /// Begins a message.
    pub fn new(key: Arc<DesKey>) -> Self {
        DesCmac {
            key,
            chain: [0; BLOCK],
            rest: Zeroizing::default(),
        }
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        for &byte in data {
            if self.rest.len() == BLOCK {
                crate::aes::xor(&mut self.chain, &self.rest);
                self.key.encrypt_block(&mut self.chain);
                self.rest.clear();
            }
            self.rest.push(byte);
        }
    }

    /// Ends the message.
    pub fn finish(mut self) -> [u8; BLOCK] {
        let mut l = [0; BLOCK];
        self.key.encrypt_block(&mut l);
        let mut subkey = double(l);
        if self.rest.len() < BLOCK {
            subkey = double(subkey);
            self.rest.push(0x80);
            self.rest.resize(BLOCK, 0);
        }
        crate::aes::xor(&mut self.chain, &self.rest);
        crate::aes::xor(&mut self.chain, &subkey);
        self.key.encrypt_block(&mut self.chain);
        self.chain
    }

    /// Ends the message and compares in constant time with the MAC or its head.
    ///
    /// # Errors
    /// `BadLength` for an empty or too long tag, `Mismatch`.
    pub fn verify(self, tag: &[u8]) -> Result<()> {
        verify_tag(&self.finish(), tag)
    }
}

impl fmt::Debug for DesCmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DesCmac")
    }
}

fn double(block: [u8; BLOCK]) -> [u8; BLOCK] {
    let value = u64::from_be_bytes(block);
    (value << 1 ^ (0x1B & (value >> 63).wrapping_neg())).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hex: &str) -> DesKey {
        DesKey::new(&hex::decode(hex).unwrap()).unwrap()
    }

    /// SP 800-67's worked example.
    #[test]
    fn sp_800_67_b_1() {
        let key = key("0123456789abcdef23456789abcdef01456789abcdef0123");
        let mut out = [0; 24];
        key.encrypt(None, b"The qufck brown fox jump", &mut out)
            .unwrap();
        assert_eq!(
            hex::encode(out),
            "a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900"
        );
        let mut back = [0; 24];
        key.decrypt(None, &out, &mut back).unwrap();
        assert_eq!(&back, b"The qufck brown fox jump");
    }

    /// SP 800-38B's examples for three keys.
    #[test]
    fn sp_800_38b_d_4() {
        let key = Arc::new(key("8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5"));
        let text = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
            .unwrap();
        for (len, mac) in [
            (0, "b7a688e122ffaf95"),
            (8, "8e8f293136283797"),
            (20, "743ddbe0ce2dc2ed"),
            (32, "33e6b1092400eae5"),
        ] {
            let mut state = DesCmac::new(key.clone());
            state.update(&text[..len]);
            assert_eq!(hex::encode(state.finish()), mac, "{len}");
        }
    }

    #[test]
    fn cbc_and_its_padding() {
        let key = key("0123456789abcdef23456789abcdef01");
        for len in 0..20 {
            let data = vec![7; len];
            let (mut out, mut back) = ([0; 32], [0; 32]);
            let sealed = key.encrypt_pad(&[1; 8], &data, &mut out).unwrap();
            assert_eq!(sealed, len / 8 * 8 + 8);
            assert_eq!(key.decrypt_pad(&[1; 8], &out[..sealed], &mut back), Ok(len));
            assert_eq!(back[..len], data);
            out[sealed - 1] ^= 1;
            assert_eq!(
                key.decrypt_pad(&[1; 8], &out[..sealed], &mut back),
                Err(Error::BadPadding),
                "{len}"
            );
        }
        let mut parity = [0, 1, 2, 0xFE, 0xFF];
        set_parity(&mut parity);
        assert_eq!(parity, [1, 1, 2, 0xFE, 0xFE]);
    }
}
