//! Hash functions, in one shot and streaming.

use crate::backend::hash as imp;
use std::fmt;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Hash {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl Hash {
    /// Every hash function there is.
    pub const ALL: [Hash; 12] = [
        Hash::Md5,
        Hash::Sha1,
        Hash::Sha224,
        Hash::Sha256,
        Hash::Sha384,
        Hash::Sha512,
        Hash::Sha512_224,
        Hash::Sha512_256,
        Hash::Sha3_224,
        Hash::Sha3_256,
        Hash::Sha3_384,
        Hash::Sha3_512,
    ];

    /// Bytes of the hash value.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(self) -> usize {
        match self {
            Hash::Md5 => 16,
            Hash::Sha1 => 20,
            Hash::Sha224 | Hash::Sha512_224 | Hash::Sha3_224 => 28,
            Hash::Sha256 | Hash::Sha512_256 | Hash::Sha3_256 => 32,
            Hash::Sha384 | Hash::Sha3_384 => 48,
            Hash::Sha512 | Hash::Sha3_512 => 64,
        }
    }

    /// Bytes of the block that HMAC pads its key to.
    pub const fn block_len(self) -> usize {
        match self {
            Hash::Md5 | Hash::Sha1 | Hash::Sha224 | Hash::Sha256 => 64,
            Hash::Sha384 | Hash::Sha512 | Hash::Sha512_224 | Hash::Sha512_256 => 128,
            Hash::Sha3_224 => 144,
            Hash::Sha3_256 => 136,
            Hash::Sha3_384 => 104,
            Hash::Sha3_512 => 72,
        }
    }

    /// Hashes `data`. Neither allocates nor fails.
    pub fn digest(self, data: &[u8]) -> HashValue {
        let mut value = HashValue::empty(self);
        imp::digest(self, data, &mut value.bytes);
        value
    }
}

/// A hash or MAC value: at most 64 bytes, without an allocation. Reads as a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashValue {
    pub(crate) bytes: [u8; 64],
    pub(crate) len: u8,
}

impl HashValue {
    pub(crate) fn empty(hash: Hash) -> Self {
        HashValue {
            bytes: [0; 64],
            len: hash.len() as u8,
        }
    }
}

impl std::ops::Deref for HashValue {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl AsRef<[u8]> for HashValue {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl zeroize::Zeroize for HashValue {
    fn zeroize(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for HashValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashValue({} bytes)", self.len)
    }
}

/// A hash being computed. Its clone goes on from the same point: that is how operation state is saved.
#[derive(Clone)]
pub struct Digest {
    hash: Hash,
    state: imp::State,
}

impl Digest {
    /// A hash over nothing yet.
    pub fn new(hash: Hash) -> Self {
        Digest {
            hash,
            state: imp::State::new(hash),
        }
    }

    /// Which hash it is.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        self.state.update(data);
    }

    /// Ends the hash.
    pub fn finish(self) -> HashValue {
        let mut value = HashValue::empty(self.hash);
        self.state.finish(&mut value.bytes);
        value
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:?})", self.hash)
    }
}
