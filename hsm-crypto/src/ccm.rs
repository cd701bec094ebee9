//! AES-CCM (NIST SP 800-38C). It needs the message's length first, so there is no stream: the caller collects.

use crate::aes::{BLOCK, xor};
use crate::{AesKey, Error, Result};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Encrypts `data` into `out`, tag behind, and returns how many bytes that is.
///
/// # Errors
/// `BadLength` unless the nonce has 7 to 13 bytes and the tag 4, 6, ... 16, or if `out` is too short; `TooLarge` if the
/// message's length does not fit into the 15 bytes less the nonce's.
pub fn seal(
    key: &AesKey,
    nonce: &[u8],
    aad: &[u8],
    data: &[u8],
    out: &mut [u8],
    tag_len: usize,
) -> Result<usize> {
    check(nonce, data.len(), tag_len)?;
    let total = data.len() + tag_len;
    let (cipher, tag) = out
        .get_mut(..total)
        .ok_or(Error::BadLength)?
        .split_at_mut(data.len());
    let mac = mac(key, nonce, aad, data, tag_len)?;
    crypt(key, nonce, data, cipher)?;
    tag.copy_from_slice(&mac[..tag_len]);
    Ok(total)
}

/// Decrypts `data` (its tag behind) into `out` and returns the plaintext's length. Nothing of the plaintext is left in `out`
/// when the tag is wrong.
///
/// # Errors
/// `Mismatch` for a wrong tag; else as [`seal`].
pub fn open(
    key: &AesKey,
    nonce: &[u8],
    aad: &[u8],
    data: &[u8],
    out: &mut [u8],
    tag_len: usize,
) -> Result<usize> {
    let len = data.len().checked_sub(tag_len).ok_or(Error::BadLength)?;
    check(nonce, len, tag_len)?;
    let (cipher, tag) = data.split_at(len);
    let out = out.get_mut(..len).ok_or(Error::BadLength)?;
    crypt(key, nonce, cipher, out)?;
    let mac = mac(key, nonce, aad, out, tag_len)?;
    if mac[..tag_len].ct_eq(tag).into() {
        Ok(len)
    } else {
        out.zeroize();
        Err(Error::Mismatch)
    }
}

fn check(nonce: &[u8], data: usize, tag: usize) -> Result<()> {
    if !(7..=13).contains(&nonce.len()) || !(4..=16).contains(&tag) || !tag.is_multiple_of(2) {
        return Err(Error::BadLength);
    }
    let length_bytes = 15 - nonce.len();
    if length_bytes < 8 && data as u64 >= 1 << (8 * length_bytes) {
        return Err(Error::TooLarge);
    }
    Ok(())
}

/// Counter block number 0: its encryption masks the tag, the following ones the message.
fn counter_block(nonce: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[0] = (14 - nonce.len()) as u8;
    block[1..=nonce.len()].copy_from_slice(nonce);
    block
}

fn crypt(key: &AesKey, nonce: &[u8], data: &[u8], out: &mut [u8]) -> Result<()> {
    let mut counter = counter_block(nonce);
    counter[15] = 1;
    key.ctr(&mut counter, 8 * (15 - nonce.len() as u32), data, out)
}

/// The masked tag: CBC-MAC over the first block, the additional data with its length, the message.
fn mac(key: &AesKey, nonce: &[u8], aad: &[u8], data: &[u8], tag_len: usize) -> Result<[u8; BLOCK]> {
    let mut first = counter_block(nonce);
    first[0] |= 8 * ((tag_len - 2) / 2) as u8;
    if !aad.is_empty() {
        first[0] |= 0x40;
    }
    let length = (data.len() as u64).to_be_bytes();
    let length_bytes = (15 - nonce.len()).min(8);
    first[BLOCK - length_bytes..].copy_from_slice(&length[8 - length_bytes..]);

    let mut chain = [0; BLOCK];
    absorb(key, &mut chain, &first)?;
    if !aad.is_empty() {
        let mut head = match aad.len() {
            len @ ..0xff00 => (len as u16).to_be_bytes().to_vec(),
            len if u32::try_from(len).is_ok() => {
                [&[0xff, 0xfe][..], &(len as u32).to_be_bytes()].concat()
            }
            len => [&[0xff, 0xff][..], &(len as u64).to_be_bytes()].concat(),
        };
        let rest = aad.len().min(BLOCK - head.len());
        head.extend(&aad[..rest]);
        absorb(key, &mut chain, &head)?;
        absorb(key, &mut chain, &aad[rest..])?;
    }
    absorb(key, &mut chain, data)?;
    let mut mask = counter_block(nonce);
    key.encrypt_block(&mut mask);
    xor(&mut chain, &mask);
    Ok(chain)
}

/// CBC-MAC, the last block padded with zeros.
fn absorb(key: &AesKey, chain: &mut [u8; BLOCK], data: &[u8]) -> Result<()> {
    let mut scratch = Zeroizing::new([0u8; 64 * BLOCK]);
    let (full, rest) = data.split_at(data.len() - data.len() % BLOCK);
    for part in full.chunks(scratch.len()) {
        key.cbc_encrypt(chain, part, &mut scratch[..])?;
    }
    if !rest.is_empty() {
        let mut last = Zeroizing::new([0; BLOCK]);
        last[..rest.len()].copy_from_slice(rest);
        key.cbc_encrypt(chain, &last[..], &mut scratch[..])?;
    }
    Ok(())
}
