//! Ed25519 and X25519.

use crate::ed::EdMode;
use crate::{Error, Result};
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
        // Neither the crate nor its building blocks can put dom2() before both hashes.
        EdMode::Context(_) => return Err(Error::Unsupported),
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
        EdMode::Context(_) => return Err(Error::Unsupported),
    }
    .map_err(|_| Error::Mismatch)
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
