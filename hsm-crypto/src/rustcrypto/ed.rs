//! Ed25519 and X25519.

use crate::ed::EdMode;
use crate::{Error, Result};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use hmac::digest::Digest;
use sha2::Sha512;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

pub fn ed_public(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

pub fn ed_sign(pair: &[u8; 64], mode: EdMode, message: &[u8]) -> Result<[u8; 64]> {
    let key = SigningKey::from_keypair_bytes(pair).map_err(|_| Error::BadKey)?;
    match mode {
        EdMode::Pure => key.try_sign(message),
        EdMode::Prehash(context) => {
            key.sign_prehashed(Sha512::new_with_prefix(message), Some(context))
        }
        EdMode::Context(context) => return context_sign(pair, context, message),
    }
    .map(|signature| signature.to_bytes())
    .map_err(|_| Error::Internal)
}

pub fn ed_verify(key: &[u8; 32], mode: EdMode, message: &[u8], signature: &[u8; 64]) -> Result<()> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| Error::Mismatch)?;
    let signature = Signature::from_bytes(signature);
    match mode {
        EdMode::Pure => key.verify(message, &signature),
        EdMode::Prehash(context) => {
            key.verify_prehashed(Sha512::new_with_prefix(message), Some(context), &signature)
        }
        EdMode::Context(context) => return context_verify(&key, context, message, &signature),
    }
    .map_err(|_| Error::Mismatch)
}

/// Ed25519ctx (RFC 8032, 5.1.6). Its own arithmetic, because the crate cannot put dom2() before both hashes.
fn context_sign(pair: &[u8; 64], context: &[u8], message: &[u8]) -> Result<[u8; 64]> {
    let (seed, public) = pair.split_at(32);
    let hashed: Zeroizing<[u8; 64]> = Zeroizing::new(Sha512::digest(seed).into());
    let secret = ExpandedSecretKey::from_bytes(&hashed);
    let nonce = Zeroizing::new(hashed_with(context, [&secret.hash_prefix, &[], message])?);
    let r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    let k = hashed_with(context, [&r, public, message])?;
    let s = k * secret.scalar + *nonce;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(s.as_bytes());
    Ok(signature)
}

/// Ed25519ctx (RFC 8032, 5.1.7): [S]B = R + [k]A, as the crate checks it for the other two variants.
fn context_verify(
    key: &VerifyingKey,
    context: &[u8],
    message: &[u8],
    signature: &Signature,
) -> Result<()> {
    let r = signature.r_bytes();
    let s = Option::from(Scalar::from_canonical_bytes(*signature.s_bytes()));
    let s: Scalar = s.ok_or(Error::Mismatch)?;
    let a = CompressedEdwardsY(key.to_bytes()).decompress();
    let a = a.ok_or(Error::Mismatch)?;
    let k = hashed_with(context, [r, key.as_bytes(), message])?;
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-a, &s);
    if expected.compress().as_bytes() == r {
        Ok(())
    } else {
        Err(Error::Mismatch)
    }
}

/// SHA-512 of dom2(0, context) and the parts, as a scalar.
fn hashed_with(context: &[u8], parts: [&[u8]; 3]) -> Result<Scalar> {
    let len = u8::try_from(context.len()).map_err(|_| Error::BadLength)?;
    let mut hash = Sha512::new_with_prefix(b"SigEd25519 no Ed25519 collisions");
    hash.update([0, len]);
    hash.update(context);
    for part in parts {
        hash.update(part);
    }
    let wide: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
    Ok(Scalar::from_bytes_mod_order_wide(&wide))
}

pub fn x_public(private: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*private)).to_bytes()
}

pub fn x_agree(private: &[u8; 32], peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>> {
    let secret = StaticSecret::from(*private).diffie_hellman(&PublicKey::from(*peer));
    if secret.was_contributory() {
        Ok(Zeroizing::new(secret.to_bytes()))
    } else {
        Err(Error::BadKey)
    }
}
