//! Bytes to registers and back. A register of 256 bits holds two blocks, the first one in its lower lane.

use std::arch::x86_64::*;

/// One AES block.
pub type Block = [u8; 16];

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
pub fn load_pair(from: &[Block; 2]) -> __m256i {
    // SAFETY: two blocks without a gap are the 32 bytes that are read.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
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
