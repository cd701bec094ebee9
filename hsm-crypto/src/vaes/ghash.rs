//! GHASH (SP 800-38D, 6.4): x_1·H^n + x_2·H^(n-1) + ... + x_n·H for up to 34 blocks, reduced once.
//!
//! Blocks are turned byte by byte, so that the processor's products of polynomials apply. These numbers have their bits in
//! the reverse order, which makes each product one bit too short: the powers are stored times x. What is to be reduced then
//! is a sum of 255 bits over x^128, and two products with the upper half of x^128 + x^127 + x^126 + x^121 + 1 do it.
#![forbid(unsafe_code)]

use std::arch::x86_64::*;
use zeroize::Zeroize;

use super::lanes::{
    load, load_block, load_pair, load_part, store_block, store_pair, turn, turn_block, zero,
};

/// So many blocks may be added before a reduction: a batch, what is left behind
/// the batches, and the lengths are 33, and powers are made in pairs.
pub const RUN: usize = 34;

/// H^34, H^33, ... H, then nothing; and of each the sum of its halves (Karatsuba). Wiped when dropped.
pub struct Powers {
    whole: [__m128i; RUN + 1],
    sums: [__m128i; RUN + 1],
}

impl Drop for Powers {
    fn drop(&mut self) {
        self.whole.zeroize();
        self.sums.zeroize();
    }
}

impl Powers {
    pub fn empty() -> Self {
        let zero = zero();
        Powers {
            whole: [zero; RUN + 1],
            sums: [zero; RUN + 1],
        }
    }

    /// All powers of the hash key `h`.
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn fill(&mut self, h: __m128i) {
        // Times x: the bit that falls out at the top comes back as the polynomial.
        let mut bytes = [0; 16];
        store_block(&mut bytes, h);
        let number = u128::from_be_bytes(bytes);
        bytes.zeroize();
        let polynomial = 0xc200_0000_0000_0000_0000_0000_0000_0001_u128;
        let one = (number << 1) ^ (polynomial & (number >> 127).wrapping_neg());
        let one = _mm256_broadcastsi128_si256(load_block(&one.to_le_bytes()));
        let two = product(one, one);
        let mut pair = _mm256_blend_epi32::<0xf0>(two, one);
        let (whole, _) = self.whole.as_chunks_mut::<2>();
        let (sums, _) = self.sums.as_chunks_mut::<2>();
        for (whole, sums) in whole.iter_mut().zip(sums).rev() {
            store_pair(whole, pair);
            store_pair(sums, fold(pair));
            pair = product(pair, two);
        }
    }

    /// The power at a place and its successor, and their sums of halves.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pair(&self, at: usize) -> (__m256i, __m256i) {
        (
            load_pair(self.whole[at..].first_chunk().expect("two are left")),
            load_pair(self.sums[at..].first_chunk().expect("two are left")),
        )
    }

    /// H^16 to H: eight pairs.
    #[inline]
    pub fn lower(&self) -> Lower<'_> {
        let of = |table| {
            let table: &[__m128i; RUN + 1] = table;
            let (_, table) = table.split_at(RUN - 16);
            table.first_chunk().expect("sixteen are left")
        };
        Lower {
            whole: of(&self.whole),
            sums: of(&self.sums),
        }
    }
}

/// The powers for 16 blocks.
pub struct Lower<'a> {
    whole: &'a [__m128i; 16],
    sums: &'a [__m128i; 16],
}

impl Lower<'_> {
    /// The `n`th of eight pairs.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn pair(&self, n: usize) -> (__m256i, __m256i) {
        (
            load_pair(&self.whole.as_chunks::<2>().0[n]),
            load_pair(&self.sums.as_chunks::<2>().0[n]),
        )
    }
}

/// The upper and the lower half of each lane, added; in both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(lanes: __m256i) -> __m256i {
    _mm256_xor_si256(lanes, _mm256_shuffle_epi32::<0x4e>(lanes))
}

/// The products of the lanes, each reduced.
#[inline]
#[target_feature(enable = "vpclmulqdq,avx2")]
fn product(one: __m256i, other: __m256i) -> __m256i {
    let mut sums = Sums::zero();
    sums.add(one, other, fold(other));
    sums.reduce()
}

