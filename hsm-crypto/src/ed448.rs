//! Ed448 (RFC 8032) and X448 (RFC 7748), from RustCrypto in both builds.

use crate::xof::Xof;
use crate::{Error, Result, rng};
use ed448_goldilocks::{PreHash, Signature, SigningKey, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

/// An Ed448 key, public or private. Private operations on a public key are refused as `Unsupported`.
pub struct Ed448Key {
    seed: Option<Zeroizing<[u8; 57]>>,
    public: [u8; 57],
}

/// A hash that was made already.
struct Hashed([u8; 64]);

impl PreHash for Hashed {
    fn fill_bytes(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

fn hashed(message: &[u8]) -> Hashed {
    let mut out = [0; 64];
    Xof::Shake256.digest(&[message], &mut out);
    Hashed(out)
}

impl Ed448Key {
    /// The curve's object identifier in DER.
    pub const OID_DER: &'static [u8] = b"\x06\x03\x2b\x65\x71";
    /// Bytes of a signature.
    pub const SIGNATURE_LEN: usize = 114;

    /// Makes a key pair.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 57]);
        rng::fill(&mut *seed)?;
        Self::from_seed(&*seed)
    }

    /// From the private key of 57 bytes that RFC 8032 calls the seed.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self> {
        let seed = Zeroizing::new(<[u8; 57]>::try_from(seed).map_err(|_| Error::BadKey)?);
        let public = signing(&seed)?.verifying_key().to_bytes();
        Ok(Ed448Key {
            seed: Some(seed),
            public,
        })
    }

    /// From a public key of 57 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length, or if it is no point.
    pub fn from_public(public: &[u8]) -> Result<Self> {
        let public: [u8; 57] = public.try_into().map_err(|_| Error::BadKey)?;
        if !canonical(&public) {
            return Err(Error::BadKey);
        }
        VerifyingKey::from_bytes(&public).map_err(|_| Error::BadKey)?;
        Ok(Ed448Key { seed: None, public })
    }

    /// Whether CKA_EC_PARAMS names this curve: its OID or PrintableString.
    pub fn is_params(der: &[u8]) -> bool {
        der == Self::OID_DER || der == b"\x13\x0aedwards448"
    }

    /// Whether it can sign.
    pub fn is_private(&self) -> bool {
        self.seed.is_some()
    }

    /// The private key.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn seed(&self) -> Result<&[u8; 57]> {
        self.seed.as_deref().ok_or(Error::Unsupported)
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 57] {
        &self.public
    }

    /// Signs a message under a context of at most 255 bytes; hashed first if `prehash` (Ed448ph).
    ///
    /// # Errors
    /// `BadLength` for a context that is too long, `Unsupported` for a public key.
    pub fn sign(&self, prehash: bool, context: &[u8], message: &[u8]) -> Result<[u8; 114]> {
        if context.len() > 255 {
            return Err(Error::BadLength);
        }
        let key = signing(self.seed()?)?;
        let signature = if prehash {
            key.sign_prehashed(Some(context), hashed(message))
        } else {
            key.sign_ctx(context, message)
        };
        Ok(signature.map_err(|_| Error::Internal)?.to_bytes())
    }

    /// Verifies a signature.
    ///
    /// # Errors
    /// `BadLength` for a context that is too long or a signature of another length, `Mismatch`.
    pub fn verify(
        &self,
        prehash: bool,
        context: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if context.len() > 255 || signature.len() != Self::SIGNATURE_LEN {
            return Err(Error::BadLength);
        }
        if !below_order(&signature[57..]) || !canonical(&signature[..57]) {
            return Err(Error::Mismatch);
        }
        let key = VerifyingKey::from_bytes(&self.public).map_err(|_| Error::BadKey)?;
        let signature = Signature::from_slice(signature).map_err(|_| Error::Mismatch)?;
        if prehash {
            key.verify_prehashed(&signature, Some(context), hashed(message))
        } else {
            key.verify_ctx(&signature, context, message)
        }
        .map_err(|_| Error::Mismatch)
    }
}

/// The group's order, most significant byte first (RFC 8032, 5.2).
const ORDER: [u8; 57] = *b"\x00\x3f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7c\xca\x23\xe9\xc4\x4e\xdb\x49\xae\xd6\x36\x90\x21\x6c\xc2\x72\x8d\xc5\x8f\x55\x23\x78\xc2\x92\xab\x58\x44\xf3";

/// Whether a signature's second half, least significant byte first, is reduced: the crate takes it modulo the order, so that
/// each signature would have another beside it.
fn below_order(s: &[u8]) -> bool {
    s.iter().rev().lt(ORDER.iter())
}

/// Whether an encoded point is the only encoding of its point (RFC 8032, 5.2.3): the crate ignores the unused bits, takes y
/// modulo the field's prime, and gives the points with x = 0 a sign.
fn canonical(point: &[u8]) -> bool {
    let (y, last) = point.split_at(56);
    let mut prime = [0xFF; 56];
    prime[28] = 0xFE;
    let below = y.iter().rev().lt(prime.iter().rev());
    let rest = || y[1..].iter().all(|b| *b == 0);
    // y is 1 or -1.
    let mut minus_one = prime;
    minus_one[0] -= 1;
    let no_x = y == minus_one || (y[0] == 1 && rest());
    below && last[0] & 0x7F == 0 && !(no_x && last[0] != 0)
}

fn signing(seed: &[u8; 57]) -> Result<SigningKey> {
    SigningKey::try_from(&seed[..]).map_err(|_| Error::BadKey)
}

