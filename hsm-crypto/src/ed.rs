//! Ed25519 (RFC 8032) and X25519 (RFC 7748).

use crate::backend::ed as imp;
use crate::{Error, Result, rng};
use std::fmt;
use zeroize::Zeroizing;

/// Which of RFC 8032's three variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdMode<'a> {
    /// Ed25519.
    Pure,
    /// Ed25519ctx with its context, 0 to 255 bytes. An empty one makes other signatures than `Pure`; RFC 8032 (5.1) advises
    /// against it, and allows it.
    Context(&'a [u8]),
    /// Ed25519ph with its context, 0 to 255 bytes; the message is hashed here.
    Prehash(&'a [u8]),
}

/// An Ed25519 key, public or private. Private operations on a public key are refused as `Unsupported`.
pub struct EdKey {
    /// Seed and public key, as AWS-LC wants them.
    private: Option<Zeroizing<[u8; 64]>>,
    public: [u8; 32],
}

impl EdKey {
    /// The curve's object identifier in DER.
    pub const OID_DER: &'static [u8] = b"\x06\x03\x2b\x65\x70";
    /// Bytes of a signature.
    pub const SIGNATURE_LEN: usize = 64;

    /// Makes a key pair.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        rng::fill(&mut *seed)?;
        Self::from_seed(&*seed)
    }

    /// From the private key of 32 bytes that RFC 8032 calls the seed.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self> {
        let seed = <&[u8; 32]>::try_from(seed).map_err(|_| Error::BadKey)?;
        let public = imp::ed_public(seed);
        let mut pair = Zeroizing::new([0; 64]);
        pair[..32].copy_from_slice(seed);
        pair[32..].copy_from_slice(&public);
        Ok(EdKey {
            private: Some(pair),
            public,
        })
    }

    /// From a public key of 32 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_public(public: &[u8]) -> Result<Self> {
        let public = public.try_into().map_err(|_| Error::BadKey)?;
        Ok(EdKey {
            private: None,
            public,
        })
    }

    /// Whether CKA_EC_PARAMS names this curve: its OID or PrintableString.
    pub fn is_params(der: &[u8]) -> bool {
        der == Self::OID_DER || der == b"\x13\x0cedwards25519"
    }

    /// Whether it can sign.
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The private key.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn seed(&self) -> Result<Zeroizing<[u8; 32]>> {
        let pair = self.private.as_ref().ok_or(Error::Unsupported)?;
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(&pair[..32]);
        Ok(seed)
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs a message.
    ///
    /// # Errors
    /// `BadLength` for a context that is too long; `Unsupported` for a public key.
    pub fn sign(&self, mode: EdMode, message: &[u8]) -> Result<[u8; 64]> {
        check(mode)?;
        imp::ed_sign(
            self.private.as_ref().ok_or(Error::Unsupported)?,
            mode,
            message,
        )
    }

    /// Verifies a signature.
    ///
    /// # Errors
    /// `BadLength` if it is not 64 bytes, `Mismatch`.
    pub fn verify(&self, mode: EdMode, message: &[u8], signature: &[u8]) -> Result<()> {
        check(mode)?;
        let signature = signature.try_into().map_err(|_| Error::BadLength)?;
        imp::ed_verify(&self.public, mode, message, signature)
    }
}

fn check(mode: EdMode) -> Result<()> {
    match mode {
        EdMode::Context(ctx) | EdMode::Prehash(ctx) if ctx.len() > 255 => Err(Error::BadLength),
        _ => Ok(()),
    }
}

impl fmt::Debug for EdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_private() {
            "EdKey(private)"
        } else {
            "EdKey(public)"
        })
    }
}

/// An X25519 private key.
pub struct XKey {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl XKey {
    /// The curve's object identifier in DER.
    pub const OID_DER: &'static [u8] = b"\x06\x03\x2b\x65\x6e";

    /// Makes a key pair.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate() -> Result<Self> {
        let mut private = Zeroizing::new([0; 32]);
        rng::fill(&mut *private)?;
        Self::from_private(&*private)
    }

