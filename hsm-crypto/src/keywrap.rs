//! AES key wrap without and with padding: KW (RFC 3394), KWP (RFC 5649), and KW over what PKCS#7's padding has filled up.

use crate::aes::unpad;
use crate::{AesKey, Error, Result};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// KW's initial value, unless the caller has another.
pub const KW_IV: [u8; 8] = [0xa6; 8];
/// KWP's initial value before the length, unless the caller has another.
pub const KWP_IV: [u8; 4] = [0xa6, 0x59, 0x59, 0xa6];

const HALF: usize = 8;

/// Wraps `key`, whole half blocks and at least two, into `out` and returns the length: eight bytes more.
///
/// # Errors
/// `BadLength`.
pub fn wrap(kek: &AesKey, iv: &[u8; 8], key: &[u8], out: &mut [u8]) -> Result<usize> {
    if key.len() < 2 * HALF || !key.len().is_multiple_of(HALF) {
        return Err(Error::BadLength);
    }
    let out = out.get_mut(..key.len() + HALF).ok_or(Error::BadLength)?;
    out[..HALF].copy_from_slice(iv);
    out[HALF..].copy_from_slice(key);
    rounds(kek, out);
    Ok(out.len())
}

/// Unwraps into `out` and returns the length: eight bytes less.
///
/// # Errors
/// `BadLength`; `Mismatch` if the wrapped key was tampered with or wrapped under another key (and `out` wiped).
pub fn unwrap(kek: &AesKey, iv: &[u8; 8], wrapped: &[u8], out: &mut [u8]) -> Result<usize> {
    if wrapped.len() < 3 * HALF || !wrapped.len().is_multiple_of(HALF) {
        return Err(Error::BadLength);
    }
    let out = out
        .get_mut(..wrapped.len() - HALF)
        .ok_or(Error::BadLength)?;
    let mut work = Zeroizing::new(wrapped.to_vec());
    rounds_back(kek, &mut work);
    if !bool::from(work[..HALF].ct_eq(iv)) {
        return Err(Error::Mismatch);
    }
    out.copy_from_slice(&work[HALF..]);
    Ok(out.len())
}

/// How many bytes [`wrap_pad`] makes of a key of `len` bytes.
pub const fn wrap_pad_len(len: usize) -> usize {
    len.next_multiple_of(HALF) + HALF
}

/// Wraps `key` of any length but 0 into `out` and returns the length, [`wrap_pad_len`].
///
/// # Errors
/// `BadLength`.
pub fn wrap_pad(kek: &AesKey, iv: &[u8; 4], key: &[u8], out: &mut [u8]) -> Result<usize> {
    let len = u32::try_from(key.len()).map_err(|_| Error::BadLength)?;
    if len == 0 {
        return Err(Error::BadLength);
    }
    let out = out
        .get_mut(..wrap_pad_len(key.len()))
        .ok_or(Error::BadLength)?;
    out.fill(0);
    out[..4].copy_from_slice(iv);
    out[4..HALF].copy_from_slice(&len.to_be_bytes());
    out[HALF..HALF + key.len()].copy_from_slice(key);
    if let Ok(block) = <&mut [u8; 16]>::try_from(&mut *out) {
        kek.encrypt_block(block);
    } else {
        rounds(kek, out);
    }
    Ok(out.len())
}

/// Unwraps into `out`, which needs `wrapped.len() - 8` bytes, and returns the key's length.
///
/// # Errors
/// `BadLength`; `Mismatch` if the wrapped key was tampered with or wrapped under another key.
pub fn unwrap_pad(kek: &AesKey, iv: &[u8; 4], wrapped: &[u8], out: &mut [u8]) -> Result<usize> {
    if wrapped.len() < 2 * HALF || !wrapped.len().is_multiple_of(HALF) {
        return Err(Error::BadLength);
    }
    let room = wrapped.len() - HALF;
    let out = out.get_mut(..room).ok_or(Error::BadLength)?;
    let mut work = Zeroizing::new(wrapped.to_vec());
    if let Ok(block) = <&mut [u8; 16]>::try_from(&mut work[..]) {
        kek.decrypt_blocks(std::slice::from_mut(block));
    } else {
        rounds_back(kek, &mut work);
    }
    let len = u32::from_be_bytes([work[4], work[5], work[6], work[7]]);
    // The length must lie in the last half block, and what follows it must be zero. One verdict for all three tests.
    let mut good = work[..4].ct_eq(iv);
    let pad = (room as u32).wrapping_sub(len);
    let mut pad_ok = subtle::Choice::from(0);
    for p in 0..HALF as u32 {
        pad_ok |= pad.ct_eq(&p);
    }
    good &= pad_ok;
    let tail = work.len() - HALF;
    for (i, byte) in work[tail..].iter().enumerate() {
        let inside = subtle::ConstantTimeLess::ct_lt(&((HALF - 1 - i) as u32), &pad);
        good &= u8::conditional_select(&0, byte, inside & pad_ok).ct_eq(&0);
    }
    if !bool::from(good) {
        return Err(Error::Mismatch);
    }
    out.copy_from_slice(&work[HALF..]);
    Ok(len as usize)
}

