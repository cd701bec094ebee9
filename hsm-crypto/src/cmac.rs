//! AES-CMAC (NIST SP 800-38B), and the plain CBC-MAC before it (FIPS 113 with AES for the cipher), over the backend's CBC
//! encryption.

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

impl Running {
    const EMPTY: Running = Running {
        chain: [0; BLOCK],
        rest: [0; BLOCK],
        rest_len: 0,
    };

    fn add(&mut self, key: &AesKey, mut data: &[u8]) {
        // The last block is treated apart: a full one waits until more comes.
        while !data.is_empty() {
            if self.rest_len == BLOCK {
                let rest = self.rest;
                absorb(key, &mut self.chain, &rest);
                self.rest_len = 0;
                let bulk = (data.len() - 1) / BLOCK * BLOCK;
                for part in data[..bulk].chunks(64 * BLOCK) {
                    absorb(key, &mut self.chain, part);
                }
                data = &data[bulk..];
            }
            let take = data.len().min(BLOCK - self.rest_len);
            self.rest[self.rest_len..self.rest_len + take].copy_from_slice(&data[..take]);
            self.rest_len += take;
            data = &data[take..];
        }
    }
}

impl Cmac {
    /// Begins a message.
    pub fn new(key: Arc<AesKey>) -> Self {
        let state = Running::EMPTY;
        Cmac { key, state }
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        self.state.add(&self.key, data);
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

/// A CBC-MAC being computed: the last block of CBC encryption from an IV of zeros, the message padded with zeros to whole
/// blocks. Whoever may choose lengths can forge one (which CMAC mends): it is here for data that has such MACs.
#[derive(Clone)]
pub struct CbcMac {
    key: Arc<AesKey>,
    state: Running,
}

impl CbcMac {
    /// Begins a message.
    pub fn new(key: Arc<AesKey>) -> Self {
        let state = Running::EMPTY;
        CbcMac { key, state }
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        self.state.add(&self.key, data);
    }

    /// Ends the message. An empty one is a block of zeros: padded to a positive number of blocks, as ISO/IEC 9797-1 has it.
    pub fn finish(mut self) -> [u8; BLOCK] {
        let state = &mut self.state;
        state.rest[state.rest_len..].fill(0);
        let mut mac = state.chain;
        for (mac, rest) in mac.iter_mut().zip(state.rest) {
            *mac ^= rest;
        }
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

impl fmt::Debug for CbcMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CbcMac")
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

    /// The last block of `openssl enc -aes-N-cbc -nopad` from an IV of zeros over the message, filled up with zeros.
    #[test]
    fn a_cbc_mac_is_the_last_block_of_cbc() {
        let message = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        for (key, macs) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                [
                    "7df76b0c1ab899b33e42f047b91b546f",
                    "07d192e3e6f099edcc39fde6d09c762d",
                    "a7356e1207bb406639e5e5ceb9a9ed93",
                ],
            ),
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                [
                    "22452d8e49a8a5939f7321ceea6d514b",
                    "e6b1d1dc504279038a1de518520c6f8d",
                    "e3d75546dd970316733e6f1a7f0f6cf7",
                ],
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                [
                    "e568f68194cf76d6174d4cc04310a854",
                    "2be3fe42c712eb30558341239fd28957",
                    "7e149874d994f5550bcbd66d917315d6",
                ],
            ),
        ] {
            let key = Arc::new(AesKey::new(&hex::decode(key).unwrap()).unwrap());
            for (len, mac) in [0, 40, 64].into_iter().zip(macs) {
                for cut in 0..=len {
                    let mut running = CbcMac::new(key.clone());
                    running.update(&message[..cut]);
                    running.update(&message[cut..len]);
                    assert_eq!(
                        hex::encode(running.clone().finish()),
                        mac,
                        "{key:?}, {len} bytes, cut at {cut}"
                    );
                    let tag = hex::decode(mac).unwrap();
                    assert_eq!(running.clone().verify(&tag[..8]), Ok(()));
                    assert_eq!(running.verify(&tag[1..]), Err(Error::Mismatch));
                }
            }
        }
    }
}