    /// From a private key of 32 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_private(private: &[u8]) -> Result<Self> {
        let private = Zeroizing::new(private.try_into().map_err(|_| Error::BadKey)?);
        let public = imp::x_public(&private);
        Ok(XKey { private, public })
    }

    /// Whether CKA_EC_PARAMS names this curve: its OID or PrintableString.
    pub fn is_params(der: &[u8]) -> bool {
        der == Self::OID_DER || der == b"\x13\x0acurve25519"
    }

    /// The private key.
    pub fn private(&self) -> &Zeroizing<[u8; 32]> {
        &self.private
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The shared secret.
    ///
    /// # Errors
    /// `BadKey` if the peer's key is not 32 bytes or of small order (the secret would be zero).
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
        imp::x_agree(&self.private, peer.try_into().map_err(|_| Error::BadKey)?)
    }
}

impl fmt::Debug for XKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XKey(private)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8032_7_1_test_2() {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let key = EdKey::from_seed(&hex::decode(seed).unwrap()).unwrap();
        assert_eq!(
            hex::encode(key.public()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        let signature = key.sign(EdMode::Pure, &[0x72]).unwrap();
        assert_eq!(
            hex::encode(signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        let public = EdKey::from_public(key.public()).unwrap();
        assert_eq!(public.verify(EdMode::Pure, &[0x72], &signature), Ok(()));
        assert_eq!(
            public.verify(EdMode::Pure, &[0x73], &signature),
            Err(Error::Mismatch)
        );
        assert_eq!(
            public.verify(EdMode::Prehash(b""), &[0x72], &signature),
            Err(Error::Mismatch)
        );
        assert_eq!(public.sign(EdMode::Pure, b""), Err(Error::Unsupported));
    }

    #[test]
    fn rfc_8032_7_3_prehashed() {
        let seed = "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42";
        let key = EdKey::from_seed(&hex::decode(seed).unwrap()).unwrap();
        let signature = key.sign(EdMode::Prehash(b""), b"abc").unwrap();
        assert_eq!(
            hex::encode(signature),
            "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41\
             31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
        );
        assert_eq!(key.verify(EdMode::Prehash(b""), b"abc", &signature), Ok(()));
        assert_eq!(
            key.verify(EdMode::Prehash(b"x"), b"abc", &signature),
            Err(Error::Mismatch)
        );
    }

    #[test]
    fn rfc_8032_7_2_context() {
        let seed = "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6";
        let key = EdKey::from_seed(&hex::decode(seed).unwrap()).unwrap();
        let message = hex::decode("f726936d19c800494e3fdaff20b276a8").unwrap();
        let signature = key.sign(EdMode::Context(b"foo"), &message).unwrap();
        assert_eq!(
            hex::encode(signature),
            "55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a\
             8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d"
        );
        assert_eq!(
            key.verify(EdMode::Context(b"foo"), &message, &signature),
            Ok(())
        );
        assert_eq!(
            key.sign(EdMode::Context(&[0; 256]), &message),
            Err(Error::BadLength)
        );
        // No RFC has a vector for the empty context: RFC 8032's definitions, written in Python's integers, which gave the
        // signature above too.
        let signature = key.sign(EdMode::Context(b""), &message).unwrap();
        assert_eq!(
            hex::encode(signature),
            "cc5e63a27e94afd3418338d2486fa92af9917c2d989e06e50277721c343818b4\
             2196bc292e68f34d859bbead179f54542d4b04dcfbfa4a684e3950fb1ccd8d0d"
        );
        for (mode, verdict) in [
            (EdMode::Context(b""), Ok(())),
            (EdMode::Context(b"foo"), Err(Error::Mismatch)),
            (EdMode::Pure, Err(Error::Mismatch)),
        ] {
            assert_eq!(key.verify(mode, &message, &signature), verdict, "{mode:?}");
        }
        let mut bad = signature;
        bad[40] ^= 1;
        assert_eq!(
            key.verify(EdMode::Context(b""), &message, &bad),
            Err(Error::Mismatch)
        );
    }

    #[test]
    fn rfc_7748_6_1_and_a_point_of_small_order() {
        let key = |hex: &str| XKey::from_private(&hex::decode(hex).unwrap()).unwrap();
        let alice = key("77076d0a7318a57d3c16c17251b26645df4c2f92ebc0992ac177fba51db92c2a");
        let bob = key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        assert_eq!(
            alice.agree(bob.public()).unwrap(),
            bob.agree(alice.public()).unwrap()
        );
        assert_eq!(
            hex::encode(bob.public()),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
        );
        assert_eq!(alice.agree(&[0; 32]), Err(Error::BadKey));
    }
}
