//! Message authentication codes: a key expanded once, one running computation a message.

use crate::backend::mac as imp;
use crate::{Error, Hash, HashValue, Result};
use std::fmt;
use subtle::ConstantTimeEq;

/// An HMAC key, expanded. Shareable; each message starts from a copy of the expanded state.
pub struct HmacKey {
    hash: Hash,
    start: imp::Hmac,
}

impl HmacKey {
    /// Any key length, zero included.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn new(hash: Hash, key: &[u8]) -> Result<Self> {
        Ok(HmacKey {
            hash,
            start: imp::Hmac::new(hash, key)?,
        })
    }

    /// The hash beneath.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Begins a message.
    pub fn start(&self) -> Hmac {
        Hmac {
            hash: self.hash,
            state: self.start.clone(),
        }
    }

    /// The MAC of one message.
    pub fn mac(&self, data: &[u8]) -> HashValue {
        let mut mac = self.start();
        mac.update(data);
        mac.finish()
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HmacKey({:?})", self.hash)
    }
}

/// An HMAC being computed. Its clone goes on from the same point.
#[derive(Clone)]
pub struct Hmac {
    hash: Hash,
    state: imp::Hmac,
}

impl Hmac {
    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        self.state.update(data);
    }

    /// Ends the message.
    pub fn finish(self) -> HashValue {
        let mut value = HashValue::empty(self.hash);
        self.state.finish(&mut value.bytes);
        value
    }

    /// Ends the message and compares in constant time. A shorter `tag` is compared with the head of the MAC (the _GENERAL
    /// mechanisms); the caller decides which lengths it allows.
    ///
    /// # Errors
    /// `BadLength` for an empty or too long tag, `Mismatch`.
    pub fn verify(self, tag: &[u8]) -> Result<()> {
        verify_tag(&self.finish(), tag)
    }
}

impl fmt::Debug for Hmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hmac({:?})", self.hash)
    }
}

/// Compares `tag` with the head of `computed` in constant time.
pub(crate) fn verify_tag(computed: &[u8], tag: &[u8]) -> Result<()> {
    if tag.is_empty() || tag.len() > computed.len() {
        return Err(Error::BadLength);
    }
    if computed[..tag.len()].ct_eq(tag).into() {
        Ok(())
    } else {
        Err(Error::Mismatch)
    }
}
