//! Ed25519 and X25519; the empty context of Ed25519ctx, which AWS-LC refuses, is the other backend's.

use super::{ffi, ok};
use crate::ed::EdMode;
use crate::rustcrypto::ed as rustcrypto;
use crate::{Error, Result};
use zeroize::Zeroizing;

pub fn ed_public(seed: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    let mut private = Zeroizing::new([0; 64]);
    // SAFETY: every array has the length that the function is declared with.
    unsafe {
        ffi::ED25519_keypair_from_seed(public.as_mut_ptr(), private.as_mut_ptr(), seed.as_ptr());
    }
    public
}

pub fn ed_sign(pair: &[u8; 64], mode: EdMode, message: &[u8]) -> Result<[u8; 64]> {
    if mode == EdMode::Context(&[]) {
        return rustcrypto::ed_sign(pair, mode, message);
    }
    let mut out = [0u8; 64];
    let (to, data, len, key) = (
        out.as_mut_ptr(),
        message.as_ptr(),
        message.len(),
        pair.as_ptr(),
    );
    // SAFETY: key and signature have 64 bytes each; every other pointer and length is one slice.
    let rc = unsafe {
        match mode {
            EdMode::Pure => ffi::ED25519_sign(to, data, len, key),
            EdMode::Context(c) => ffi::ED25519ctx_sign(to, data, len, key, c.as_ptr(), c.len()),
            EdMode::Prehash(c) => ffi::ED25519ph_sign(to, data, len, key, c.as_ptr(), c.len()),
        }
    };
    ok(rc, Error::Internal)?;
    Ok(out)
}

pub fn ed_verify(key: &[u8; 32], mode: EdMode, message: &[u8], signature: &[u8; 64]) -> Result<()> {
    if mode == EdMode::Context(&[]) {
        return rustcrypto::ed_verify(key, mode, message, signature);
    }
    let (data, len, sig, key) = (
        message.as_ptr(),
        message.len(),
        signature.as_ptr(),
        key.as_ptr(),
    );
    // SAFETY: key and signature have 32 and 64 bytes; every other pointer and length is one slice.
    let rc = unsafe {
        match mode {
            EdMode::Pure => ffi::ED25519_verify(data, len, sig, key),
            EdMode::Context(c) => ffi::ED25519ctx_verify(data, len, sig, key, c.as_ptr(), c.len()),
            EdMode::Prehash(c) => ffi::ED25519ph_verify(data, len, sig, key, c.as_ptr(), c.len()),
        }
    };
    ok(rc, Error::Mismatch)
}

pub fn x_public(private: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    // SAFETY: both arrays have the length that the function is declared with.
    unsafe { ffi::X25519_public_from_private(public.as_mut_ptr(), private.as_ptr()) };
    public
}

pub fn x_agree(private: &[u8; 32], peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>> {
    let mut secret = Zeroizing::new([0; 32]);
    // SAFETY: the arrays have the lengths that the function is declared with.
    let rc = unsafe { ffi::X25519(secret.as_mut_ptr(), private.as_ptr(), peer.as_ptr()) };
    ok(rc, Error::BadKey)?;
    Ok(secret)
}
