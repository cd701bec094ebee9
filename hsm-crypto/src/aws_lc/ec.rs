//! Elliptic curves over prime fields: the NIST curves and secp256k1.

use super::{Owned, bn, bn_write, fail, ffi, ok};
use crate::{Curve, Error, Result};
use std::ptr;
use zeroize::Zeroizing;

/// A public or private key.
pub struct Key {
    key: Owned<ffi::EC_KEY>,
    curve: Curve,
}

// SAFETY: EC keys may be used from several threads as long as none changes them.
unsafe impl Sync for Key {}

/// Whether this backend has the curve at all.
pub fn supports(curve: Curve) -> bool {
    group(curve).is_ok()
}

/// Whether this backend is the better one for the curve: on secp256k1, where AWS-LC has no code of its own, `k256` is twice
/// as fast in every operation.
pub fn prefers(curve: Curve) -> bool {
    supports(curve) && curve != Curve::Secp256k1
}

fn group(curve: Curve) -> Result<*const ffi::EC_GROUP> {
    // SAFETY: no arguments; pointers to statics.
    unsafe {
        Ok(match curve {
            Curve::P224 => ffi::EC_group_p224(),
            Curve::P256 => ffi::EC_group_p256(),
            Curve::P384 => ffi::EC_group_p384(),
            Curve::P521 => ffi::EC_group_p521(),
            Curve::Secp256k1 => ffi::EC_group_secp256k1(),
            _ => return Err(Error::Unsupported),
        })
    }
}

impl Key {
    fn empty(curve: Curve) -> Result<Self> {
        // SAFETY: a constructor without arguments.
        let key = Owned::new(unsafe { ffi::EC_KEY_new() }, Error::Internal)?;
        // SAFETY: the key is live and the group static.
        let rc = unsafe { ffi::EC_KEY_set_group(key.ptr(), group(curve)?) };
        ok(rc, Error::Internal)?;
        Ok(Key { key, curve })
    }

    pub fn generate(curve: Curve) -> Result<Self> {
        let this = Self::empty(curve)?;
        // SAFETY: the key is live and has its group.
        let rc = unsafe { ffi::EC_KEY_generate_key(this.key.ptr()) };
        ok(rc, Error::Internal)?;
        Ok(this)
    }

    pub fn private(curve: Curve, scalar: &[u8]) -> Result<Self> {
        let this = Self::empty(curve)?;
        let scalar = bn(scalar)?;
        let group = group(curve)?;
        // SAFETY: all objects are live; the setters copy and check ranges.
        unsafe {
            ok(
                ffi::EC_KEY_set_private_key(this.key.ptr(), scalar.ptr()),
                Error::BadKey,
            )?;
            let point = Owned::new(ffi::EC_POINT_new(group), Error::Internal)?;
            let rc = ffi::EC_POINT_mul(
                group,
                point.ptr(),
                scalar.ptr(),
                ptr::null(),
                ptr::null(),
                ptr::null_mut(),
            );
            ok(rc, Error::BadKey)?;
            ok(
                ffi::EC_KEY_set_public_key(this.key.ptr(), point.ptr()),
                Error::BadKey,
            )?;
        }
        Ok(this)
    }

    /// From an encoded point; refuses one that is not on the curve.
    pub fn public(curve: Curve, point: &[u8]) -> Result<Self> {
        let this = Self::empty(curve)?;
        let point = parse(curve, point)?;
        // SAFETY: both objects are live; the setter copies.
        let rc = unsafe { ffi::EC_KEY_set_public_key(this.key.ptr(), point.ptr()) };
        ok(rc, Error::BadKey)?;
        Ok(this)
    }

    pub fn scalar(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.curve.scalar_len()]);
        // SAFETY: the key is live and owns the number; null is refused.
        unsafe { bn_write(ffi::EC_KEY_get0_private_key(self.key.ptr()), &mut out)? };
        Ok(out)
    }

    pub fn point(&self) -> Result<Vec<u8>> {
        let mut out = vec![0; 1 + 2 * self.curve.field_len()];
        // SAFETY: the key is live and owns its point; pointer and length are one vector.
        let len = unsafe {
            ffi::EC_POINT_point2oct(
                group(self.curve)?,
                ffi::EC_KEY_get0_public_key(self.key.ptr()),
                ffi::point_conversion_form_t::POINT_CONVERSION_UNCOMPRESSED,
                out.as_mut_ptr(),
                out.len(),
                ptr::null_mut(),
            )
        };
        if len == out.len() {
            Ok(out)
        } else {
            Err(fail(Error::Internal))
        }
    }

    pub fn sign(&self, digest: &[u8], out: &mut [u8]) -> Result<()> {
        // SAFETY: the key is live; pointer and length are one slice.
        let raw = unsafe { ffi::ECDSA_do_sign(digest.as_ptr(), digest.len(), self.key.ptr()) };
        let signature = Owned::new(raw, Error::Internal)?;
        let (r, s) = out.split_at_mut(self.curve.scalar_len());
        // SAFETY: the signature is live and owns both numbers.
        unsafe {
            bn_write(ffi::ECDSA_SIG_get0_r(signature.ptr()), r)?;
            bn_write(ffi::ECDSA_SIG_get0_s(signature.ptr()), s)
        }
    }

    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        let (r, s) = signature.split_at(self.curve.scalar_len());
        let (r, s) = (bn(r)?, bn(s)?);
        // SAFETY: all objects are live. `set0` takes the numbers over, which is why they are given away.
        unsafe {
            let sig = Owned::new(ffi::ECDSA_SIG_new(), Error::Internal)?;
            ok(
                ffi::ECDSA_SIG_set0(sig.ptr(), r.into_raw(), s.into_raw()),
                Error::Internal,
            )?;
            let rc = ffi::ECDSA_do_verify(digest.as_ptr(), digest.len(), sig.ptr(), self.key.ptr());
            ok(rc, Error::Mismatch)
        }
    }

    pub fn ecdh(&self, peer: &[u8], out: &mut [u8]) -> Result<()> {
        let peer = parse(self.curve, peer)?;
        // SAFETY: the objects are live and of one group; pointer and length are one slice.
        let len = unsafe {
            ffi::ECDH_compute_key(
                out.as_mut_ptr().cast(),
                out.len(),
                peer.ptr(),
                self.key.ptr(),
                None,
            )
        };
        if usize::try_from(len) == Ok(out.len()) {
            Ok(())
        } else {
            Err(fail(Error::BadKey))
        }
    }
}

fn parse(curve: Curve, bytes: &[u8]) -> Result<Owned<ffi::EC_POINT>> {
    let group = group(curve)?;
    // SAFETY: the group is static; pointer and length are one slice; the parser checks that the point is on the curve.
    unsafe {
        let point = Owned::new(ffi::EC_POINT_new(group), Error::Internal)?;
        let rc = ffi::EC_POINT_oct2point(
            group,
            point.ptr(),
            bytes.as_ptr(),
            bytes.len(),
            ptr::null_mut(),
        );
        ok(rc, Error::BadKey)?;
        Ok(point)
    }
}
