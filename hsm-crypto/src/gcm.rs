//! AES-GCM (NIST SP 800-38D): one shot on caller's buffers, and streams.

use crate::backend::gcm as imp;
#[cfg(target_arch = "x86_64")]
use crate::vaes;
use crate::{Error, Result};
use std::fmt;
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// The longest message: 2^32 - 2 blocks, since the counter has 32 bits.
const MAX_DATA: u64 = ((1 << 32) - 2) * 16;

/// An AES-GCM key with its tables, expanded once. Shareable.
pub struct GcmKey {
    /// Where the processor is one of those that our own code is for.
    #[cfg(target_arch = "x86_64")]
    own: Option<Box<vaes::Key>>,
    /// The backend's, made when it is needed first: where our own code runs, for streams only.
    backend: OnceLock<imp::Key>,
    /// For that.
    key: Zeroizing<Vec<u8>>,
}

impl GcmKey {
    /// A key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn new(key: &[u8]) -> Result<Self> {
        Ok(GcmKey {
            #[cfg(target_arch = "x86_64")]
            own: vaes::Key::new(key),
            ..GcmKey::on_backend(key)?
        })
    }

    /// A key that never uses this crate's own code, on any processor: what that code is measured and tested against.
    ///
    /// # Errors
    /// `BadKey` for a length other than 16, 24 or 32.
    pub fn on_backend(key: &[u8]) -> Result<Self> {
        if !matches!(key.len(), 16 | 24 | 32) {
            return Err(Error::BadKey);
        }
        Ok(GcmKey {
            #[cfg(target_arch = "x86_64")]
            own: None,
            backend: OnceLock::new(),
            key: Zeroizing::new(key.to_vec()),
        })
    }

    fn backend(&self) -> Result<&imp::Key> {
        if let Some(key) = self.backend.get() {
            return Ok(key);
        }
        let key = imp::Key::new(&self.key)?;
        Ok(self.backend.get_or_init(|| key))
    }

    /// Encrypts `data` into `out`, tag behind, and returns how many bytes that is: `data.len() + tag_len`. Does not allocate
    /// but for the backend's key, at the first use of it.
    ///
    /// # Errors
    /// `BadLength` if the IV is empty, the tag not of 4 to 16 bytes (SP 800-38D: 4, 8, 12..=16) or `out` too short;
    /// `TooLarge` above 64 GiB.
    pub fn seal(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        out: &mut [u8],
        tag_len: usize,
    ) -> Result<usize> {
        check(iv, data.len(), tag_len)?;
        let total = data.len() + tag_len;
        let (cipher, rest) = out
            .get_mut(..total)
            .ok_or(Error::BadLength)?
            .split_at_mut(data.len());
        let mut tag = [0; 16];
        self.seal_whole(iv, aad, data, cipher, &mut tag)?;
        rest.copy_from_slice(&tag[..tag_len]);
        Ok(total)
    }

    /// Decrypts `data` (its tag behind) into `out` and returns the plaintext's length. Nothing of the plaintext is left in
    /// `out` when the tag is wrong. Does not allocate for tags of 16 bytes, but as [`GcmKey::seal`].
    ///
    /// # Errors
    /// `Mismatch` for a wrong tag; lengths as in [`GcmKey::seal`].
    pub fn open(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        out: &mut [u8],
        tag_len: usize,
    ) -> Result<usize> {
        let len = data.len().checked_sub(tag_len).ok_or(Error::BadLength)?;
        check(iv, len, tag_len)?;
        let (cipher, tag) = data.split_at(len);
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        self.open_whole(iv, aad, cipher, tag, out)?;
        Ok(len)
    }

    fn seal_whole(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        out: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Result<()> {
        #[cfg(target_arch = "x86_64")]
        if let Some(own) = &self.own {
            own.seal(iv, aad, data, out, tag);
            return Ok(());
        }
        self.backend()?.seal(iv, aad, data, out, tag)
    }

    fn open_whole(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        #[cfg(target_arch = "x86_64")]
        if let Some(own) = &self.own {
            return own.open(iv, aad, data, tag, out);
        }
        self.backend()?.open(iv, aad, data, tag, out)
    }

    /// Begins an encryption in parts.
    ///
    /// # Errors
    /// `BadLength` for an empty IV.
    pub fn encryptor(&self, iv: &[u8]) -> Result<GcmEncryptor> {
        check(iv, 0, 16)?;
        Ok(GcmEncryptor {
            state: self.backend()?.stream(iv, true)?,
            len: 0,
        })
    }

    /// Begins a decryption in parts. It hands out plaintext before the tag was seen: the caller holds it back.
    ///
    /// # Errors
    /// `BadLength` for an empty IV.
    pub fn decryptor(&self, iv: &[u8]) -> Result<GcmDecryptor> {
        check(iv, 0, 16)?;
        Ok(GcmDecryptor {
            state: self.backend()?.stream(iv, false)?,
            len: 0,
        })
    }
}

impl fmt::Debug for GcmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmKey")
    }
}

fn check(iv: &[u8], data: usize, tag: usize) -> Result<()> {
    if iv.is_empty() || !(1..=16).contains(&tag) {
        Err(Error::BadLength)
    } else if data as u64 > MAX_DATA {
        Err(Error::TooLarge)
    } else {
        Ok(())
    }
}

macro_rules! stream {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            state: imp::Stream,
            len: u64,
        }

        impl $name {
            /// Adds additional data; before the first `update`.
            ///
            /// # Errors
            /// `BadLength` after data, `TooLarge` beyond the limit.
            pub fn aad(&mut self, aad: &[u8]) -> Result<()> {
                if self.len != 0 {
                    return Err(Error::BadLength);
                }
                self.state.aad(aad)
            }

            /// Transforms `data` into the first `data.len()` bytes of `out`.
            ///
            /// # Errors
            /// `BadLength` if `out` is too short, `TooLarge` above 64 GiB in all.
            pub fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
                let out = out.get_mut(..data.len()).ok_or(Error::BadLength)?;
                let len = self.len + data.len() as u64;
                if len > MAX_DATA {
                    return Err(Error::TooLarge);
                }
                self.state.update(data, out)?;
                self.len = len;
                Ok(data.len())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes so far)"), self.len)
            }
        }
    };
}

stream! {
    /// An encryption in parts. Its clone goes on from the same point.
    GcmEncryptor
}
stream! {
    /// A decryption in parts. Its clone goes on from the same point.
    GcmDecryptor
}

impl GcmEncryptor {
    /// Ends the message: the whole tag, which the caller may shorten.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn finish(self) -> Result<[u8; 16]> {
        self.state.tag()
    }
}

impl GcmDecryptor {
    /// Ends the message and compares the tag in constant time.
    ///
    /// # Errors
    /// `Mismatch`: none of the plaintext may be used.
    pub fn finish(self, tag: &[u8]) -> Result<()> {
        check(&[0], 0, tag.len())?;
        self.state.verify(tag)
    }
}
