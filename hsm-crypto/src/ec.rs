//! ECDSA and ECDH on named curves.

use crate::backend::ec as imp;
use crate::{Curve, Error, Result};
use std::fmt;
use zeroize::Zeroizing;

/// An EC key, public or private, parsed once. Shareable. Private operations on a public key are refused as `Unsupported`.
pub struct EcKey {
    curve: Curve,
    private: bool,
    key: imp::Key,
}

impl EcKey {
    /// Whether this build has the curve.
    pub fn supports(curve: Curve) -> bool {
        imp::supports(curve)
    }

    /// Makes a key pair.
    ///
    /// # Errors
    /// `Unsupported` if this build lacks the curve.
    pub fn generate(curve: Curve) -> Result<Self> {
        Ok(EcKey {
            curve,
            private: true,
            key: imp::Key::generate(curve)?,
        })
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
        Ok(EcKey {
            curve,
            private: true,
            key: imp::Key::private(curve, &padded)?,
        })
    }

    /// A public key from its point, uncompressed or compressed (SEC 1).
    ///
    /// # Errors
    /// `BadKey` if the point is not on the curve.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self> {
        match point {
            [2..=4, _, ..] => Ok(EcKey {
                curve,
                private: false,
                key: imp::Key::public(curve, point)?,
            }),
            _ => Err(Error::BadKey),
        }
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
        self.key.scalar()
    }

    /// The public point, uncompressed: 04, x, y.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn point(&self) -> Result<Vec<u8>> {
        self.key.point()
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
        self.key
            .sign(digest, out.get_mut(..len).ok_or(Error::BadLength)?)?;
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
        self.key.verify(digest, signature)
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
        self.key
            .ecdh(peer, out.get_mut(..len).ok_or(Error::BadLength)?)?;
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
