//! Encryption and decryption of a whole message (SP 800-38D, 7.1 and 7.2): eight registers of counter blocks go through AES
//! together, and between two of its rounds two blocks go into the hash. Encryption hashes the batch before, decryption the
//! same one. What is left after the batches is hashed with the lengths, and with short additional data, in one run.
#![forbid(unsafe_code)]

use std::arch::x86_64::*;
use std::hint::black_box;
use zeroize::{Zeroize, Zeroizing};

use super::cipher::{Counter, Schedule, key_stream};
use super::ghash::{Powers, Run, Sums, ghash};
use super::lanes::{load, load_block, load_part, store, store_block, store_part, turn, turn_block};

/// Pairs of blocks that are under way together.
const PAIRS: usize = 8;
/// Their bytes.
const BATCH: usize = 32 * PAIRS;

type Pairs = [[u8; 32]; PAIRS];

fn pairs(batch: &[u8; BATCH]) -> &Pairs {
    batch.as_chunks().0.try_into().expect("eight pairs")
}

fn pairs_mut(batch: &mut [u8; BATCH]) -> &mut Pairs {
    batch.as_chunks_mut().0.try_into().expect("eight pairs")
}

/// Writes what the data encrypts to, and returns the tag, its first byte the lowest.
#[target_feature(enable = "vaes,vpclmulqdq,avx2")]
pub fn seal(
    keys: &Schedule,
    powers: &Powers,
    iv: &[u8],
    aad: &[u8],
    data: &[u8],
    out: &mut [u8],
) -> u128 {
    let mut message = Message::new(keys, powers, iv);
    let (batches, rest) = data.as_chunks::<BATCH>();
    let (batches_out, rest_out) = out.as_chunks_mut::<BATCH>();
    let mut early = message.early(aad, batches.len());
    if let Some((first, batches)) = batches.split_first() {
        let (first_out, batches_out) = batches_out.split_first_mut().expect("as long");
        let stream = key_stream::<PAIRS>(keys, &mut message.counter);
        let mut before = pairs_mut(first_out);
        for ((to, from), stream) in before.iter_mut().zip(pairs(first)).zip(stream) {
            store(to, _mm256_xor_si256(load(from), stream));
        }
        for (from, to) in batches.iter().zip(batches_out) {
            let to = pairs_mut(to);
            message.batch(before, pairs(from), to);
            before = to;
        }
        early = before.as_flattened();
    }
    message.rest(rest, rest_out);
    message.tag(early, rest_out, aad.len(), data.len())
}

/// Writes what the data decrypts to, and returns the tag that it should have.
#[target_feature(enable = "vaes,vpclmulqdq,avx2")]
pub fn open(
    keys: &Schedule,
    powers: &Powers,
    iv: &[u8],
    aad: &[u8],
    data: &[u8],
    out: &mut [u8],
) -> u128 {
    let mut message = Message::new(keys, powers, iv);
    let (batches, rest) = data.as_chunks::<BATCH>();
    let (batches_out, rest_out) = out.as_chunks_mut::<BATCH>();
    let early = message.early(aad, batches.len());
    for (from, to) in batches.iter().zip(batches_out) {
        message.batch(pairs(from), pairs(from), pairs_mut(to));
    }
    message.rest(rest, rest_out);
    message.tag(early, rest, aad.len(), data.len())
}

/// A message under way.
struct Message<'a> {
    keys: &'a Schedule,
    powers: &'a Powers,
    counter: Counter,
    hash: __m128i,
    /// The first counter block, encrypted: what hides the hash.
    mask: __m128i,
}

impl<'a> Message<'a> {
    #[inline]
    #[target_feature(enable = "aes,vpclmulqdq,avx2")]
    fn new(keys: &'a Schedule, powers: &'a Powers, iv: &[u8]) -> Self {
        let zero = _mm_setzero_si128();
        let first = if iv.len() == 12 {
            let one = _mm_set_epi32(1_i32.swap_bytes(), 0, 0, 0);
            _mm_or_si128(load_part(iv), one)
        } else {
            let hash = ghash(powers, zero, iv);
            let mut run = Run::new(powers, hash, 1);
            run.lengths(0, iv.len());
            turn_block(run.end())
        };
        Message {
            keys,
            powers,
            counter: Counter::after(first),
            hash: zero,
            mask: keys.encrypt(first),
        }
    }

