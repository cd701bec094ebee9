//! AES-CMAC (NIST SP 800-38B) over the backend's CBC encryption.

use crate::aes::BLOCK;
use crate::mac::verify_tag;
use crate::{AesKey, Result};
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A CMAC being computed. Its clone goes on from the same point.
#[derive(Clone)]
pub struct Cmac {
    key: Arc<AesKey>,
    state: Running,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Running {
    chain: [u8; BLOCK],
    rest: [u8; BLOCK],
    rest_len: usize,
}

impl Cmac {
    /// Begins a message.
    pub fn new(key: Arc<AesKey>) -> Self {
        let state = Running {
            chain: [0; BLOCK],
            rest: [0; BLOCK],
            rest_len: 0,
        };
        Cmac { key, state }
    }

    /// Adds `data`.
    pub fn update(&mut self, mut data: &[u8]) {
        let state = &mut self.state;
        // The last block is treated apart: a full one waits until more comes.
        while !data.is_empty() {
            if state.rest_len == BLOCK {
                let rest = state.rest;
                absorb(&self.key, &mut state.chain, &rest);
                state.rest_len = 0;
                let bulk = (data.len() - 1) / BLOCK * BLOCK;
                for part in data[..bulk].chunks(64 * BLOCK) {
                    absorb(&self.key, &mut state.chain, part);
                }
                data = &data[bulk..];
            }
            let take = data.len().min(BLOCK - state.rest_len);
            state.rest[state.rest_len..state.rest_len + take].copy_from_slice(&data[..take]);
            state.rest_len += take;
            data = &data[take..];
        }
    }

    /// Ends the message.
    pub fn finish(mut self) -> [u8; BLOCK] {
        let state = &mut self.state;
        let mut l = [0; BLOCK];
        self.key.encrypt_block(&mut l);
        let mut subkey = double(l);
        if state.rest_len < BLOCK {
            subkey = double(subkey);
            state.rest[state.rest_len] = 0x80;
            state.rest[state.rest_len + 1..].fill(0);
        }
        for ((chain, rest), k) in state.chain.iter_mut().zip(state.rest).zip(subkey) {
            *chain ^= rest ^ k;
        }
        l.zeroize();
        subkey.zeroize();
        let mut mac = state.chain;
        self.key.encrypt_block(&mut mac);
        mac
    }

    /// Ends the message and compares in constant time with the MAC or, if `tag` is shorter, with its head.
    ///
    /// # Errors
    /// `BadLength` for an empty or too long tag, `Mismatch`.
    pub fn verify(self, tag: &[u8]) -> Result<()> {
        verify_tag(&self.finish(), tag)
    }
}

impl fmt::Debug for Cmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cmac")
    }
}

/// CBC-MAC over at most 64 whole blocks: the last ciphertext block is the new chaining value.
fn absorb(key: &AesKey, chain: &mut [u8; BLOCK], data: &[u8]) {
    let mut out = [0u8; 64 * BLOCK];
    key.cbc_encrypt(chain, data, &mut out)
        .expect("whole blocks, and room for 64 of them");
}

/// Multiplication by x in GF(2^128), constant time.
fn double(block: [u8; BLOCK]) -> [u8; BLOCK] {
    let value = u128::from_be_bytes(block);
    ((value << 1) ^ ((value >> 127) * 0x87)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn rfc_4493_4_in_one_part_and_in_two() {
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let key = Arc::new(AesKey::new(&key).unwrap());
        let message = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        for (len, mac) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            for cut in 0..=len {
                let mut cmac = Cmac::new(key.clone());
                cmac.update(&message[..cut]);
                cmac.update(&message[cut..len]);
                assert_eq!(
                    hex::encode(cmac.clone().finish()),
                    mac,
                    "{len} bytes, cut at {cut}"
                );
                let tag = hex::decode(mac).unwrap();
                assert_eq!(cmac.clone().verify(&tag[..8]), Ok(()));
                assert_eq!(cmac.clone().verify(&tag[1..]), Err(Error::Mismatch));
                assert_eq!(cmac.verify(&[]), Err(Error::BadLength));
            }
        }
    }
}
