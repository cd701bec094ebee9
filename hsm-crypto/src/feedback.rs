//! AES in its feedback modes (NIST SP 800-38A): OFB, and CFB with segments of 1, 8, 64 and 128 bits. For old protocols and
//! data: nothing here tells whether a message was changed.
//!
//! Each block of key stream needs the one before it, so it is one block after another.

use crate::aes::{AesKey, BLOCK, xor};
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroize;

/// What is fed back into the cipher, and in which portions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedbackMode {
    /// The cipher's own output.
    Ofb,
    /// The ciphertext, bit by bit; the first bit of a byte is its highest.
    Cfb1,
    /// The ciphertext, byte by byte.
    Cfb8,
    /// The ciphertext, half a block at a time.
    Cfb64,
    /// The ciphertext, block by block.
    Cfb128,
}

impl FeedbackMode {
    /// Bytes that one call of the cipher serves.
    const fn segment(self) -> usize {
        match self {
            FeedbackMode::Cfb1 | FeedbackMode::Cfb8 => 1,
            FeedbackMode::Cfb64 => 8,
            FeedbackMode::Ofb | FeedbackMode::Cfb128 => BLOCK,
        }
    }
}

/// A message under way; the last segment may be short. Its clone goes on from the same point.
#[derive(Clone)]
pub struct Feedback {
    key: Arc<AesKey>,
    mode: FeedbackMode,
    encrypt: bool,
    /// What the cipher is given next.
    register: [u8; BLOCK],
    /// The key stream of the segment under way,
    stream: [u8; BLOCK],
    /// and how much of it is used up.
    used: usize,
}

impl Feedback {
    /// Begins a message.
    pub fn new(key: Arc<AesKey>, mode: FeedbackMode, iv: &[u8; BLOCK], encrypt: bool) -> Self {
        Feedback {
            key,
            mode,
            encrypt,
            register: *iv,
            stream: [0; BLOCK],
            used: mode.segment(),
        }
    }

    /// Transforms `data` into `out`, which is as long.
    ///
    /// # Errors
    /// `BadLength` if `out` is too short; nothing is consumed.
    pub fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<()> {
        let out = out.get_mut(..data.len()).ok_or(Error::BadLength)?;
        match self.mode {
            FeedbackMode::Cfb1 => self.bits(data, out),
            FeedbackMode::Cfb8 => self.octets(data, out),
            _ => self.bytes(data, out),
        }
        Ok(())
    }

    fn bytes(&mut self, mut data: &[u8], mut out: &mut [u8]) {
        let segment = self.mode.segment();
        while !data.is_empty() {
            if self.used == segment {
                self.next();
            }
            let take = data.len().min(segment - self.used);
            let (now, later) = data.split_at(take);
            let (done, room) = std::mem::take(&mut out).split_at_mut(take);
            done.copy_from_slice(now);
            xor(done, &self.stream[self.used..self.used + take]);
            if self.mode != FeedbackMode::Ofb {
                let at = BLOCK - segment + self.used;
                let ciphertext = if self.encrypt { &*done } else { now };
                self.register[at..at + take].copy_from_slice(ciphertext);
            }
            self.used += take;
            (data, out) = (later, room);
        }
    }

    /// The key stream of the next segment, and room in the register for the segment's ciphertext.
    fn next(&mut self) {
        self.stream = self.register;
        self.key.encrypt_block(&mut self.stream);
        match self.mode {
            FeedbackMode::Ofb => self.register = self.stream,
            mode => self.register.copy_within(mode.segment().., 0),
        }
        self.used = 0;
    }

    /// A whole call of the cipher for each byte: what stands around it must cost little.
    fn octets(&mut self, data: &[u8], out: &mut [u8]) {
        let mut register = u128::from_be_bytes(self.register);
        for (data, out) in data.iter().zip(out) {
            self.stream = register.to_be_bytes();
            self.key.encrypt_block(&mut self.stream);
            let made = data ^ self.stream[0];
            let fed = if self.encrypt { made } else { *data };
            register = register << 8 | u128::from(fed);
            *out = made;
        }
        self.register = register.to_be_bytes();
    }

    fn bits(&mut self, data: &[u8], out: &mut [u8]) {
        for (data, out) in data.iter().zip(out) {
            let mut byte = 0;
            for bit in (0..8).rev() {
                self.stream = self.register;
                self.key.encrypt_block(&mut self.stream);
                let given = data >> bit & 1;
                let made = given ^ (self.stream[0] >> 7);
                let fed = if self.encrypt { made } else { given };
                let shifted = u128::from_be_bytes(self.register) << 1 | u128::from(fed);
                self.register = shifted.to_be_bytes();
                byte = byte << 1 | made;
            }
            *out = byte;
        }
    }
}

impl Drop for Feedback {
    fn drop(&mut self) {
        self.register.zeroize();
        self.stream.zeroize();
    }
}