/// How many bytes [`wrap_pkcs7`] makes of a key of `len` bytes.
pub const fn wrap_pkcs7_len(len: usize) -> usize {
    (len / HALF + 1) * HALF + HALF
}

/// Pads `key` as PKCS#7 does, to whole half blocks and always by something, then wraps it into `out` and returns the length,
/// [`wrap_pkcs7_len`].
///
/// # Errors
/// `BadLength`, also for less than eight bytes: KW begins at two half blocks.
pub fn wrap_pkcs7(kek: &AesKey, iv: &[u8; 8], key: &[u8], out: &mut [u8]) -> Result<usize> {
    let pad = HALF - key.len() % HALF;
    let mut padded = Zeroizing::new(Vec::with_capacity(key.len() + pad));
    padded.extend_from_slice(key);
    padded.resize(key.len() + pad, pad as u8);
    wrap(kek, iv, &padded, out)
}

/// Unwraps into `out`, which needs `wrapped.len() - 8` bytes, and returns the key's length.
///
/// # Errors
/// `BadLength`; `Mismatch` if the wrapped key was tampered with or wrapped under another key; `BadPadding` (and `out` wiped).
pub fn unwrap_pkcs7(kek: &AesKey, iv: &[u8; 8], wrapped: &[u8], out: &mut [u8]) -> Result<usize> {
    let len = unwrap(kek, iv, wrapped, out)?;
    match unpad(&out[len - HALF..len]) {
        Ok(rest) => {
            let key = len - HALF + rest;
            out[key..len].zeroize();
            Ok(key)
        }
        Err(e) => {
            out[..len].zeroize();
            Err(e)
        }
    }
}

/// RFC 3394, 2.2.1, in place: `data` is A and then R[1..=n].
fn rounds(kek: &AesKey, data: &mut [u8]) {
    let n = data.len() / HALF - 1;
    let mut block = [0u8; 16];
    block[..HALF].copy_from_slice(&data[..HALF]);
    for j in 0..6 {
        for i in 1..=n {
            block[HALF..].copy_from_slice(&data[i * HALF..][..HALF]);
            kek.encrypt_block(&mut block);
            count(&mut block, (n * j + i) as u64);
            data[i * HALF..][..HALF].copy_from_slice(&block[HALF..]);
        }
    }
    data[..HALF].copy_from_slice(&block[..HALF]);
    block.zeroize();
}

/// RFC 3394, 2.2.2.
fn rounds_back(kek: &AesKey, data: &mut [u8]) {
    let n = data.len() / HALF - 1;
    let mut block = [0u8; 16];
    block[..HALF].copy_from_slice(&data[..HALF]);
    for j in (0..6).rev() {
        for i in (1..=n).rev() {
            count(&mut block, (n * j + i) as u64);
            block[HALF..].copy_from_slice(&data[i * HALF..][..HALF]);
            kek.decrypt_blocks(std::slice::from_mut(&mut block));
            data[i * HALF..][..HALF].copy_from_slice(&block[HALF..]);
        }
    }
    data[..HALF].copy_from_slice(&block[..HALF]);
    block.zeroize();
}

