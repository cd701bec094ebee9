//! RSA paddings (RFC 8017) in Rust: DigestInfo and PKCS#1 v1.5 decoding with implicit rejection for both backends
//! (draft-irtf-cfrg-rsa-guidance, as in OpenSSL 3.2); the others for the backend whose crate ties PSS's two hashes together.

use crate::aes::xor;
use crate::rsa::{Oaep, Pss};
use crate::{Digest, Error, Hash, HmacKey, Result, rng};
use std::ops::Deref;
use subtle::{
    Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess,
};
use zeroize::Zeroizing;

/// AlgorithmIdentifier's OID for each hash, with its DER header.
fn hash_oid(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Md5 => b"\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05",
        Hash::Sha1 => b"\x06\x05\x2b\x0e\x03\x02\x1a",
        Hash::Sha256 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01",
        Hash::Sha384 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02",
        Hash::Sha512 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03",
        Hash::Sha224 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04",
        Hash::Sha512_224 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x05",
        Hash::Sha512_256 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x06",
        Hash::Sha3_224 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x07",
        Hash::Sha3_256 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x08",
        Hash::Sha3_384 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x09",
        Hash::Sha3_512 => b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x0a",
    }
}

/// An encoded DigestInfo, in place: a signature takes no memory.
pub struct DigestInfo {
    // 4 bytes of headers, an OID of 11 at most, 4 bytes and the longest digest.
    bytes: [u8; 4 + 11 + 4 + 64],
    len: usize,
}

