//! What ML-DSA and SLH-DSA sign: the message itself or its hash, each framed with a context (FIPS 204, 5.2 and 5.4; FIPS 205, 10.2).

use crate::{Error, Hash, Result, Xof};
use zeroize::Zeroizing;

/// A function that messages are hashed with before they are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreHash {
    /// A hash function.
    Hash(Hash),
    /// SHAKE128 with 32 bytes of output, SHAKE256 with 64.
    Xof(Xof),
}

impl PreHash {
    /// Bytes of its output.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(self) -> usize {
        match self {
            PreHash::Hash(hash) => hash.len(),
            PreHash::Xof(Xof::Shake128) => 32,
            PreHash::Xof(Xof::Shake256) => 64,
        }
    }

    /// Hashes a message.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            PreHash::Hash(hash) => hash.digest(message).to_vec(),
            PreHash::Xof(xof) => {
                let mut out = vec![0; self.len()];
                xof.digest(&[message], &mut out);
                out
            }
        }
    }

    /// The last arc of its object identifier, under 2.16.840.1.101.3.4.2.
    fn arc(self) -> Result<u8> {
        Ok(match self {
            PreHash::Hash(Hash::Sha256) => 1,
            PreHash::Hash(Hash::Sha384) => 2,
            PreHash::Hash(Hash::Sha512) => 3,
            PreHash::Hash(Hash::Sha224) => 4,
            PreHash::Hash(Hash::Sha512_224) => 5,
            PreHash::Hash(Hash::Sha512_256) => 6,
            PreHash::Hash(Hash::Sha3_224) => 7,
            PreHash::Hash(Hash::Sha3_256) => 8,
            PreHash::Hash(Hash::Sha3_384) => 9,
            PreHash::Hash(Hash::Sha3_512) => 10,
            PreHash::Xof(Xof::Shake128) => 11,
            PreHash::Xof(Xof::Shake256) => 12,
            PreHash::Hash(Hash::Md5 | Hash::Sha1) => return Err(Error::Unsupported),
        })
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// The message.
    Pure(&'a [u8]),
    /// Its hash, made by this function.
    Hashed(PreHash, &'a [u8]),
}

impl Message<'_> {
    /// M' of the standards: a byte for the form, the context with its length, for a hash its object identifier, the bytes.
    ///
    /// # Errors
    /// `BadLength` for a context above 255 bytes or a hash of another length, `Unsupported` for a broken hash function.
    pub fn framed(&self, context: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let len = u8::try_from(context.len()).map_err(|_| Error::BadLength)?;
        let mut framed = Zeroizing::new(vec![0, len]);
        framed.extend_from_slice(context);
        match *self {
            Message::Pure(message) => framed.extend_from_slice(message),
            Message::Hashed(by, digest) => {
                if digest.len() != by.len() {
                    return Err(Error::BadLength);
                }
                framed[0] = 1;
                framed.extend_from_slice(b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02");
                framed.push(by.arc()?);
                framed.extend_from_slice(digest);
            }
        }
        Ok(framed)
    }
}