fn count(block: &mut [u8; 16], t: u64) {
    for (byte, t) in block[..HALF].iter_mut().zip(t.to_be_bytes()) {
        *byte ^= t;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3394_4_6_and_back() {
        let kek: Vec<u8> = (0..32).collect();
        let kek = AesKey::new(&kek).unwrap();
        let key = hex::decode("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
            .unwrap();
        let mut out = [0; 40];
        assert_eq!(wrap(&kek, &KW_IV, &key, &mut out), Ok(40));
        assert_eq!(
            hex::encode(out),
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
        );
        let mut back = [0; 32];
        assert_eq!(unwrap(&kek, &KW_IV, &out, &mut back), Ok(32));
        assert_eq!(back[..], key);
        out[39] ^= 1;
        assert_eq!(unwrap(&kek, &KW_IV, &out, &mut back), Err(Error::Mismatch));
        assert_eq!(
            wrap(&kek, &KW_IV, &key[..12], &mut out),
            Err(Error::BadLength)
        );
        assert_eq!(
            wrap(&kek, &KW_IV, &key, &mut out[..39]),
            Err(Error::BadLength)
        );
    }

    #[test]
    fn rfc_5649_6_both_examples() {
        let kek = hex::decode("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8").unwrap();
        let kek = AesKey::new(&kek).unwrap();
        for (key, wrapped) in [
            (
                "c37b7e6492584340bed12207808941155068f738",
                "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
            ),
            ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
        ] {
            let (key, wrapped) = (hex::decode(key).unwrap(), hex::decode(wrapped).unwrap());
            let mut out = vec![0; wrap_pad_len(key.len())];
            assert_eq!(wrap_pad(&kek, &KWP_IV, &key, &mut out), Ok(wrapped.len()));
            assert_eq!(out, wrapped);
            let mut back = vec![0; wrapped.len() - 8];
            assert_eq!(
                unwrap_pad(&kek, &KWP_IV, &wrapped, &mut back),
                Ok(key.len())
            );
            assert_eq!(back[..key.len()], key);
            for bit in 0..wrapped.len() * 8 {
                let mut bad = wrapped.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(
                    unwrap_pad(&kek, &KWP_IV, &bad, &mut back),
                    Err(Error::Mismatch)
                );
            }
        }
    }

    #[test]
    fn kwp_refuses_a_wrong_length_and_a_pad_that_is_not_zero() {
        let kek = AesKey::new(&[7; 16]).unwrap();
        for (len, last, good) in [
            (12u32, 0u8, true),
            (16, 0, true),
            (12, 1, false),
            (8, 0, false),
            (17, 0, false),
        ] {
            let mut data = [0u8; 24];
            data[..4].copy_from_slice(&KWP_IV);
            data[4..8].copy_from_slice(&len.to_be_bytes());
            data[8..23].fill(0x55);
            data[8 + (len as usize).min(16)..].fill(0);
            data[23] |= last;
            rounds(&kek, &mut data);
            let mut out = [0; 16];
            let got = unwrap_pad(&kek, &KWP_IV, &data, &mut out);
            assert_eq!(got.is_ok(), good, "length {len}, last byte {last}: {got:?}");
        }
    }

    /// `openssl enc -id-aes128-wrap` over the padded key, which is what PKCS#11 says of this padding.
    #[test]
    fn pkcs7_is_kw_over_the_padded_key() {
        let kek: Vec<u8> = (0..16).collect();
        let kek = AesKey::new(&kek).unwrap();
        let key: Vec<u8> = (0x10..0x31).collect();
        for (len, wrapped) in [
            (8, "facb727319373a4e6f5c430b6edeef61f3b64e3097164c17"),
            (
                20,
                "0778382ba17be943858563330d69516d13b257393137cc04c2cb33dddb8647a8",
            ),
            (
                32,
                "14c7205c5aa94ac77056f317e56f6bba1f7edba4ee9ed052e3bf044813af5c0abe3179ebfc242b755cf933f9b3e31919",
            ),
            (
                33,
                "2080d1981a2df55efd9c1cd9b61226f7efe28fdcd2b5125d67d41df3fd5e030afa937c9a05032b429b264891a2dfa7d7",
            ),
        ] {
            let mut out = vec![0; wrap_pkcs7_len(len)];
            assert_eq!(
                wrap_pkcs7(&kek, &KW_IV, &key[..len], &mut out),
                Ok(out.len())
            );
            assert_eq!(hex::encode(&out), wrapped, "{len} bytes");
            let mut back = vec![1; out.len() - 8];
            assert_eq!(unwrap_pkcs7(&kek, &KW_IV, &out, &mut back), Ok(len));
            assert_eq!(back[..len], key[..len]);
            assert!(back[len..].iter().all(|b| *b == 0), "the padding is gone");
            out[3] ^= 1;
            let refused = unwrap_pkcs7(&kek, &KW_IV, &out, &mut back);
            assert_eq!(refused, Err(Error::Mismatch));
        }
        assert_eq!(
            wrap_pkcs7(&kek, &KW_IV, &key[..7], &mut [0; 24]),
            Err(Error::BadLength)
        );
    }

    #[test]
    fn a_padding_that_is_none_is_refused_and_nothing_comes_out() {
        let kek = AesKey::new(&[7; 32]).unwrap();
        let mut key = [0x55; 24];
        for (tail, good) in [
            ([8; 8], true),
            ([0x55, 7, 7, 7, 7, 7, 7, 7], true),
            ([9; 8], false),
            ([0; 8], false),
            ([0x55, 0x55, 0x55, 0x55, 0x55, 3, 2, 3], false),
        ] {
            key[16..].copy_from_slice(&tail);
            let (mut wrapped, mut back) = ([0; 32], [1; 24]);
            wrap(&kek, &KW_IV, &key, &mut wrapped).unwrap();
            let got = unwrap_pkcs7(&kek, &KW_IV, &wrapped, &mut back);
            assert_eq!(got.is_ok(), good, "{tail:?}");
            assert!(good || (got == Err(Error::BadPadding) && back == [0; 24]));
        }
    }
}