/// Products that are not reduced yet: of lower halves, of sums of halves, of upper halves.
pub struct Sums {
    low: __m256i,
    mid: __m256i,
    high: __m256i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn zero() -> Self {
        Sums {
            low: _mm256_setzero_si256(),
            mid: _mm256_setzero_si256(),
            high: _mm256_setzero_si256(),
        }
    }

    /// Adds two blocks (turned), each times its power.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn add(&mut self, blocks: __m256i, power: __m256i, sum: __m256i) {
        let low = _mm256_clmulepi64_epi128::<0x00>(blocks, power);
        let high = _mm256_clmulepi64_epi128::<0x11>(blocks, power);
        let mid = _mm256_clmulepi64_epi128::<0x00>(fold(blocks), sum);
        self.low = _mm256_xor_si256(self.low, low);
        self.high = _mm256_xor_si256(self.high, high);
        self.mid = _mm256_xor_si256(self.mid, mid);
    }

    /// Each lane modulo the polynomial.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    fn reduce(&self) -> __m256i {
        let polynomial = _mm256_set1_epi64x(0xc200_0000_0000_0000_u64.cast_signed());
        let outer = _mm256_xor_si256(self.low, self.high);
        let mid = _mm256_xor_si256(self.mid, outer);
        let fed = _mm256_clmulepi64_epi128::<0x00>(self.low, polynomial);
        let low = _mm256_shuffle_epi32::<0x4e>(self.low);
        let mid = _mm256_xor_si256(_mm256_xor_si256(mid, low), fed);
        let fed = _mm256_clmulepi64_epi128::<0x00>(mid, polynomial);
        let mid = _mm256_shuffle_epi32::<0x4e>(mid);
        _mm256_xor_si256(_mm256_xor_si256(self.high, mid), fed)
    }

    /// The hash: both lanes reduced and added.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn end(&self) -> __m128i {
        let lanes = self.reduce();
        _mm_xor_si128(
            _mm256_castsi256_si128(lanes),
            _mm256_extracti128_si256::<1>(lanes),
        )
    }
}

/// A run of at most [`RUN`] blocks, whose number is known before.
pub struct Run<'a> {
    powers: &'a Powers,
    at: usize,
    hash: __m256i,
    sums: Sums,
}

impl<'a> Run<'a> {
    /// `hash` is that of all before.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn new(powers: &'a Powers, hash: __m128i, blocks: usize) -> Self {
        Run {
            powers,
            at: RUN - blocks,
            hash: _mm256_zextsi128_si256(hash),
            sums: Sums::zero(),
        }
    }

    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    fn single(&mut self, block: __m128i) {
        self.add(_mm256_zextsi128_si256(turn_block(block)), 1);
    }

    /// Adds so many blocks, one or two (turned). Of a single one the upper lane is zero.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    fn add(&mut self, blocks: __m256i, count: usize) {
        let blocks = _mm256_xor_si256(blocks, self.hash);
        self.hash = _mm256_setzero_si256();
        let (power, sum) = self.powers.pair(self.at);
        self.sums.add(blocks, power, sum);
        self.at += count;
    }

    /// Adds bytes, the last block filled up with zeros.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn bytes(&mut self, data: &[u8]) {
        let (pairs, rest) = data.as_chunks::<32>();
        for pair in pairs {
            self.add(turn(load(pair)), 2);
        }
        let (block, part) = rest.as_chunks::<16>();
        if let [block] = block {
            self.single(load_block(block));
        }
        if !part.is_empty() {
            self.single(load_part(part));
        }
    }

    /// Adds the block of two lengths in bytes, which the hash takes in bits.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn lengths(&mut self, first: usize, second: usize) {
        let bits = |bytes| (bytes as u64).wrapping_mul(8).cast_signed();
        let block = _mm_set_epi64x(bits(first), bits(second));
        self.add(_mm256_zextsi128_si256(block), 1);
    }

    /// The hash so far.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn end(self) -> __m128i {
        debug_assert_eq!(self.at, RUN, "as many blocks as announced");
        self.sums.end()
    }
}

/// The hash of bytes of any length, after `hash`.
#[target_feature(enable = "vpclmulqdq,avx2")]
pub fn ghash(powers: &Powers, mut hash: __m128i, data: &[u8]) -> __m128i {
    for part in data.chunks(16 * RUN) {
        let mut run = Run::new(powers, hash, part.len().div_ceil(16));
        run.bytes(part);
        hash = run.end();
    }
    hash
}
