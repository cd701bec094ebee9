//! Sealing at rest: AES-256-GCM under random nonces, and the keys from PINs (Argon2id).

use argon2::{Algorithm, Argon2, Version};
use hsm_api::{Error, Result, Rv};
use hsm_crypto::GcmKey;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const NONCE: usize = 12;
const TAG: usize = 16;

/// A key that seals records, expanded.
pub struct SealKey {
    bytes: Zeroizing<[u8; 32]>,
    gcm: GcmKey,
}

/// Random bytes.
///
/// # Errors
/// RANDOM_NO_RNG.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    hsm_crypto::rng::fill(&mut bytes).map_err(|e| Error::new(Rv::RANDOM_NO_RNG, e.to_string()))?;
    Ok(bytes)
}

fn fault(fault: hsm_crypto::Error) -> Error {
    Error::new(Rv::DEVICE_ERROR, format!("sealing: {fault}"))
}

impl SealKey {
    /// From 32 bytes.
    ///
    /// # Errors
    /// DEVICE_ERROR for another length.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let bytes: [u8; 32] = bytes
            .try_into()
            .map_err(|_| fault(hsm_crypto::Error::BadLength))?;
        let gcm = GcmKey::new(&bytes).map_err(fault)?;
        Ok(SealKey {
            bytes: Zeroizing::new(bytes),
            gcm,
        })
    }

    /// A fresh one.
    ///
    /// # Errors
    /// RANDOM_NO_RNG.
    pub fn generate() -> Result<Self> {
        SealKey::new(&Zeroizing::new(random::<32>()?)[..])
    }

    /// The bytes, to be sealed under another.
    pub fn expose(&self) -> &[u8] {
        &self.bytes[..]
    }

    /// Whether both are the same key, in constant time.
    pub fn is(&self, other: &SealKey) -> bool {
        self.bytes[..].ct_eq(&other.bytes[..]).into()
    }

    /// Nonce, ciphertext, tag.
    ///
    /// # Errors
    /// DEVICE_ERROR, RANDOM_NO_RNG.
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let nonce = random::<NONCE>()?;
        let mut out = vec![0; NONCE + plain.len() + TAG];
        out[..NONCE].copy_from_slice(&nonce);
        self.gcm
            .seal(&nonce, aad, plain, &mut out[NONCE..], TAG)
            .map_err(fault)?;
        Ok(out)
    }

    /// The reverse; `None` where the key, the data or what it is bound to is another.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE)?;
        let mut plain = Zeroizing::new(vec![0; rest.len().checked_sub(TAG)?]);
        self.gcm.open(nonce, aad, rest, &mut plain, TAG).ok()?;
        Some(plain)
    }
}

/// How much work a PIN costs: Argon2id's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinCost {
    /// KiB of memory.
    pub memory: u32,
    /// Passes.
    pub passes: u32,
}

impl Default for PinCost {
    /// OWASP's first choice: 19 MiB, two passes.
    fn default() -> Self {
        PinCost {
            memory: 19 * 1024,
            passes: 2,
        }
    }
}

/// A token key wrapped under a PIN. Opening it is how a PIN is checked: there is no other verifier.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    salt: [u8; 16],
    cost: PinCost,
    wrapped: Vec<u8>,
}

impl Credential {
    /// Wraps the token key.
    ///
    /// # Errors
    /// DEVICE_ERROR, RANDOM_NO_RNG.
    pub fn make(pin: &[u8], token: &SealKey, cost: PinCost) -> Result<Self> {
        let salt = random()?;
        let wrapped = stretch(pin, &salt, cost)?.seal(b"token key", token.expose())?;
        Ok(Credential {
            salt,
            cost,
            wrapped,
        })
    }

    /// The token key, if the PIN is right.
    ///
    /// # Errors
    /// DEVICE_ERROR, if the parameters are absurd.
    pub fn open(&self, pin: &[u8]) -> Result<Option<SealKey>> {
        let token = stretch(pin, &self.salt, self.cost)?.open(b"token key", &self.wrapped);
        token.map(|bytes| SealKey::new(&bytes)).transpose()
    }
}

fn stretch(pin: &[u8], salt: &[u8], cost: PinCost) -> Result<SealKey> {
    let broken = |e: argon2::Error| Error::new(Rv::DEVICE_ERROR, format!("PIN derivation: {e}"));
    let params = argon2::Params::new(cost.memory, cost.passes, 1, Some(32)).map_err(broken)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(pin, salt, &mut key[..])
        .map_err(broken)?;
    SealKey::new(&key[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_bound_to_its_place() {
        let key = SealKey::generate().unwrap();
        let sealed = key.seal(b"here", b"value").unwrap();
        assert_eq!(key.open(b"here", &sealed).unwrap()[..], b"value"[..]);
        assert!(key.open(b"there", &sealed).is_none());
        assert!(
            SealKey::generate()
                .unwrap()
                .open(b"here", &sealed)
                .is_none()
        );
        assert!(key.open(b"here", &sealed[..20]).is_none());
        assert!(key.open(b"here", b"").is_none());
    }

    #[test]
    fn a_credential_opens_with_its_pin_only() {
        let cost = PinCost {
            memory: 8,
            passes: 1,
        };
        let token = SealKey::generate().unwrap();
        let credential = Credential::make(b"1234", &token, cost).unwrap();
        assert_eq!(
            credential.open(b"1234").unwrap().unwrap().expose(),
            token.expose()
        );
        assert!(credential.open(b"1235").unwrap().is_none());
    }
}
