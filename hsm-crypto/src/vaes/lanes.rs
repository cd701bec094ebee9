//! Bytes to registers and back. A register of 256 bits holds two blocks, the first one in its lower lane.

use std::arch::x86_64::*;
use zeroize::Zeroize;

/// One AES block.
pub type Block = [u8; 16];

/// A block of zeros.
pub fn zero() -> __m128i {
    // SAFETY: SSE2, all that this requires, is part of the architecture.
    unsafe { _mm_setzero_si128() }
}

/// Two blocks.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load(from: &[u8; 32]) -> __m256i {
    // SAFETY: the array has the 32 bytes that are read, and the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Two blocks.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store(to: &mut [u8; 32], lanes: __m256i) {
    // SAFETY: the array has the 32 bytes that are written, and the instruction asks for no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), lanes) }
}

/// Two neighbours of a table.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load_pair(from: &[__m128i; 2]) -> __m256i {
    // SAFETY: two blocks without a gap are the 32 bytes that are read.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Two neighbours of a table.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store_pair(to: &mut [__m128i; 2], lanes: __m256i) {
    // SAFETY: two blocks without a gap are the 32 bytes that are written.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), lanes) }
}

/// One block.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load_block(from: &Block) -> __m128i {
    // SAFETY: the array has the 16 bytes that are read, and the instruction asks for no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// One block.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store_block(to: &mut Block, block: __m128i) {
    // SAFETY: the array has the 16 bytes that are written, and the instruction asks for no alignment.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), block) }
}

/// Turns the bytes of each lane round: GHASH numbers bits from the left, the processor from the right.
#[inline]
#[target_feature(enable = "avx2")]
pub fn turn(lanes: __m256i) -> __m256i {
    let order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm256_shuffle_epi8(lanes, _mm256_broadcastsi128_si256(order))
}

/// The same for one block.
#[inline]
#[target_feature(enable = "avx2")]
pub fn turn_block(block: __m128i) -> __m128i {
    let order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm_shuffle_epi8(block, order)
}

/// Fewer bytes than a block, with zeros behind. Read as two words that may overlap, not copied into a buffer: a load that
/// spans two stores before it has to wait for both.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load_part(from: &[u8]) -> __m128i {
    let word = number(from).to_le_bytes();
    load_block(&word)
}

/// The first bytes of a block, fewer than all.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store_part(to: &mut [u8], block: __m128i) {
    let mut bytes = [0; 16];
    store_block(&mut bytes, block);
    to.copy_from_slice(&bytes[..to.len()]);
    bytes.zeroize();
}

/// At most 16 bytes as a number, the first one the lowest.
#[inline]
pub fn number(from: &[u8]) -> u128 {
    let len = from.len();
    if let Some(all) = from.first_chunk() {
        return u128::from_le_bytes(*all);
    }
    if let (Some(head), Some(tail)) = (from.first_chunk(), from.last_chunk()) {
        let (head, tail) = (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
        return u128::from(head) | u128::from(tail) << (8 * (len - 8));
    }
    if let (Some(head), Some(tail)) = (from.first_chunk(), from.last_chunk()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        return u128::from(head) | u128::from(tail) << (8 * (len - 4));
    }
    let bytes = from.iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u128::from(*byte))
}
