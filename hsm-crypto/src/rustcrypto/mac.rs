//! HMAC.

use super::hash::{Running, with_hash};
use crate::{Error, Hash, Result};
use hmac::{KeyInit, SimpleHmac};

pub struct Hmac(Box<dyn Running>);

impl Hmac {
    pub fn new(hash: Hash, key: &[u8]) -> Result<Self> {
        with_hash!(hash, H => {
            let mac = SimpleHmac::<H>::new_from_slice(key).map_err(|_| Error::BadKey)?;
            Ok(Hmac(Box::new(mac)))
        })
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.add(data);
    }

    pub fn finish(self, out: &mut [u8; 64]) {
        self.0.end(out);
    }
}

impl Clone for Hmac {
    fn clone(&self) -> Self {
        Hmac(self.0.copy())
    }
}
