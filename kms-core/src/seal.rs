//! Seals kmsuser's passwords under a key of the service's own HSM, so that the metadata database alone opens no cluster.

use std::sync::Arc;

use rand::RngExt;
use zeroize::Zeroizing;

use crate::error::{Result, internal};
use crate::p11::{FaultKind, Sealed, Token};
use crate::records::SealedPassword;

/// The sealing key's label in the service's HSM.
const LABEL: &str = "keystead-kms-sealing-key";
/// Bound into the AAD, so that what is sealed here can be opened for nothing else.
const PURPOSE: &str = "kmsuser password of ";

/// Seals and opens passwords.
#[derive(Debug, Clone)]
pub struct Sealer {
    token: Arc<Token>,
}

impl Sealer {
    /// The sealer of this service, making its key at the first start.
    ///
    /// # Errors
    /// What the token answered.
    pub fn new(token: Arc<Token>) -> Result<Sealer> {
        if !token.has(LABEL)? {
            match token.generate_aes(LABEL, LABEL.as_bytes()) {
                // Another process was first.
                Err(taken) if taken.kind == FaultKind::KeyAmbiguous => {}
                made => made?,
            }
        }
        Ok(Sealer { token })
    }

    /// Seals a key store's password.
    ///
    /// # Errors
    /// What the token answered.
    pub fn seal(&self, store: &str, password: &str) -> Result<SealedPassword> {
        let sealed = self
            .token
            .seal(LABEL, aad(store).as_bytes(), password.as_bytes())
            .map_err(internal)?;
        Ok(SealedPassword(hex::encode(
            [&sealed.iv[..], &sealed.body].concat(),
        )))
    }

    /// Opens a key store's password.
    ///
    /// # Errors
    /// KMSInternalException if it was not sealed for this store, or what the token answered.
    pub fn open(&self, store: &str, sealed: &SealedPassword) -> Result<Zeroizing<String>> {
        let damaged = || internal(format!("the sealed password of {store} is damaged"));
        let bytes = hex::decode(&sealed.0).map_err(|_| damaged())?;
        let (iv, body) = bytes.split_first_chunk::<12>().ok_or_else(damaged)?;
        let sealed = Sealed {
            iv: *iv,
            body: body.to_vec(),
        };
        let plain = self
            .token
            .open(LABEL, aad(store).as_bytes(), &sealed)
            .map_err(|fault| match fault.kind {
                FaultKind::BadTag => damaged().caused_by(fault.why),
                _ => internal(fault),
            })?;
        std::str::from_utf8(&plain)
            .map(|text| Zeroizing::new(text.to_owned()))
            .map_err(|_| damaged())
    }
}

fn aad(store: &str) -> String {
    format!("{PURPOSE}{store}")
}

/// A new password for kmsuser: 32 letters and digits, what CloudHSM allows at most.
pub fn new_password() -> Zeroizing<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    let mut password = Zeroizing::new(String::with_capacity(32));
    for _ in 0..32 {
        password.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    password
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_new_password_is_what_cloudhsm_takes() {
        let (one, two) = (super::new_password(), super::new_password());
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(*one, *two);
    }
}