impl fmt::Debug for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feedback({:?})", self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

    fn keys() -> [Arc<AesKey>; 3] {
        [
            "2b7e151628aed2a6abf7158809cf4f3c",
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        ]
        .map(|key| Arc::new(AesKey::new(&hex::decode(key).unwrap()).unwrap()))
    }

    fn iv() -> [u8; BLOCK] {
        std::array::from_fn(|i| i as u8)
    }

    fn in_two(
        key: &Arc<AesKey>,
        mode: FeedbackMode,
        encrypt: bool,
        data: &[u8],
        cut: usize,
    ) -> Vec<u8> {
        let mut state = Feedback::new(Arc::clone(key), mode, &iv(), encrypt);
        let mut out = vec![0; data.len()];
        state.update(&data[..cut], &mut out[..cut]).unwrap();
        state.clone().update(&data[cut..], &mut out[cut..]).unwrap();
        out
    }

    /// SP 800-38A, F.3 and F.4.
    #[test]
    fn the_standards_examples_cut_anywhere() {
        let plain = hex::decode(PLAIN).unwrap();
        let cases: [(FeedbackMode, [&str; 3]); 4] = [
            (FeedbackMode::Cfb1, ["68b3", "9359", "9029"]),
            (
                FeedbackMode::Cfb8,
                [
                    "3b79424c9c0dd436bace9e0ed4586a4f32b9",
                    "cda2521ef0a905ca44cd057cbf0d47a0678a",
                    "dc1f1a8520a64db55fcc8ac554844e889700",
                ],
            ),
            (
                FeedbackMode::Cfb128,
                [
                    "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b\
                     26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
                    "cdc80d6fddf18cab34c25909c99a417467ce7f7f81173621961a2b70171d3d7a\
                     2e1e8a1dd59b88b1c8e60fed1efac4c9c05f9f9ca9834fa042ae8fba584b09ff",
                    "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b\
                     df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471",
                ],
            ),
            (
                FeedbackMode::Ofb,
                [
                    "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825\
                     9740051e9c5fecf64344f7a82260edcc304c6528f659c77866a510d9c1d6ae5e",
                    "cdc80d6fddf18cab34c25909c99a4174fcc28b8d4c63837c09e81700c1100401\
                     8d9a9aeac0f6596f559c6d4daf59a5f26d9f200857ca6c3e9cac524bd9acc92a",
                    "dc7e84bfda79164b7ecd8486985d38604febdc6740d20b3ac88f6ad82a4fb08d\
                     71ab47a086e86eedf39d1c5bba97c4080126141d67f37be8538f5a8be740e484",
                ],
            ),
        ];
        for (mode, ciphertexts) in cases {
            for (key, ciphertext) in keys().iter().zip(ciphertexts) {
                let ciphertext = hex::decode(ciphertext).unwrap();
                let plain = &plain[..ciphertext.len()];
                for cut in 0..=plain.len() {
                    let there = in_two(key, mode, true, plain, cut);
                    assert_eq!(there, ciphertext, "{mode:?} {key:?} cut at {cut}");
                    let back = in_two(key, mode, false, &ciphertext, cut);
                    assert_eq!(back, plain, "{mode:?} {key:?} cut at {cut}");
                }
            }
        }
    }

    /// The standard has no example with segments of 64 bits; these are PyCryptodome's (segment_size=64).
    #[test]
    fn half_a_block_at_a_time() {
        let plain = hex::decode(PLAIN).unwrap();
        let ciphertexts = [
            "3b3fd92eb72dad20764bc8b40ee0de40f857ab76f3e7bc33332265ff0594b12e\
             6c8bf2f3fc1ba87b2f124a56f7fe88d2341f1d0535f0d56e58287bbec2952b2a",
            "cdc80d6fddf18cabdd77d693b7f9ac0026a3ad7dec1fd4401bc8c7ec98d09be9\
             e0f7d12011d06ad91775e17e15321703a3227525eddf057961a7f86c183fefec",
            "dc7e84bfda79164b5354b1128a039ec7506b65da6782cdfa2eb7f5711565fc14\
             19345a7d5eed18808be1d3864ae3e0dcf435ae891b3032834ee359d40e86af01",
        ];
        for (key, ciphertext) in keys().iter().zip(ciphertexts) {
            for cut in [0, 1, 7, 8, 9, 33, 64] {
                let there = in_two(key, FeedbackMode::Cfb64, true, &plain, cut);
                assert_eq!(hex::encode(&there), ciphertext, "{key:?} cut at {cut}");
                assert_eq!(in_two(key, FeedbackMode::Cfb64, false, &there, cut), plain);
            }
        }
    }

    #[test]
    fn a_short_output_takes_nothing_in() {
        let [key, ..] = keys();
        let mut state = Feedback::new(key.clone(), FeedbackMode::Cfb8, &iv(), true);
        assert_eq!(state.update(&[1; 9], &mut [0; 8]), Err(Error::BadLength));
        let mut out = [0; 9];
        state.update(&[1; 9], &mut out).unwrap();
        assert_eq!(out[..], in_two(&key, FeedbackMode::Cfb8, true, &[1; 9], 0));
    }
}
