//! HMAC on `HMAC_CTX`, which holds its state in place: a copy of an initialised context is the cheap start of an operation.

use super::{ffi, hash::md, ok};
use crate::{Error, Hash, Result};
use std::mem::MaybeUninit;

pub struct Hmac(ffi::HMAC_CTX);

// SAFETY: the context points at statics only.
unsafe impl Send for Hmac {}
// SAFETY: a shared reference only permits cloning, which reads.
unsafe impl Sync for Hmac {}

impl Hmac {
    pub fn new(hash: Hash, key: &[u8]) -> Result<Self> {
        let mut ctx = MaybeUninit::uninit();
        // SAFETY: initialises the whole structure.
        let mut this = unsafe {
            ffi::HMAC_CTX_init(ctx.as_mut_ptr());
            Hmac(ctx.assume_init())
        };
        // An empty key needs a pointer that is not null: null means "the key as before".
        // SAFETY: the context is initialised; pointer and length are one slice, dangling at worst for length 0.
        let rc = unsafe {
            ffi::HMAC_Init_ex(
                &mut this.0,
                key.as_ptr().cast(),
                key.len(),
                md(hash),
                std::ptr::null_mut(),
            )
        };
        ok(rc, Error::Internal)?;
        Ok(this)
    }

    pub fn update(&mut self, data: &[u8]) {
        // SAFETY: the context is initialised with a key; pointer and length are one slice.
        let rc = unsafe { ffi::HMAC_Update(&mut self.0, data.as_ptr(), data.len()) };
        assert_eq!(rc, 1, "a keyed HMAC takes any data");
    }

    pub fn finish(mut self, out: &mut [u8; 64]) {
        // SAFETY: the context is keyed, and no hash is longer than the 64 bytes of `out`.
        let rc = unsafe { ffi::HMAC_Final(&mut self.0, out.as_mut_ptr(), std::ptr::null_mut()) };
        assert_eq!(rc, 1, "a keyed HMAC ends");
    }
}

impl Clone for Hmac {
    fn clone(&self) -> Self {
        let mut ctx = MaybeUninit::uninit();
        // SAFETY: the source is initialised and holds its state in place, so the library's copy is a copy of bytes.
        unsafe {
            ffi::HMAC_CTX_init(ctx.as_mut_ptr());
            let rc = ffi::HMAC_CTX_copy_ex(ctx.as_mut_ptr(), &self.0);
            assert_eq!(rc, 1, "a copy in place needs no memory");
            Hmac(ctx.assume_init())
        }
    }
}

impl Drop for Hmac {
    fn drop(&mut self) {
        // SAFETY: the context is initialised; this wipes it.
        unsafe { ffi::HMAC_CTX_cleanup(&mut self.0) }
    }
}
