//! RSA (RFC 8017): keys, PKCS#1 v1.5, PSS, OAEP, and the bare operation.

use crate::backend::rsa as imp;
use crate::{Error, Hash, HmacKey, Result, rsa_padding};
use std::fmt;
use std::sync::OnceLock;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a private key consists of, all numbers big-endian.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Parts {
    pub n: Vec<u8>,
    pub e: Vec<u8>,
    pub d: Zeroizing<Vec<u8>>,
    /// Without them the operations are several times slower.
    pub crt: Option<Crt>,
}

/// The primes and what the Chinese remainder theorem needs.
#[allow(missing_docs)]
pub struct Crt {
    pub p: Zeroizing<Vec<u8>>,
    pub q: Zeroizing<Vec<u8>>,
    pub dp: Zeroizing<Vec<u8>>,
    pub dq: Zeroizing<Vec<u8>>,
    pub qinv: Zeroizing<Vec<u8>>,
}

/// The parameters of RSASSA-PSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Pss {
    pub hash: Hash,
    pub mgf: Hash,
    pub salt_len: usize,
}

/// The parameters of RSAES-OAEP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Oaep<'a> {
    pub hash: Hash,
    pub mgf: Hash,
    pub label: &'a [u8],
}

/// An RSA key, public or private, parsed once. Shareable. Private operations on a public key are refused as `Unsupported`.
pub struct RsaKey {
    size: usize,
    private: bool,
    key: imp::Key,
    /// The secret from which implicit rejection makes its false messages; made at the first decryption.
    reject: OnceLock<Box<HmacKey>>,
}

impl RsaKey {
    fn new(key: imp::Key, private: bool) -> Self {
        RsaKey {
            size: key.size(),
            private,
            key,
            reject: OnceLock::new(),
        }
    }

    /// Makes a key pair. The modulus has exactly `bits` bits.
    ///
    /// # Errors
    /// `BadLength` if `bits` is not a multiple of 128 between 1024 and 16384; `BadKey` for an even or too small exponent.
    pub fn generate(bits: usize, exponent: &[u8]) -> Result<Self> {
        // AWS-LC would round other sizes down without a word.
        if !(1024..=16384).contains(&bits) || !bits.is_multiple_of(128) {
            return Err(Error::BadLength);
        }
        if exponent.last().is_none_or(|b| b % 2 == 0) || trim(exponent) == [1] {
            return Err(Error::BadKey);
        }
        Ok(Self::new(imp::Key::generate(bits, exponent)?, true))
    }

    /// A public key.
    ///
    /// # Errors
    /// `BadKey` if the numbers can't be an RSA key.
    pub fn from_public(n: &[u8], e: &[u8]) -> Result<Self> {
        Ok(Self::new(imp::Key::public(trim(n), trim(e))?, false))
    }

    /// A private key. The numbers are checked against each other.
    ///
    /// # Errors
    /// `BadKey` if they don't fit.
    pub fn from_parts(parts: &Parts) -> Result<Self> {
        Ok(Self::new(imp::Key::private(parts)?, true))
    }

