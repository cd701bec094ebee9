//! Hashes: the one-shot C functions where there are such, `EVP_MD_CTX` for streams.

use super::{Owned, ffi};
use crate::{Error, Hash};

/// The library's static description of a hash.
pub fn md(hash: Hash) -> *const ffi::EVP_MD {
    // SAFETY: these functions take nothing and return pointers to statics.
    unsafe {
        match hash {
            Hash::Md5 => ffi::EVP_md5(),
            Hash::Sha1 => ffi::EVP_sha1(),
            Hash::Sha224 => ffi::EVP_sha224(),
            Hash::Sha256 => ffi::EVP_sha256(),
            Hash::Sha384 => ffi::EVP_sha384(),
            Hash::Sha512 => ffi::EVP_sha512(),
            Hash::Sha512_224 => ffi::EVP_sha512_224(),
            Hash::Sha512_256 => ffi::EVP_sha512_256(),
            Hash::Sha3_224 => ffi::EVP_sha3_224(),
            Hash::Sha3_256 => ffi::EVP_sha3_256(),
            Hash::Sha3_384 => ffi::EVP_sha3_384(),
            Hash::Sha3_512 => ffi::EVP_sha3_512(),
        }
    }
}

pub fn digest(hash: Hash, data: &[u8], out: &mut [u8; 64]) {
    let (data, len, out) = (data.as_ptr(), data.len(), out.as_mut_ptr());
    // SAFETY: pointer and length are one slice, and no hash is longer than the 64 bytes of `out`.
    unsafe {
        match hash {
            Hash::Sha1 => _ = ffi::SHA1(data, len, out),
            Hash::Sha224 => _ = ffi::SHA224(data, len, out),
            Hash::Sha256 => _ = ffi::SHA256(data, len, out),
            Hash::Sha384 => _ = ffi::SHA384(data, len, out),
            Hash::Sha512 => _ = ffi::SHA512(data, len, out),
            Hash::Sha512_224 => _ = ffi::SHA512_224(data, len, out),
            Hash::Sha512_256 => _ = ffi::SHA512_256(data, len, out),
            _ => {
                let rc = ffi::EVP_Digest(
                    data.cast(),
                    len,
                    out,
                    std::ptr::null_mut(),
                    md(hash),
                    std::ptr::null_mut(),
                );
                assert_eq!(rc, 1, "hashing fails only when memory is out");
            }
        }
    }
}

pub struct State(Owned<ffi::EVP_MD_CTX>);

// SAFETY: a shared reference only permits cloning, which reads.
unsafe impl Sync for State {}

impl State {
    fn raw() -> Owned<ffi::EVP_MD_CTX> {
        // SAFETY: a constructor without arguments.
        Owned::new(unsafe { ffi::EVP_MD_CTX_new() }, Error::Internal)
            .expect("hashing fails only when memory is out")
    }

    pub fn new(hash: Hash) -> Self {
        let state = State(Self::raw());
        // SAFETY: the context is live and ours; the description is static.
        let rc = unsafe { ffi::EVP_DigestInit_ex(state.0.ptr(), md(hash), std::ptr::null_mut()) };
        assert_eq!(rc, 1, "hashing fails only when memory is out");
        state
    }

    pub fn update(&mut self, data: &[u8]) {
        // SAFETY: the context is live; pointer and length are one slice.
        let rc = unsafe { ffi::EVP_DigestUpdate(self.0.ptr(), data.as_ptr().cast(), data.len()) };
        assert_eq!(rc, 1, "an initialised hash takes any data");
    }

    pub fn finish(self, out: &mut [u8; 64]) {
        // SAFETY: the context is live, and no hash is longer than the 64 bytes of `out`.
        let rc = unsafe {
            ffi::EVP_DigestFinal_ex(self.0.ptr(), out.as_mut_ptr(), std::ptr::null_mut())
        };
        assert_eq!(rc, 1, "an initialised hash ends");
    }
}

impl Clone for State {
    fn clone(&self) -> Self {
        let copy = State(Self::raw());
        // SAFETY: both contexts are live, and the source is only read.
        let rc = unsafe { ffi::EVP_MD_CTX_copy_ex(copy.0.ptr(), self.0.ptr()) };
        assert_eq!(rc, 1, "hashing fails only when memory is out");
        copy
    }
}