    /// Hashes the additional data, or returns it where it goes into the last run.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    fn early<'b>(&mut self, aad: &'b [u8], batches: usize) -> &'b [u8] {
        if batches == 0 && aad.len() <= BATCH {
            return aad;
        }
        self.hash = ghash(self.powers, self.hash, aad);
        &[]
    }

    /// Hashes one batch and transforms one.
    #[inline]
    #[target_feature(enable = "vaes,vpclmulqdq,avx2")]
    fn batch(&mut self, hashed: &Pairs, from: &Pairs, to: &mut Pairs) {
        let keys = self.keys;
        let powers = self.powers.lower();
        let first = keys.key(0);
        let mut state = [first; PAIRS];
        for lanes in &mut state {
            *lanes = _mm256_xor_si256(self.counter.next(), first);
        }
        let mut sums = Sums::zero();
        let mut hash = _mm256_zextsi128_si256(self.hash);
        // A loop that stays one: the compiler would unroll it, then part again what is interleaved here.
        for (n, hashed) in black_box(&hashed[..]).iter().enumerate() {
            let key = keys.key(n + 1);
            for lanes in &mut state {
                *lanes = _mm256_aesenc_epi128(*lanes, key);
            }
            let (power, sum) = powers.pair(n);
            sums.add(_mm256_xor_si256(turn(load(hashed)), hash), power, sum);
            hash = _mm256_setzero_si256();
        }
        for round in PAIRS + 1..keys.rounds() {
            let key = keys.key(round);
            for lanes in &mut state {
                *lanes = _mm256_aesenc_epi128(*lanes, key);
            }
        }
        self.hash = sums.end();
        let last = keys.key(keys.rounds());
        for ((to, from), state) in to.iter_mut().zip(from).zip(state) {
            // The last round adds its key, so data added to the key is added to the key stream.
            let key = _mm256_xor_si256(last, load(from));
            store(to, _mm256_aesenclast_epi128(state, key));
        }
    }

    /// Transforms less than a batch.
    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    fn rest(&mut self, from: &[u8], to: &mut [u8]) {
        match from.len() {
            0 => {}
            1..=32 => self.few::<1>(from, to),
            33..=64 => self.few::<2>(from, to),
            65..=128 => self.few::<4>(from, to),
            _ => self.few::<PAIRS>(from, to),
        }
    }

    /// Transforms at most `N` pairs.
    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    fn few<const N: usize>(&mut self, from: &[u8], to: &mut [u8]) {
        // In memory, for it is indexed below.
        let stream = Zeroizing::new(key_stream::<N>(self.keys, &mut self.counter));
        let (from, from_end) = from.as_chunks::<32>();
        let (to, to_end) = to.as_chunks_mut::<32>();
        let whole = from.len();
        for ((from, to), stream) in from.iter().zip(to).zip(*stream) {
            store(to, _mm256_xor_si256(load(from), stream));
        }
        if from_end.is_empty() {
            return;
        }
        let last = stream[whole];
        let mut last_block = _mm256_castsi256_si128(last);
        let (block, part) = from_end.as_chunks::<16>();
        let (block_out, part_out) = to_end.as_chunks_mut::<16>();
        if let ([from], [to]) = (block, block_out) {
            store_block(to, _mm_xor_si128(load_block(from), last_block));
            last_block = _mm256_extracti128_si256::<1>(last);
        }
        if !part.is_empty() {
            store_part(part_out, _mm_xor_si128(load_part(part), last_block));
        }
    }

    /// Ends the message: hashes what was left for the last run.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    fn tag(mut self, early: &[u8], rest: &[u8], aad: usize, data: usize) -> u128 {
        let blocks = early.len().div_ceil(16) + rest.len().div_ceil(16) + 1;
        let mut run = Run::new(self.powers, self.hash, blocks);
        run.bytes(early);
        run.bytes(rest);
        run.lengths(aad, data);
        let mut tag = [0; 16];
        store_block(&mut tag, _mm_xor_si128(turn_block(run.end()), self.mask));
        self.mask.zeroize();
        u128::from_le_bytes(tag)
    }
}
