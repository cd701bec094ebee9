//! AES-CBC with ciphertext stealing, variant CS1 (NIST SP 800-38A, addendum): as long as the message, and plain CBC where the
//! message is whole blocks. PKCS#11 names no variant; this is the one of the document that it refers to first.

use crate::aes::{BLOCK, xor};
use crate::{AesKey, Error, Result};
use zeroize::Zeroizing;

/// Encrypts `data`, at least a block, into `out` and returns the length, which is the same.
///
/// # Errors
/// `BadLength` for less than a block, or if `out` is too short.
pub fn encrypt(key: &AesKey, iv: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
    let out = same_len(data, out)?;
    let rest = data.len() % BLOCK;
    let (full, tail) = data.split_at(data.len() - rest);
    let mut iv = *iv;
    key.cbc_encrypt(&mut iv, full, out)?;
    if rest > 0 {
        // The last whole block gives its end away, and the padded rest goes behind it.
        let mut last = Zeroizing::new([0; BLOCK]);
        last[..rest].copy_from_slice(tail);
        let start = full.len() - BLOCK + rest;
        key.cbc_encrypt(&mut iv, &last[..], &mut out[start..])?;
    }
    Ok(data.len())
}

/// Decrypts `data`, at least a block, into `out` and returns the length, which is the same.
///
/// # Errors
/// `BadLength` for less than a block, or if `out` is too short.
pub fn decrypt(key: &AesKey, iv: &[u8; BLOCK], data: &[u8], out: &mut [u8]) -> Result<usize> {
    let out = same_len(data, out)?;
    let rest = data.len() % BLOCK;
    let mut iv = *iv;
    if rest == 0 {
        key.cbc_decrypt(&mut iv, data, out)?;
        return Ok(data.len());
    }
    let (head, last) = data.split_at(data.len() - BLOCK);
    let (full, kept) = head.split_at(head.len() - rest);
    let mut plain = Zeroizing::new([0; BLOCK]);
    key.ecb_decrypt(last, &mut plain[..])?;
    // The stolen end of the block before comes back out of the last one, which was padded with zeros.
    let mut stolen = *plain;
    stolen[..rest].copy_from_slice(kept);
    xor(&mut plain[..rest], kept);
    key.cbc_decrypt(&mut iv, full, out)?;
    key.cbc_decrypt(&mut iv, &stolen, &mut out[full.len()..])?;
    out[full.len() + BLOCK..].copy_from_slice(&plain[..rest]);
    Ok(data.len())
}

fn same_len<'a>(data: &[u8], out: &'a mut [u8]) -> Result<&'a mut [u8]> {
    if data.len() < BLOCK {
        return Err(Error::BadLength);
    }
    out.get_mut(..data.len()).ok_or(Error::BadLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3962, appendix B, is CS3: the same with the last two blocks swapped (always, even if whole).
    #[test]
    fn rfc_3962_b_after_swapping_the_last_two() {
        let key = AesKey::new(b"chicken teriyaki").unwrap();
        let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
        for (len, cs3) in [
            (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
            (
                31,
                "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
            ),
            (
                47,
                "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5",
            ),
        ] {
            let cs3 = hex::decode(cs3).unwrap();
            let head = (len - 1) / BLOCK * BLOCK - BLOCK;
            let mut want = cs3[..head].to_vec();
            want.extend_from_slice(&cs3[head + BLOCK..]);
            want.extend_from_slice(&cs3[head..head + BLOCK]);
            let mut out = vec![0; len];
            assert_eq!(encrypt(&key, &[0; 16], &text[..len], &mut out), Ok(len));
            assert_eq!(hex::encode(&out), hex::encode(&want), "{len}");
            let mut back = vec![0; len];
            assert_eq!(decrypt(&key, &[0; 16], &out, &mut back), Ok(len));
            assert_eq!(back, text[..len]);
        }
    }

    #[test]
    fn whole_blocks_are_cbc_and_all_lengths_come_back() {
        let key = AesKey::new(&[5; 32]).unwrap();
        let data: Vec<u8> = (0..80).collect();
        for len in 16..=80 {
            let (mut out, mut back) = (vec![0; len], vec![0; len]);
            encrypt(&key, &[9; 16], &data[..len], &mut out).unwrap();
            decrypt(&key, &[9; 16], &out, &mut back).unwrap();
            assert_eq!(back, data[..len], "{len}");
            if len % 16 == 0 {
                let mut cbc = vec![0; len];
                key.cbc_encrypt(&mut [9; 16], &data[..len], &mut cbc)
                    .unwrap();
                assert_eq!(out, cbc, "{len}");
            }
        }
        assert_eq!(
            encrypt(&key, &[0; 16], &data[..15], &mut [0; 15]),
            Err(Error::BadLength)
        );
        assert_eq!(
            decrypt(&key, &[0; 16], &data[..15], &mut [0; 15]),
            Err(Error::BadLength)
        );
    }
}
