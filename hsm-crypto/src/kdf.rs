//! Key derivation: HKDF (RFC 5869), PBKDF2 (RFC 8018), SP 800-108 with PKCS#11's free order of fields, X9.63 and SP 800-56C.

use crate::{AesKey, Cmac, Digest, Error, Hash, HashValue, HmacKey, Result};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// HKDF's first half: a key of the hash's length from any secret.
///
/// # Errors
/// `Internal` if the library fails.
pub fn hkdf_extract(hash: Hash, salt: &[u8], secret: &[u8]) -> Result<Zeroizing<HashValue>> {
    // An empty salt and one of zeros are the same HMAC key.
    Ok(Zeroizing::new(HmacKey::new(hash, salt)?.mac(secret)))
}

/// HKDF's second half: fills `out` from a key.
///
/// # Errors
/// `TooLarge` above 255 times the hash's length.
pub fn hkdf_expand(hash: Hash, key: &[u8], info: &[u8], out: &mut [u8]) -> Result<()> {
    if out.len() > 255 * hash.len() {
        return Err(Error::TooLarge);
    }
    let key = HmacKey::new(hash, key)?;
    let mut last: Option<Zeroizing<HashValue>> = None;
    for (i, chunk) in out.chunks_mut(hash.len()).enumerate() {
        let mut mac = key.start();
        if let Some(last) = &last {
            mac.update(last);
        }
        mac.update(info);
        mac.update(&[i as u8 + 1]);
        let block = Zeroizing::new(mac.finish());
        chunk.copy_from_slice(&block[..chunk.len()]);
        last = Some(block);
    }
    Ok(())
}

/// PBKDF2 with HMAC.
///
/// # Errors
/// `BadLength` for no iterations.
pub fn pbkdf2(
    hash: Hash,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
) -> Result<()> {
    if iterations == 0 {
        return Err(Error::BadLength);
    }
    let key = HmacKey::new(hash, password)?;
    for (i, chunk) in out.chunks_mut(hash.len()).enumerate() {
        let mut mac = key.start();
        mac.update(salt);
        mac.update(
            &u32::try_from(i + 1)
                .map_err(|_| Error::TooLarge)?
                .to_be_bytes(),
        );
        let mut u = Zeroizing::new(mac.finish());
        let mut sum = u.clone();
        for _ in 1..iterations {
            *u = key.mac(&u);
            crate::aes::xor(&mut sum.bytes, &u.bytes);
        }
        chunk.copy_from_slice(&sum[..chunk.len()]);
    }
    Ok(())
}

/// The pseudo-random function of SP 800-108.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Prf {
    Hmac(Arc<HmacKey>),
    Cmac(Arc<AesKey>),
}

impl Prf {
    /// Bytes that one call gives.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Prf::Hmac(key) => key.hash().len(),
            Prf::Cmac(_) => 16,
        }
    }

    fn mac(&self, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        match self {
            Prf::Hmac(key) => {
                let mut mac = key.start();
                parts.iter().for_each(|part| mac.update(part));
                Zeroizing::new(mac.finish().to_vec())
            }
            Prf::Cmac(key) => {
                let mut mac = Cmac::new(key.clone());
                parts.iter().for_each(|part| mac.update(part));
                Zeroizing::new(mac.finish().to_vec())
            }
        }
    }
}

/// How SP 800-108 goes from one block to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain<'a> {
    /// Every block from the counter alone.
    Counter,
    /// Every block from the one before; the first from this initial value, which may be empty.
    Feedback(&'a [u8]),
    /// Every block from a second chain that starts at the fixed fields.
    DoublePipeline,
}

/// One field of what the function is applied to, in the caller's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Field<'a> {
    /// The block's number from 1, in 1 to 4 bytes.
    Counter { bytes: usize, little_endian: bool },
    /// Where the chain's value goes (not in `Chain::Counter`).
    Chain,
    /// Label, context, separator, the length of the output: whatever is the same for all blocks.
    Fixed(&'a [u8]),
}

/// SP 800-108: fills `out`.
///
/// # Errors
/// `BadLength` for fields that don't suit the chain, `TooLarge` if the counter does not suffice for `out`.
pub fn sp800_108(prf: &Prf, chain: Chain, fields: &[Field], out: &mut [u8]) -> Result<()> {
    let blocks = out.len().div_ceil(prf.len());
    let (mut counters, mut chains) = (0, 0);
    for field in fields {
        match *field {
            Field::Counter { bytes, .. } if (1..=4).contains(&bytes) => {
                counters += 1;
                if blocks as u64 >= 1 << (8 * bytes) {
                    return Err(Error::TooLarge);
                }
            }
            Field::Counter { .. } => return Err(Error::BadLength),
            Field::Chain => chains += 1,
            Field::Fixed(_) => {}
        }
    }
    let suits = match chain {
        Chain::Counter => (counters, chains) == (1, 0),
        _ => counters <= 1 && chains == 1,
    };
    if !suits {
        return Err(Error::BadLength);
    }
    let fixed: Vec<&[u8]> = fields
        .iter()
        .filter_map(|field| {
            if let Field::Fixed(bytes) = field {
                Some(*bytes)
            } else {
                None
            }
        })
        .collect();
    let mut value = match chain {
        Chain::Counter => Zeroizing::new(vec![]),
        Chain::Feedback(iv) => Zeroizing::new(iv.to_vec()),
        Chain::DoublePipeline => prf.mac(&fixed),
    };
    for (i, chunk) in out.chunks_mut(prf.len()).enumerate() {
        if chain == Chain::DoublePipeline && i > 0 {
            value = prf.mac(&[&value]);
        }
        let number = i as u32 + 1;
        let (big, little) = (number.to_be_bytes(), number.to_le_bytes());
        let parts: Vec<&[u8]> = fields
            .iter()
            .map(|field| match *field {
                Field::Counter {
                    bytes,
                    little_endian: true,
                } => &little[..bytes],
                Field::Counter {
                    bytes,
                    little_endian: false,
                } => &big[4 - bytes..],
                Field::Chain => &value,
                Field::Fixed(bytes) => bytes,
            })
            .collect();
        let block = prf.mac(&parts);
        chunk.copy_from_slice(&block[..chunk.len()]);
        if let Chain::Feedback(_) = chain {
            value = block;
        }
    }
    Ok(())
}

/// The KDF of ANSI X9.63 (CKD_SHA*_KDF): hash of secret, counter, shared info.
///
/// # Errors
/// `TooLarge` if the counter does not suffice.
pub fn x963(hash: Hash, secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<()> {
    each_block(hash, out, |digest, counter| {
        digest.update(secret);
        digest.update(counter);
        digest.update(info);
    })
}

/// The one-step KDF of SP 800-56C (CKD_SHA*_KDF_SP800): hash of counter, secret, fixed info.
///
/// # Errors
/// `TooLarge` if the counter does not suffice.
pub fn sp800_56c(hash: Hash, secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<()> {
    each_block(hash, out, |digest, counter| {
        digest.update(counter);
        digest.update(secret);
        digest.update(info);
    })
}

fn each_block(hash: Hash, out: &mut [u8], feed: impl Fn(&mut Digest, &[u8])) -> Result<()> {
    for (i, chunk) in out.chunks_mut(hash.len()).enumerate() {
        let counter = u32::try_from(i + 1).map_err(|_| Error::TooLarge)?;
        let mut digest = Digest::new(hash);
        feed(&mut digest, &counter.to_be_bytes());
        let mut block = digest.finish();
        chunk.copy_from_slice(&block[..chunk.len()]);
        block.zeroize();
    }
    Ok(())
}