impl fmt::Debug for Ed448Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_private() {
            "Ed448Key(private)"
        } else {
            "Ed448Key(public)"
        })
    }
}

/// An X448 private key.
pub struct X448Key {
    private: Zeroizing<[u8; 56]>,
    public: [u8; 56],
}

impl X448Key {
    /// The curve's object identifier in DER.
    pub const OID_DER: &'static [u8] = b"\x06\x03\x2b\x65\x6f";

    /// Makes a key pair.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate() -> Result<Self> {
        let mut private = Zeroizing::new([0; 56]);
        rng::fill(&mut *private)?;
        Self::from_private(&*private)
    }

    /// From a private key of 56 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_private(private: &[u8]) -> Result<Self> {
        let private = Zeroizing::new(<[u8; 56]>::try_from(private).map_err(|_| Error::BadKey)?);
        let public = x448::x448_unchecked(*private, x448::X448_BASEPOINT_BYTES);
        Ok(X448Key { private, public })
    }

    /// Whether CKA_EC_PARAMS names this curve: its OID or PrintableString.
    pub fn is_params(der: &[u8]) -> bool {
        der == Self::OID_DER || der == b"\x13\x08curve448"
    }

    /// The private key.
    pub fn private(&self) -> &Zeroizing<[u8; 56]> {
        &self.private
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 56] {
        &self.public
    }

    /// The shared secret.
    ///
    /// # Errors
    /// `BadKey` if the peer's key is not 56 bytes or of small order (the secret would be zero).
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<[u8; 56]>> {
        let peer = <[u8; 56]>::try_from(peer).map_err(|_| Error::BadKey)?;
        let shared = Zeroizing::new(x448::x448_unchecked(*self.private, peer));
        // RFC 7748, 6.2: a point of small order shows in a secret of zeros.
        if bool::from(subtle::ConstantTimeEq::ct_eq(&shared[..], &[0; 56][..])) {
            return Err(Error::BadKey);
        }
        Ok(shared)
    }
}

impl fmt::Debug for X448Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X448Key(private)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8032_7_4_and_7_5() {
        let key = |hex: &str| Ed448Key::from_seed(&hex::decode(hex).unwrap()).unwrap();
        let one = key(
            "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e",
        );
        assert_eq!(
            hex::encode(one.public()),
            "43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c0866aea01eb00742802b8438ea4cb82169c235160627b4c3a9480"
        );
        assert_eq!(
            hex::encode(one.sign(false, b"", &[3]).unwrap()),
            "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd779805e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab21aa4adafd1d234441cf807c03a00"
        );
        assert_eq!(
            hex::encode(one.sign(false, b"foo", &[3]).unwrap()),
            "d4f8f6131770dd46f40867d6fd5d5055de43541f8c5e35abbcd001b32a89f7d2151f7647f11d8ca2ae279fb842d607217fce6e042f6815ea000c85741de5c8da1144a6a1aba7f96de42505d7a7298524fda538fccbbb754f578c1cad10d54d0d5428407e85dcbc98a49155c13764e66c3c00"
        );
        let ph = key(
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42ef7822e0d5104127dc05d6dbefde69e3ab2cec7c867c6e2c49",
        );
        let signature = ph.sign(true, b"", b"abc").unwrap();
        assert_eq!(
            hex::encode(signature),
            "822f6901f7480f3d5f562c592994d9693602875614483256505600bbc281ae381f54d6bce2ea911574932f52a4e6cadd78769375ec3ffd1b801a0d9b3f4030cd433964b6457ea39476511214f97469b57dd32dbc560a9a94d00bff07620464a3ad203df7dc7ce360c3cd3696d9d9fab90f00"
        );
        let public = Ed448Key::from_public(ph.public()).unwrap();
        assert_eq!(public.verify(true, b"", b"abc", &signature), Ok(()));
        assert_eq!(
            public.verify(false, b"", b"abc", &signature),
            Err(Error::Mismatch)
        );
        assert_eq!(
            public.verify(true, b"x", b"abc", &signature),
            Err(Error::Mismatch)
        );
        assert_eq!(
            public.verify(true, b"", b"abc", &signature[1..]),
            Err(Error::BadLength)
        );
        assert_eq!(public.sign(true, b"", b"abc"), Err(Error::Unsupported));
        // The same s and once the order more.
        let mut other = signature;
        let mut carry = 0;
        for (byte, add) in other[57..].iter_mut().zip(ORDER.iter().rev()) {
            let sum = u16::from(*byte) + u16::from(*add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(
            public.verify(true, b"", b"abc", &other),
            Err(Error::Mismatch)
        );
    }

    #[test]
    fn rfc_7748_6_2_and_a_point_of_small_order() {
        let key = |hex: &str| X448Key::from_private(&hex::decode(hex).unwrap()).unwrap();
        let alice = key(
            "9a8f4925d1519f5775cf46971028b5acdc9e5ad6e6c4a7d3a2d7b7f3d0a08bcf2dd0d3a25ac2b3de1bf6c0fbea48ad9a54e8b21f6d7bd6c3",
        );
        let bob = key(
            "1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d",
        );
        assert_eq!(
            alice.agree(bob.public()).unwrap(),
            bob.agree(alice.public()).unwrap()
        );
        assert_eq!(
            hex::encode(bob.public()),
            "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609"
        );
        assert_eq!(alice.agree(&[0; 56]), Err(Error::BadKey));
    }
}
