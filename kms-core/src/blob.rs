//! The ciphertext that clients keep: a versioned header, then what the HSM gave.
//!
//! ```text
//! 1 byte   version (1)
//! 1 byte   length of the key ARN, then the key ARN
//! 32 bytes id of the backing key
//! 12 bytes IV
//! rest     ciphertext and 16-byte tag
//! ```
//! The header up to the IV and the encryption context are the AAD, so neither can be exchanged. The context is written in a canonical form:
//! sorted by key, each string preceded by its length, so that two different contexts never give the same bytes.

use std::collections::BTreeMap;

use crate::error::{INVALID_CIPHERTEXT, Result};
use crate::ids::is_key_arn;
use crate::p11::Sealed;

const VERSION: u8 = 1;
const IV: usize = 12;
const TAG: usize = 16;
/// The longest blob that an operation takes.
pub const MAX: usize = 6144;

/// The encryption context of a request.
pub type Context = BTreeMap<String, String>;

/// The part of a blob that says which key made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The key's ARN.
    pub key_arn: String,
    /// The backing key.
    pub backing_key: [u8; 32],
}

impl Header {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.key_arn.len() + 32);
        // An ARN of ours has about 80 characters; a region and an account make it, both short.
        let length = u8::try_from(self.key_arn.len()).unwrap_or(u8::MAX);
        out.extend([VERSION, length]);
        out.extend(&self.key_arn.as_bytes()[..usize::from(length)]);
        out.extend(self.backing_key);
        out
    }

    /// The additional authenticated data for this header and context.
    pub fn aad(&self, context: &Context) -> Vec<u8> {
        let mut aad = self.bytes();
        for text in context.iter().flat_map(|(key, value)| [key, value]) {
            aad.extend((text.len() as u64).to_be_bytes());
            aad.extend(text.as_bytes());
        }
        aad
    }

    /// The blob of this header and what the HSM gave.
    pub fn join(&self, sealed: &Sealed) -> Vec<u8> {
        let mut out = self.bytes();
        out.extend(sealed.iv);
        out.extend(&sealed.body);
        out
    }
}

/// Takes a blob apart.
///
/// # Errors
/// InvalidCiphertextException, without a text as the service sends it, for anything that we did not make.
pub fn split(blob: &[u8]) -> Result<(Header, Sealed)> {
    parse(blob).ok_or_else(|| {
        INVALID_CIPHERTEXT
            .bare()
            .caused_by("the blob is not of our format")
    })
}

fn parse(blob: &[u8]) -> Option<(Header, Sealed)> {
    let (&[version, length], rest) = blob.split_first_chunk::<2>()?;
    if version != VERSION || blob.len() > MAX {
        return None;
    }
    let (arn, rest) = rest.split_at_checked(usize::from(length))?;
    let (backing_key, rest) = rest.split_first_chunk::<32>()?;
    let (iv, body) = rest.split_first_chunk::<IV>()?;
    if body.len() <= TAG {
        return None;
    }
    let key_arn = std::str::from_utf8(arn).ok()?.to_owned();
    // A header that was tampered with is an invalid ciphertext, not one of a key that is nowhere.
    if !is_key_arn(&key_arn) {
        return None;
    }
    Some((
        Header {
            key_arn,
            backing_key: *backing_key,
        },
        Sealed {
            iv: *iv,
            body: body.to_vec(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            key_arn: "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
                .into(),
            backing_key: [7; 32],
        }
    }

    #[test]
    fn a_blob_comes_apart_as_it_was_joined() {
        let sealed = Sealed {
            iv: [3; 12],
            body: vec![9; 4096 + 16],
        };
        let blob = header().join(&sealed);
        assert!(blob.len() <= MAX);
        assert_eq!(split(&blob).unwrap(), (header(), sealed));
    }

    #[test]
    fn a_truncated_or_foreign_blob_is_refused_without_a_text() {
        let blob = header().join(&Sealed {
            iv: [3; 12],
            body: vec![9; 17],
        });
        for end in 0..blob.len() {
            assert_eq!(
                split(&blob[..end]).unwrap_err().message,
                None,
                "{end} bytes"
            );
        }
        let mut other = blob.clone();
        other[0] = 2;
        assert!(split(&other).is_err());
    }

    #[test]
    fn different_contexts_have_different_bytes() {
        let of = |pairs: &[(&str, &str)]| {
            header().aad(
                &pairs
                    .iter()
                    .map(|(k, v)| ((*k).into(), (*v).into()))
                    .collect(),
            )
        };
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        assert_ne!(of(&[("a", "1b")]), of(&[("a1", "b")]));
        assert_ne!(of(&[]), of(&[("", "")]));
        assert_ne!(of(&[("a", "b"), ("c", "d")]), of(&[("a", "bcd"), ("", "")]));
    }
}
