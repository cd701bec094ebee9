//! ECDSA and ECDH on named curves. Curves that the backend lacks, and deterministic ECDSA, come from RustCrypto.

use crate::backend::ec as imp;
use crate::rustcrypto::ec as rust;
use crate::{Curve, Error, Hash, Result};
use std::fmt;
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// An EC key, public or private, parsed once. Shareable. Private operations on a public key are refused as `Unsupported`.
pub struct EcKey {
    curve: Curve,
    private: bool,
    key: Key,
    /// The same key for deterministic signatures, made at the first of them.
    twin: OnceLock<rust::Key>,
}

/// Which of the two does the curve.
enum Key {
    Backend(imp::Key),
    Rust(rust::Key),
}

/// Runs the given expression with the key under a name.
macro_rules! either {
    ($this:expr, $key:ident => $do:expr) => {
        match &$this.key {
            Key::Backend($key) => $do,
            Key::Rust($key) => $do,
        }
    };
}

impl EcKey {
    fn new(curve: Curve, private: bool, key: Key) -> Self {
        EcKey {
            curve,
            private,
            key,
            twin: OnceLock::new(),
        }
    }

    /// Makes a key pair.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate(curve: Curve) -> Result<Self> {
        let key = if imp::prefers(curve) {
            Key::Backend(imp::Key::generate(curve)?)
        } else {
            Key::Rust(rust::Key::generate(curve)?)
        };
        Ok(Self::new(curve, true, key))
    }

    /// A private key from its scalar, big-endian; leading zeros may be missing or too many.
    ///
    /// # Errors
    /// `BadKey` if the scalar is zero or not below the order.
    pub fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self> {
        let len = curve.scalar_len();
        let surplus = scalar.len().saturating_sub(len);
        if scalar[..surplus].iter().any(|&b| b != 0) {
            return Err(Error::BadKey);
        }
        let scalar = &scalar[surplus..];
        let mut padded = Zeroizing::new(vec![0; len]);
        padded[len - scalar.len()..].copy_from_slice(scalar);
        if padded.iter().all(|&b| b == 0) {
            return Err(Error::BadKey);
        }
        let key = if imp::prefers(curve) {
            Key::Backend(imp::Key::private(curve, &padded)?)
        } else {
            Key::Rust(rust::Key::private(curve, &padded)?)
        };
        Ok(Self::new(curve, true, key))
    }

    /// A public key from its point, uncompressed or compressed (SEC 1).
    ///
    /// # Errors
    /// `BadKey` if the point is not on the curve.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self> {
        if !matches!(point, [2..=4, _, ..]) {
            return Err(Error::BadKey);
        }
        let key = if imp::prefers(curve) {
            Key::Backend(imp::Key::public(curve, point)?)
        } else {
            Key::Rust(rust::Key::public(curve, point)?)
        };
        Ok(Self::new(curve, false, key))
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// Whether it can sign.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The private scalar, big-endian, of the curve's full length.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn scalar(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.need_private()?;
        either!(self, key => key.scalar())
    }

    /// The public point, uncompressed: 04, x, y.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn point(&self) -> Result<Vec<u8>> {
        either!(self, key => key.point())
    }

    /// Signs a digest (its leftmost bits, if longer than the order) into `out`: r and s, each of a scalar's length.
    ///
    /// # Errors
    /// `BadLength` if `out` is too short or the digest empty, `Unsupported` for a public key.
    pub fn sign(&self, digest: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        if digest.is_empty() {
            return Err(Error::BadLength);
        }
        let len = self.curve.signature_len();
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        either!(self, key => key.sign(digest, out))?;
        Ok(len)
    }

    /// Signs as [`EcKey::sign`] does, but the nonce follows from key and digest alone (RFC 6979); `hash` made the digest.
    ///
    /// # Errors
    /// As [`EcKey::sign`].
    pub fn sign_deterministic(&self, hash: Hash, digest: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        if digest.len() != hash.len() {
            return Err(Error::BadLength);
        }
        let len = self.curve.signature_len();
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        if self.twin.get().is_none() {
            let _ = self
                .twin
                .set(rust::Key::private(self.curve, &self.scalar()?)?);
        }
        let twin = self.twin.get().ok_or(Error::Internal)?;
        twin.sign_deterministic(hash, digest, out)?;
        Ok(len)
    }

    /// Verifies r and s over a digest.
    ///
    /// # Errors
    /// `BadLength` if the signature is not two scalars long, `Mismatch`.
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != self.curve.signature_len() || digest.is_empty() {
            return Err(Error::BadLength);
        }
        either!(self, key => key.verify(digest, signature))
    }

    /// The x coordinate of the shared point (ECDH without a KDF) into `out`.
    ///
    /// # Errors
    /// `BadKey` if the peer's point is not on this curve, `BadLength` if `out` is too short.
    pub fn ecdh(&self, peer: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        if !matches!(peer, [2..=4, _, ..]) {
            return Err(Error::BadKey);
        }
        let len = self.curve.field_len();
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        either!(self, key => key.ecdh(peer, out))?;
        Ok(len)
    }

    fn need_private(&self) -> Result<()> {
        if self.private {
            Ok(())
        } else {
            Err(Error::Unsupported)
        }
    }
}

impl fmt::Debug for EcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EcKey({:?}, {})",
            self.curve,
            if self.private { "private" } else { "public" }
        )
    }
}
