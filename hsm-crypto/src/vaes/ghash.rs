//! GHASH (SP 800-38D, 6.4): x_1·H^n + x_2·H^(n-1) + ... + x_n·H for up to 33 blocks, reduced once.
//!
//! Blocks are turned byte by byte, so that the processor's products of polynomials apply. These numbers have their bits in
//! the reverse order, which makes each product one bit too short: the powers are stored times x. What is to be reduced then
//! is a sum of 255 bits over x^128, and two products with the upper half of x^128 + x^127 + x^126 + x^121 + 1 do it.
#![forbid(unsafe_code)]

use std::arch::x86_64::*;
use zeroize::Zeroize;

use super::lanes::{Block, load, load_pair, store_block, turn, turn_block};

/// So many blocks may be added before a reduction: a batch, what is left behind the batches, and the lengths.
pub const RUN: usize = 33;

/// H^33, H^32, ... H, then nothing; and of each the sum of its halves (Karatsuba). Wiped when dropped.
pub struct Powers {
    whole: [Block; RUN + 1],
    sums: [Block; RUN + 1],
}

impl Drop for Powers {
    fn drop(&mut self) {
        self.whole.zeroize();
        self.sums.zeroize();
    }
}

impl Powers {
    pub fn empty() -> Self {
        Powers {
            whole: [[0; 16]; RUN + 1],
            sums: [[0; 16]; RUN + 1],
        }
    }

    /// All powers of the hash key `h`.
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn fill(&mut self, h: &Block) {
        // Times x: the bit that falls out at the top comes back as the polynomial.
        let number = u128::from_be_bytes(*h);
        let polynomial = 0xc200_0000_0000_0000_0000_0000_0000_0001_u128;
        let one = (number << 1) ^ (polynomial & (number >> 127).wrapping_neg());
        self.set(1, &one.to_le_bytes());
        for power in 2..=RUN {
            let mut sums = Sums::zero();
            let first = self.pair(RUN - 1).0;
            let before = self.pair(RUN - (power - 1)).0;
            // The upper lane is of no interest.
            sums.add(first, before, fold(before));
            let mut next = [0; 16];
            store_block(&mut next, _mm256_castsi256_si128(sums.reduce()));
            self.set(power, &next);
            next.zeroize();
        }
    }

    #[target_feature(enable = "avx2")]
    fn set(&mut self, power: usize, value: &Block) {
        let at = RUN - power;
        self.whole[at] = *value;
        let pair = fold(self.pair(at).0);
        store_block(&mut self.sums[at], _mm256_castsi256_si128(pair));
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
            let table: &[Block; RUN + 1] = table;
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
    whole: &'a [Block; 16],
    sums: &'a [Block; 16],
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

    /// The hash: both lanes reduced and added, in the lower lane; the upper one is zero.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx2")]
    pub fn end(&self) -> __m256i {
        let lanes = self.reduce();
        let both = _mm_xor_si128(
            _mm256_castsi256_si128(lanes),
            _mm256_extracti128_si256::<1>(lanes),
        );
        _mm256_zextsi128_si256(both)
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
    pub fn new(powers: &'a Powers, hash: __m256i, blocks: usize) -> Self {
        Run {
            powers,
            at: RUN - blocks,
            hash,
            sums: Sums::zero(),
        }
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
        if !rest.is_empty() {
            let mut last = [0; 32];
            last[..rest.len()].copy_from_slice(rest);
            self.add(turn(load(&last)), rest.len().div_ceil(16));
            last.zeroize();
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
    pub fn end(self) -> __m256i {
        debug_assert_eq!(self.at, RUN, "as many blocks as announced");
        self.sums.end()
    }
}

/// The hash of bytes of any length, after `hash`.
#[target_feature(enable = "vpclmulqdq,avx2")]
pub fn ghash(powers: &Powers, mut hash: __m256i, data: &[u8]) -> __m256i {
    for part in data.chunks(16 * RUN) {
        let mut run = Run::new(powers, hash, part.len().div_ceil(16));
        run.bytes(part);
        hash = run.end();
    }
    hash
}

/// The hash as the standard's block.
#[inline]
#[target_feature(enable = "avx2")]
pub fn value(hash: __m256i) -> Block {
    let mut block = [0; 16];
    store_block(&mut block, turn_block(_mm256_castsi256_si128(hash)));
    block
}
