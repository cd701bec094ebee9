//! AES (FIPS 197): the key schedule, and counter blocks as SP 800-38D increments them.
#![forbid(unsafe_code)]

use std::arch::x86_64::*;
use zeroize::{Zeroize, Zeroizing};

use super::lanes::zero;

/// Round keys, wiped when dropped.
pub struct Schedule {
    keys: [__m128i; 15],
    rounds: usize,
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

impl Schedule {
    pub fn empty() -> Self {
        Schedule {
            keys: [zero(); 15],
            rounds: 10,
        }
    }

    /// FIPS 197, 5.2, for a key of 16, 24 or 32 bytes. The S-box is the processor's, so no table is looked up.
    #[target_feature(enable = "aes,avx2")]
    pub fn expand(&mut self, key: &[u8]) {
        let long = key.len() / 4;
        self.rounds = long + 6;
        let mut words = Zeroizing::new([0_u32; 60]);
        for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut constant = 1_u8;
        for i in long..4 * (self.rounds + 1) {
            let mut word = words[i - 1];
            if i % long == 0 {
                word = sub_word(word).rotate_right(8) ^ u32::from(constant);
                constant = (constant << 1) ^ (0x1b * (constant >> 7));
            } else if long > 6 && i % long == 4 {
                word = sub_word(word);
            }
            words[i] = words[i - long] ^ word;
        }
        for (key, words) in self.keys.iter_mut().zip(words.as_chunks::<4>().0) {
            let [a, b, c, d] = words.map(u32::cast_signed);
            *key = _mm_set_epi32(d, c, b, a);
        }
    }

    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// A round's key, for both lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn key(&self, round: usize) -> __m256i {
        _mm256_broadcastsi128_si256(self.keys[round])
    }

    /// One block.
    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn encrypt(&self, block: __m128i) -> __m128i {
        let mut state = _mm_xor_si128(block, self.keys[0]);
        for key in &self.keys[1..self.rounds] {
            state = _mm_aesenc_si128(state, *key);
        }
        _mm_aesenclast_si128(state, self.keys[self.rounds])
    }
}

/// The S-box on each byte of a word.
#[target_feature(enable = "aes,avx2")]
fn sub_word(word: u32) -> u32 {
    let word = _mm_set_epi32(0, 0, word.cast_signed(), 0);
    _mm_cvtsi128_si32(_mm_aeskeygenassist_si128::<0>(word)).cast_unsigned()
}

/// Two counter blocks, a block and its successor, their last words as numbers.
#[derive(Clone, Copy)]
pub struct Counter(__m256i);

impl Counter {
    /// The pair that follows the block `before`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn after(before: __m128i) -> Self {
        let both = swap_last(_mm256_broadcastsi128_si256(before));
        Counter(_mm256_add_epi32(
            both,
            _mm256_set_epi32(2, 0, 0, 0, 1, 0, 0, 0),
        ))
    }

    /// This pair's blocks; then it is the next pair. The last 32 bits count for themselves, and wrap.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn next(&mut self) -> __m256i {
        let blocks = swap_last(self.0);
        self.0 = _mm256_add_epi32(self.0, _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0));
        blocks
    }
}

/// Turns the bytes of each lane's last word round.
#[inline]
#[target_feature(enable = "avx2")]
fn swap_last(lanes: __m256i) -> __m256i {
    let order = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    _mm256_shuffle_epi8(lanes, _mm256_broadcastsi128_si256(order))
}

/// The key stream of `N` pairs.
#[inline]
#[target_feature(enable = "vaes,avx2")]
pub fn key_stream<const N: usize>(keys: &Schedule, counter: &mut Counter) -> [__m256i; N] {
    let first = keys.key(0);
    let mut state = [first; N];
    for lanes in &mut state {
        *lanes = _mm256_xor_si256(counter.next(), first);
    }
    for round in 1..keys.rounds() {
        let key = keys.key(round);
        for lanes in &mut state {
            *lanes = _mm256_aesenc_epi128(*lanes, key);
        }
    }
    let last = keys.key(keys.rounds());
    for lanes in &mut state {
        *lanes = _mm256_aesenclast_epi128(*lanes, last);
    }
    state
}
