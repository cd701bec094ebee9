//! RSA paddings (RFC 8017) in Rust: DigestInfo and PKCS#1 v1.5 decoding with implicit rejection for both backends
//! (draft-irtf-cfrg-rsa-guidance, as in OpenSSL 3.2).

use crate::{Error, Hash, HmacKey, Result};
use subtle::{
    Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess,
};

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

/// DigestInfo ::= SEQUENCE { SEQUENCE { oid, NULL }, OCTET STRING digest }
pub fn digest_info(hash: Hash, digest: &[u8]) -> Result<Vec<u8>> {
    if digest.len() != hash.len() {
        return Err(Error::BadLength);
    }
    let oid = hash_oid(hash);
    // Every length here is below 128: one byte each.
    let algorithm = oid.len() + 2;
    let mut der = vec![
        0x30,
        (2 + algorithm + 2 + digest.len()) as u8,
        0x30,
        algorithm as u8,
    ];
    der.extend(oid);
    der.extend([5, 0, 4, digest.len() as u8]);
    der.extend(digest);
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
