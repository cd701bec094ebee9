//! Elliptic curves: all of ours, Brainpool included, and deterministic ECDSA (RFC 6979).

use super::hash::with_hash;
use crate::{Curve, Error, Hash, Result, rng};
use ecdsa::elliptic_curve::bigint::BitOps;
use ecdsa::{EcdsaCurve, Signature, hazmat};
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytesSize, Generate, PublicKey, SecretKey, ecdh,
};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Runs the given expression with the curve's type under a name.
macro_rules! with_curve {
    ($curve:expr, $ty:ident => $do:expr) => {
        match $curve {
            Curve::P224 => {
                type $ty = p224::NistP224;
                $do
            }
            Curve::P256 => {
                type $ty = p256::NistP256;
                $do
            }
            Curve::P384 => {
                type $ty = p384::NistP384;
                $do
            }
            Curve::P521 => {
                type $ty = p521::NistP521;
                $do
            }
            Curve::Secp256k1 => {
                type $ty = k256::Secp256k1;
                $do
            }
            Curve::BrainpoolP256r1 => {
                type $ty = bp256::BrainpoolP256r1;
                $do
            }
            Curve::BrainpoolP384r1 => {
                type $ty = bp384::BrainpoolP384r1;
                $do
            }
            Curve::BrainpoolP512r1 => {
                type $ty = super::bp512::BrainpoolP512r1;
                $do
            }
        }
    };
}

pub fn prefers(_: Curve) -> bool {
    true
}

/// A public or private key, its curve's type behind a trait object.
pub struct Key(Box<dyn Typed>);

trait Typed: Send + Sync {
    fn scalar(&self) -> Result<Zeroizing<Vec<u8>>>;
    fn point(&self) -> Vec<u8>;
    fn sign(&self, nonce_hash: Hash, extra: &[u8], digest: &[u8], out: &mut [u8]) -> Result<()>;
    fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()>;
    fn ecdh(&self, peer: &[u8], out: &mut [u8]) -> Result<()>;
}

impl Key {
    pub fn generate(curve: Curve) -> Result<Self> {
        with_curve!(curve, C => {
            let secret = SecretKey::<C>::try_generate_from_rng(&mut getrandom::SysRng)
                .map_err(|_| Error::Internal)?;
            Ok(Self::of(secret))
        })
    }

    pub fn private(curve: Curve, scalar: &[u8]) -> Result<Self> {
        with_curve!(curve, C => Ok(Self::of(SecretKey::<C>::from_slice(scalar).map_err(bad)?)))
    }

    pub fn public(curve: Curve, point: &[u8]) -> Result<Self> {
        with_curve!(curve, C => {
            let public = PublicKey::<C>::from_sec1_bytes(point).map_err(bad)?;
            Ok(Key(Box::new(Pair { secret: None, public })))
        })
    }

    fn of<C>(secret: SecretKey<C>) -> Self
    where
        C: EcdsaCurve + CurveArithmetic,
        Pair<C>: Typed + 'static,
    {
        let public = secret.public_key();
        Key(Box::new(Pair {
            secret: Some(secret),
            public,
        }))
    }

    pub fn scalar(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.0.scalar()
    }

    pub fn point(&self) -> Result<Vec<u8>> {
        Ok(self.0.point())
    }

    /// The nonce comes from key, digest and fresh randomness together (RFC 6979, 3.6).
    pub fn sign(&self, digest: &[u8], out: &mut [u8]) -> Result<()> {
        let mut extra = Zeroizing::new([0; 32]);
        rng::fill(&mut *extra)?;
        self.0.sign(Hash::Sha256, &*extra, digest, out)
    }

    /// The nonce comes from key and digest alone.
    pub fn sign_deterministic(&self, hash: Hash, digest: &[u8], out: &mut [u8]) -> Result<()> {
        self.0.sign(hash, &[], digest, out)
    }

    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        self.0.verify(digest, signature)
    }

    pub fn ecdh(&self, peer: &[u8], out: &mut [u8]) -> Result<()> {
        self.0.ecdh(peer, out)
    }
}

struct Pair<C: CurveArithmetic> {
    secret: Option<SecretKey<C>>,
    public: PublicKey<C>,
}

impl<C> Typed for Pair<C>
where
    C: EcdsaCurve + CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    SecretKey<C>: Send + Sync,
    PublicKey<C>: Send + Sync,
{
    fn scalar(&self) -> Result<Zeroizing<Vec<u8>>> {
        let secret = self.secret.as_ref().ok_or(Error::Unsupported)?;
        Ok(Zeroizing::new(secret.to_bytes().to_vec()))
    }

    fn point(&self) -> Vec<u8> {
        self.public.to_sec1_point(false).as_bytes().to_vec()
    }

    fn sign(&self, nonce_hash: Hash, extra: &[u8], digest: &[u8], out: &mut [u8]) -> Result<()> {
        let secret = self
            .secret
            .as_ref()
            .ok_or(Error::Unsupported)?
            .to_nonzero_scalar();
        let digest = leftmost(digest, C::ORDER.as_ref().bit_width() as usize);
        let (signature, _) = with_hash!(nonce_hash, H => {
            hazmat::sign_prehashed_rfc6979::<C, H>(&secret, &digest, extra)
        });
        out.copy_from_slice(&signature.to_bytes());
        Ok(())
    }

    fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        let digest = leftmost(digest, C::ORDER.as_ref().bit_width() as usize);
        let signature = Signature::<C>::from_slice(signature).map_err(|_| Error::Mismatch)?;
        // `k256` refuses the greater of the two valid s, as Bitcoin does; nobody else does.
        let signature = if C::NORMALIZE_S {
            signature.normalize_s()
        } else {
            signature
        };
        hazmat::verify_prehashed(&self.public.to_projective(), &digest, &signature)
            .map_err(|_| Error::Mismatch)
    }

    fn ecdh(&self, peer: &[u8], out: &mut [u8]) -> Result<()> {
        let peer = PublicKey::<C>::from_sec1_bytes(peer).map_err(bad)?;
        let secret = self
            .secret
            .as_ref()
            .ok_or(Error::Unsupported)?
            .to_nonzero_scalar();
        let shared = ecdh::diffie_hellman(secret, peer.as_affine());
        out.copy_from_slice(shared.raw_secret_bytes());
        Ok(())
    }
}

/// The leftmost bits of a digest that is longer than the order (SEC 1, 4.1.3). `ecdsa` 0.17 cuts to whole bytes only, which is
/// wrong on P-521 for more than 65 bytes: no hash gives so many, but a caller of the bare mechanism may.
fn leftmost(digest: &[u8], bits: usize) -> Cow<'_, [u8]> {
    let (len, surplus) = (bits.div_ceil(8), bits.next_multiple_of(8) - bits);
    if digest.len() < len || surplus == 0 {
        return Cow::Borrowed(&digest[..digest.len().min(len)]);
    }
    let mut shifted = digest[..len].to_vec();
    for i in (0..len).rev() {
        let carry = if i == 0 {
            0
        } else {
            digest[i - 1] << (8 - surplus)
        };
        shifted[i] = carry | digest[i] >> surplus;
    }
    Cow::Owned(shifted)
}

fn bad<E>(_: E) -> Error {
    Error::BadKey
}