impl Deref for DigestInfo {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// DigestInfo ::= SEQUENCE { SEQUENCE { oid, NULL }, OCTET STRING digest }
pub fn digest_info(hash: Hash, digest: &[u8]) -> Result<DigestInfo> {
    if digest.len() != hash.len() {
        return Err(Error::BadLength);
    }
    let oid = hash_oid(hash);
    // Every length here is below 128: one byte each.
    let algorithm = oid.len() + 2;
    let total = 2 + algorithm + 2 + digest.len();
    let mut der = DigestInfo {
        bytes: [0; 83],
        len: 0,
    };
    let parts: [&[u8]; 4] = [
        &[0x30, total as u8, 0x30, algorithm as u8],
        oid,
        &[5, 0, 4, digest.len() as u8],
        digest,
    ];
    for part in parts {
        der.bytes[der.len..der.len + part.len()].copy_from_slice(part);
        der.len += part.len();
    }
    Ok(der)
}

/// The draft's IRPRF: as many bytes as `out` has, from the key's secret, a label and the length in bits.
fn expand(key: &HmacKey, label: &[u8], out: &mut [u8]) {
    let bits = ((out.len() * 8) as u16).to_be_bytes();
    for (i, chunk) in out.chunks_mut(32).enumerate() {
        let mut mac = key.start();
        mac.update(&(i as u16).to_be_bytes());
        mac.update(label);
        mac.update(&bits);
        chunk.copy_from_slice(&mac.finish()[..chunk.len()]);
    }
}

/// Takes the padding off a decrypted `block` and writes the message, or a false one when the padding is wrong, to the head of
/// `message` (as long as the block). Which of the two it was shows neither in time nor in memory accesses; only the length is
/// returned in the clear, as it must be.
pub fn pkcs1_decode(
    reject: &HmacKey,
    ciphertext: &[u8],
    block: &[u8],
    message: &mut [u8],
) -> Result<usize> {
    let size = block.len();
    let longest = size.checked_sub(11).ok_or(Error::BadLength)?;
    let secret = HmacKey::new(Hash::Sha256, &reject.mac(ciphertext))?;

    let mut lengths = [0u8; 256];
    expand(&secret, b"length", &mut lengths);
    let mask = (longest as u32 + 1).next_power_of_two() - 1;
    let mut false_len = 0u32;
    for pair in lengths.as_chunks::<2>().0 {
        let candidate = u32::from(u16::from_be_bytes(*pair)) & mask;
        false_len.conditional_assign(&candidate, candidate.ct_lt(&(longest as u32 + 1)));
    }
    let mut false_message = zeroize::Zeroizing::new(vec![0; size]);
    expand(&secret, b"message", &mut false_message);

    // 00 02, at least eight bytes that are not zero, 00, the message.
    let mut good = block[0].ct_eq(&0) & block[1].ct_eq(&2);
    let mut zero_at = 0u32;
    let mut found = Choice::from(0);
    for (i, byte) in block.iter().enumerate().skip(2) {
        let here = byte.ct_eq(&0) & !found;
        zero_at.conditional_assign(&(i as u32), here);
        found |= here;
    }
    good &= found & zero_at.ct_gt(&9);

    let mut len = false_len;
    len.conditional_assign(&(size as u32 - zero_at.wrapping_add(1)), good);
    // Choose the whole block first, so that the choice's access pattern is the same; then cut.
    for (out, (real, fake)) in message
        .iter_mut()
        .zip(block.iter().zip(false_message.iter()))
    {
        *out = u8::conditional_select(fake, real, good);
    }
    let len = len as usize;
    message.copy_within(size - len.., 0);
    Ok(len)
}

/// EMSA-PKCS1-v1_5 around what the caller made.
pub fn pkcs1_sign_encode(input: &[u8], size: usize) -> Result<Vec<u8>> {
    let fill = size
        .checked_sub(input.len() + 3)
        .filter(|&n| n >= 8)
        .ok_or(Error::TooLarge)?;
    let mut block = vec![0xff; size];
    block[..2].copy_from_slice(&[0, 1]);
    block[2 + fill] = 0;
    block[3 + fill..].copy_from_slice(input);
    Ok(block)
}

/// What stands in a signature's block. All of it is public.
pub fn pkcs1_sign_decode(block: &[u8]) -> Result<&[u8]> {
    let fill = block.iter().skip(2).take_while(|&&b| b == 0xff).count();
    match block.get(2 + fill) {
        Some(0) if block[..2] == [0, 1] && fill >= 8 => Ok(&block[3 + fill..]),
        _ => Err(Error::Mismatch),
    }
}

/// EME-PKCS1-v1_5.
pub fn pkcs1_encode(data: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>> {
    let fill = size
        .checked_sub(data.len() + 3)
        .filter(|&n| n >= 8)
        .ok_or(Error::TooLarge)?;
    let mut block = Zeroizing::new(vec![0; size]);
    block[1] = 2;
    rng::fill(&mut block[2..2 + fill])?;
    for at in 2..2 + fill {
        while block[at] == 0 {
            rng::fill(&mut block[at..=at])?;
        }
    }
    block[3 + fill..].copy_from_slice(data);
    Ok(block)
}

/// XORs MGF1 of `seed` over `data`.
fn mgf1(hash: Hash, seed: &[u8], data: &mut [u8]) {
    for (i, chunk) in data.chunks_mut(hash.len()).enumerate() {
        let mut mask = Digest::new(hash);
        mask.update(seed);
        mask.update(&(i as u32).to_be_bytes());
        xor(chunk, &mask.finish()[..chunk.len()]);
    }
}

/// PSS's inner hash: eight zeros, the digest, the salt.
fn pss_hash(hash: Hash, digest: &[u8], salt: &[u8]) -> crate::HashValue {
    let mut inner = Digest::new(hash);
    inner.update(&[0; 8]);
    inner.update(digest);
    inner.update(salt);
    inner.finish()
}

/// EMSA-PSS-ENCODE for a modulus of so many bits.
pub fn pss_encode(pss: &Pss, digest: &[u8], salt: &[u8], bits: usize) -> Result<Vec<u8>> {
    let len = (bits - 1).div_ceil(8);
    let db_len = len
        .checked_sub(pss.hash.len() + 1)
        .ok_or(Error::BadLength)?;
    let salt_at = db_len
        .checked_sub(salt.len())
        .filter(|&n| n > 0)
        .ok_or(Error::BadLength)?;
    let h = pss_hash(pss.hash, digest, salt);
    let mut block = vec![0; len];
    let (db, tail) = block.split_at_mut(db_len);
    db[salt_at - 1] = 1;
    db[salt_at..].copy_from_slice(salt);
    mgf1(pss.mgf, &h, db);
    db[0] &= 0xff >> (8 * len - (bits - 1));
    tail[..h.len()].copy_from_slice(&h);
    tail[h.len()] = 0xbc;
    Ok(block)
}

/// EMSA-PSS-VERIFY; works in place on the block that came out of the public operation. All of it is public.
pub fn pss_verify(pss: &Pss, digest: &[u8], block: &mut [u8], bits: usize) -> Result<()> {
    let len = (bits - 1).div_ceil(8);
    let (zeros, block) = block.split_at_mut(block.len() - len);
    let db_len = len
        .checked_sub(pss.hash.len() + 1)
        .ok_or(Error::BadLength)?;
    let salt_at = db_len
        .checked_sub(pss.salt_len)
        .filter(|&n| n > 0)
        .ok_or(Error::BadLength)?;
    let (db, tail) = block.split_at_mut(db_len);
    let (h, trailer) = tail.split_at(pss.hash.len());
    let unused = !(0xffu8 >> (8 * len - (bits - 1)));
    if zeros.iter().any(|&b| b != 0) || trailer != [0xbc] || db[0] & unused != 0 {
        return Err(Error::Mismatch);
    }
    mgf1(pss.mgf, h, db);
    db[0] &= !unused;
    let (fill, salt) = db.split_at(salt_at);
    let fill_ok = fill[..salt_at - 1].iter().all(|&b| b == 0) && fill[salt_at - 1] == 1;
    if fill_ok && *h == *pss_hash(pss.hash, digest, salt) {
        Ok(())
    } else {
        Err(Error::Mismatch)
    }
}

/// EME-OAEP encoding.
pub fn oaep_encode(oaep: &Oaep, data: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>> {
    let hlen = oaep.hash.len();
    if data.len() + 2 * hlen + 2 > size {
        return Err(Error::TooLarge);
    }
    let mut block = Zeroizing::new(vec![0; size]);
    let (seed, db) = block[1..].split_at_mut(hlen);
    rng::fill(seed)?;
    db[..hlen].copy_from_slice(&oaep.hash.digest(oaep.label));
    let at = db.len() - data.len();
    db[at - 1] = 1;
    db[at..].copy_from_slice(data);
    mgf1(oaep.mgf, seed, db);
    mgf1(oaep.mgf, db, seed);
    Ok(block)
}

/// EME-OAEP decoding in place; one verdict, whichever part is wrong (Manger). Returns the message's length in `out`.
pub fn oaep_decode(oaep: &Oaep, block: &mut [u8], out: &mut [u8]) -> Result<usize> {
    let hlen = oaep.hash.len();
    if block.len() < 2 * hlen + 2 {
        return Err(Error::BadLength);
    }
    let (first, rest) = block.split_at_mut(1);
    let (seed, db) = rest.split_at_mut(hlen);
    mgf1(oaep.mgf, db, seed);
    mgf1(oaep.mgf, seed, db);
    let mut good = first[0].ct_eq(&0) & db[..hlen].ct_eq(&oaep.hash.digest(oaep.label));
    let mut found = Choice::from(0);
    let mut one_at = 0u32;
    for (i, byte) in db.iter().enumerate().skip(hlen) {
        let one = byte.ct_eq(&1) & !found;
        one_at.conditional_assign(&(i as u32), one);
        good &= found | one | byte.ct_eq(&0);
        found |= one;
    }
    if !bool::from(good & found) {
        return Err(Error::BadPadding);
    }
    let message = &db[one_at as usize + 1..];
    out.get_mut(..message.len())
        .ok_or(Error::BadLength)?
        .copy_from_slice(message);
    Ok(message.len())
}