    /// Bytes of the modulus, of a ciphertext and of a signature.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bits of the modulus.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn bits(&self) -> Result<usize> {
        let n = self.n()?;
        Ok(n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize))
    }

    /// Whether it can sign and decrypt.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The modulus, big-endian, no leading zeros.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn n(&self) -> Result<Vec<u8>> {
        self.key.n()
    }

    /// The public exponent, big-endian, no leading zeros.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn e(&self) -> Result<Vec<u8>> {
        self.key.e()
    }

    /// All numbers of a private key.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn parts(&self) -> Result<Parts> {
        self.need_private()?;
        let crt = self
            .key
            .crt()?
            .map(|[p, q, dp, dq, qinv]| Crt { p, q, dp, dq, qinv });
        Ok(Parts {
            n: self.n()?,
            e: self.e()?,
            d: self.key.d()?,
            crt,
        })
    }

    /// The public half.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn to_public(&self) -> Result<Self> {
        Self::from_public(&self.n()?, &self.e()?)
    }

    /// The bare private operation (X.509 mechanism) on a number below the modulus; shorter input is padded on the left.
    ///
    /// # Errors
    /// `BadLength`, `TooLarge` if the number is not below the modulus, `Unsupported` for a public key.
    pub fn private_raw(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        let input = Zeroizing::new(self.left_pad(input)?);
        self.key.private_raw(&input, self.room(out)?)?;
        Ok(self.size)
    }

    /// The bare public operation (X.509 mechanism) on a number below the modulus; shorter input is padded on the left.
    ///
    /// # Errors
    /// `BadLength`, `TooLarge` if the number is not below the modulus.
    pub fn public_raw(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let input = Zeroizing::new(self.left_pad(input)?);
        self.key.public_raw(&input, self.room(out)?)?;
        Ok(self.size)
    }

    /// PKCS#1 v1.5 signature over what the caller made, a DigestInfo as a rule.
    ///
    /// # Errors
    /// `TooLarge` if `input` is longer than the modulus less 11 bytes, `BadLength`, `Unsupported` for a public key.
    pub fn sign_pkcs1_raw(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        if input.len() + 11 > self.size {
            return Err(Error::TooLarge);
        }
        self.key.sign_pkcs1(input, self.room(out)?)?;
        Ok(self.size)
    }

    /// Verifies a PKCS#1 v1.5 signature over what the caller made.
    ///
    /// # Errors
    /// `BadLength` if the signature is not as long as the modulus, `Mismatch`.
    pub fn verify_pkcs1_raw(&self, input: &[u8], signature: &[u8]) -> Result<()> {
        let mut seen = vec![0; self.size];
        let len = self.recover_pkcs1(signature, &mut seen)?;
        if seen[..len].ct_eq(input).into() {
            Ok(())
        } else {
            Err(Error::Mismatch)
        }
    }

    /// What was signed under PKCS#1 v1.5, into `out`; returns its length.
    ///
    /// # Errors
    /// `BadLength` if the signature is not as long as the modulus or `out` too short, `Mismatch`.
    pub fn recover_pkcs1(&self, signature: &[u8], out: &mut [u8]) -> Result<usize> {
        if signature.len() != self.size {
            return Err(Error::BadLength);
        }
        let mut seen = vec![0; self.size];
        let len = self.key.recover_pkcs1(signature, &mut seen)?;
        out.get_mut(..len)
            .ok_or(Error::BadLength)?
            .copy_from_slice(&seen[..len]);
        Ok(len)
    }

    /// PKCS#1 v1.5 signature over a digest; the DigestInfo is made here.
    ///
    /// # Errors
    /// `BadLength` if the digest is not of the hash's length, `TooLarge` if the modulus is too small.
    pub fn sign_pkcs1(&self, hash: Hash, digest: &[u8], out: &mut [u8]) -> Result<usize> {
        self.sign_pkcs1_raw(&rsa_padding::digest_info(hash, digest)?, out)
    }

    /// Verifies a PKCS#1 v1.5 signature over a digest.
    ///
    /// # Errors
    /// `BadLength`, `Mismatch`.
    pub fn verify_pkcs1(&self, hash: Hash, digest: &[u8], signature: &[u8]) -> Result<()> {
        self.verify_pkcs1_raw(&rsa_padding::digest_info(hash, digest)?, signature)
    }

    /// PSS signature over a digest.
    ///
    /// # Errors
    /// `BadLength` if the digest is not of the hash's length or hash and salt don't fit into the modulus.
    pub fn sign_pss(&self, pss: &Pss, digest: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        self.check_pss(pss, digest)?;
        self.key.sign_pss(pss, digest, self.room(out)?)?;
        Ok(self.size)
    }

    /// Verifies a PSS signature over a digest; the salt has exactly the given length.
    ///
    /// # Errors
    /// `BadLength`, `Mismatch`.
    pub fn verify_pss(&self, pss: &Pss, digest: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != self.size {
            return Err(Error::BadLength);
        }
        self.check_pss(pss, digest)?;
        self.key.verify_pss(pss, digest, signature)
    }

    /// Whether hash and salt fit into the modulus (RFC 8017, 9.1.1).
    ///
    /// # Errors
    /// `Internal`.
    pub fn has_room_for(&self, pss: &Pss) -> Result<bool> {
        let room = (self.bits()? - 1).div_ceil(8);
        Ok(pss.salt_len.saturating_add(pss.hash.len() + 2) <= room)
    }

    fn check_pss(&self, pss: &Pss, digest: &[u8]) -> Result<()> {
        if digest.len() == pss.hash.len() && self.has_room_for(pss)? {
            Ok(())
        } else {
            Err(Error::BadLength)
        }
    }

    /// OAEP encryption.
    ///
    /// # Errors
    /// `TooLarge` if `data` is longer than [`RsaKey::oaep_room`].
    pub fn encrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<usize> {
        if self
            .oaep_room(oaep.hash)
            .is_none_or(|room| data.len() > room)
        {
            return Err(Error::TooLarge);
        }
        self.key.encrypt_oaep(oaep, data, self.room(out)?)?;
        Ok(self.size)
    }

    /// How many bytes OAEP can encrypt, if the modulus is large enough for the hash at all.
    pub fn oaep_room(&self, hash: Hash) -> Option<usize> {
        self.size.checked_sub(2 * hash.len() + 2)
    }

    /// OAEP decryption; returns the plaintext's length.
    ///
    /// # Errors
    /// `BadLength` if `data` is not as long as the modulus or `out` too short, `BadPadding` for every other fault.
    pub fn decrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        if data.len() != self.size || self.oaep_room(oaep.hash).is_none() {
            return Err(Error::BadLength);
        }
        let mut plain = Zeroizing::new(vec![0; self.size]);
        let len = self.key.decrypt_oaep(oaep, data, &mut plain)?;
        out.get_mut(..len)
            .ok_or(Error::BadLength)?
            .copy_from_slice(&plain[..len]);
        Ok(len)
    }

    /// PKCS#1 v1.5 encryption.
    ///
    /// # Errors
    /// `TooLarge` if `data` is longer than the modulus less 11 bytes.
    pub fn encrypt_pkcs1(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        if data.len() + 11 > self.size {
            return Err(Error::TooLarge);
        }
        self.key.encrypt_pkcs1(data, self.room(out)?)?;
        Ok(self.size)
    }

    /// PKCS#1 v1.5 decryption with implicit rejection: a wrong padding is not reported but yields a false message, the same
    /// for the same ciphertext, so that the caller is no oracle (Bleichenbacher, Marvin).
    ///
    /// # Errors
    /// `BadLength` if `data` is not as long as the modulus or `out` too short, `TooLarge` if it is not below the modulus.
    pub fn decrypt_pkcs1(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        if data.len() != self.size {
            return Err(Error::BadLength);
        }
        let mut block = Zeroizing::new(vec![0; self.size]);
        self.key.private_raw(data, &mut block)?;
        let mut message = Zeroizing::new(vec![0; self.size]);
        let len = rsa_padding::pkcs1_decode(self.reject()?, data, &block, &mut message)?;
        out.get_mut(..len)
            .ok_or(Error::BadLength)?
            .copy_from_slice(&message[..len]);
        Ok(len)
    }

    fn reject(&self) -> Result<&HmacKey> {
        if self.reject.get().is_none() {
            let mut d = self.key.d()?;
            // Of the modulus's length, as the draft and OpenSSL have it.
            if d.len() != self.size {
                let mut padded = Zeroizing::new(vec![0; self.size]);
                let skip = d.len().saturating_sub(self.size);
                let d_tail = &d[skip..];
                padded[self.size - d_tail.len()..].copy_from_slice(d_tail);
                d = padded;
            }
            let key = HmacKey::new(Hash::Sha256, &Zeroizing::new(Hash::Sha256.digest(&d)))?;
            let _ = self.reject.set(Box::new(key));
        }
        self.reject.get().map(|key| &**key).ok_or(Error::Internal)
    }

    fn need_private(&self) -> Result<()> {
        if self.private {
            Ok(())
        } else {
            Err(Error::Unsupported)
        }
    }

    fn left_pad(&self, input: &[u8]) -> Result<Vec<u8>> {
        let mut padded = vec![0; self.size];
        let start = self.size.checked_sub(input.len()).ok_or(Error::BadLength)?;
        padded[start..].copy_from_slice(input);
        Ok(padded)
    }

    fn room<'a>(&self, out: &'a mut [u8]) -> Result<&'a mut [u8]> {
        out.get_mut(..self.size).ok_or(Error::BadLength)
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.private { "private" } else { "public" };
        write!(f, "RsaKey({} bytes, {kind})", self.size)
    }
}

/// Without leading zeros.
fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&b| b == 0).count();
    &number[zeros..]
}
