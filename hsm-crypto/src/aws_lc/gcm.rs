//! AES-GCM: `EVP_AEAD` in one shot (no allocation, key and GHASH table expanded once), `EVP_CIPHER_CTX` for streams.

use super::{Owned, fail, ffi, ok};
use crate::{Error, Result};
use std::mem::MaybeUninit;
use std::os::raw::{c_int, c_void};
use std::ptr;
use zeroize::Zeroizing;

/// One AEAD context on the heap: it finds its state by its own address, so it must not move.
struct Context(Box<ffi::EVP_AEAD_CTX>);

// SAFETY: the context of AES-GCM is plain memory, constant after its creation.
unsafe impl Send for Context {}
// SAFETY: sealing and opening take it as const.
unsafe impl Sync for Context {}

impl Context {
    fn new(key: &[u8], tag_len: usize) -> Result<Self> {
        // SAFETY: no arguments; pointers to statics.
        let aead = unsafe {
            match key.len() {
                16 => ffi::EVP_aead_aes_128_gcm(),
                24 => ffi::EVP_aead_aes_192_gcm(),
                32 => ffi::EVP_aead_aes_256_gcm(),
                _ => return Err(Error::BadKey),
            }
        };
        let mut ctx = Box::new(MaybeUninit::<ffi::EVP_AEAD_CTX>::uninit());
        // SAFETY: `EVP_AEAD_CTX_zero` initialises the structure, `init` fills it; pointer and length are one slice.
        let rc = unsafe {
            ffi::EVP_AEAD_CTX_zero(ctx.as_mut_ptr());
            ffi::EVP_AEAD_CTX_init(
                ctx.as_mut_ptr(),
                aead,
                key.as_ptr(),
                key.len(),
                tag_len,
                ptr::null_mut(),
            )
        };
        // SAFETY: initialised by the calls above, whether or not a key was accepted.
        let this = Context(unsafe { ctx.assume_init() });
        ok(rc, Error::BadKey)?;
        Ok(this)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        // SAFETY: the context is initialised. The wipe that follows writes plain bytes of our own box.
        unsafe {
            ffi::EVP_AEAD_CTX_cleanup(&mut *self.0);
            let bytes: *mut u8 = (&raw mut *self.0).cast();
            std::slice::from_raw_parts_mut(bytes, size_of::<ffi::EVP_AEAD_CTX>()).zeroize();
        }
    }
}

pub struct Key {
    full: Context,
    stream: Owned<ffi::EVP_CIPHER_CTX>,
    /// For the rare short tags: AEAD contexts fix the tag's length.
    key: Zeroizing<Vec<u8>>,
}

// SAFETY: all that a shared reference permits is to read: seal and open take the context as const, `stream` is only copied.
unsafe impl Sync for Key {}

impl Key {
    pub fn new(key: &[u8]) -> Result<Self> {
        // SAFETY: no arguments; pointers to statics.
        let cipher = unsafe {
            match key.len() {
                16 => ffi::EVP_aes_128_gcm(),
                24 => ffi::EVP_aes_192_gcm(),
                32 => ffi::EVP_aes_256_gcm(),
                _ => return Err(Error::BadKey),
            }
        };
        let stream = cipher_ctx()?;
        // SAFETY: live context, static cipher, a key of the cipher's length, no IV yet.
        let rc = unsafe {
            ffi::EVP_CipherInit_ex(
                stream.ptr(),
                cipher,
                ptr::null_mut(),
                key.as_ptr(),
                ptr::null(),
                1,
            )
        };
        ok(rc, Error::BadKey)?;
        Ok(Key {
            full: Context::new(key, 16)?,
            stream,
            key: Zeroizing::new(key.to_vec()),
        })
    }

    /// Writes the ciphertext into `out` (as long as `data`) and the whole tag into `tag`.
    pub fn seal(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        out: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Result<()> {
        assert_eq!(data.len(), out.len());
        let mut tag_len = 0;
        // SAFETY: each pointer and length is one slice, `out` is as long as `data`, `tag` has the 16 bytes promised.
        let rc = unsafe {
            ffi::EVP_AEAD_CTX_seal_scatter(
                &*self.full.0,
                out.as_mut_ptr(),
                tag.as_mut_ptr(),
                &mut tag_len,
                tag.len(),
                iv.as_ptr(),
                iv.len(),
                data.as_ptr(),
                data.len(),
                ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        };
        ok(rc, Error::TooLarge)
    }

    /// Writes the plaintext into `out` (as long as `data`), or wipes `out` and refuses.
    pub fn open(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        assert_eq!(data.len(), out.len());
        let short;
        let ctx = if tag.len() == 16 {
            &self.full
        } else {
            short = Context::new(&self.key, tag.len())?;
            &short
        };
        // SAFETY: each pointer and length is one slice, and `out` is as long as `data`.
        let rc = unsafe {
            ffi::EVP_AEAD_CTX_open_gather(
                &*ctx.0,
                out.as_mut_ptr(),
                iv.as_ptr(),
                iv.len(),
                data.as_ptr(),
                data.len(),
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        if rc != 1 {
            out.fill(0);
            return Err(fail(Error::Mismatch));
        }
        Ok(())
    }

    pub fn stream(&self, iv: &[u8], encrypt: bool) -> Result<Stream> {
        let ctx = cipher_ctx()?;
        let iv_len = c_int::try_from(iv.len()).map_err(|_| Error::TooLarge)?;
        // SAFETY: both contexts are live; the source is only read. The IV's length is set before the IV is read.
        unsafe {
            ok(
                ffi::EVP_CIPHER_CTX_copy(ctx.ptr(), self.stream.ptr()),
                Error::Internal,
            )?;
            ok(
                ffi::EVP_CIPHER_CTX_ctrl(
                    ctx.ptr(),
                    ffi::EVP_CTRL_AEAD_SET_IVLEN,
                    iv_len,
                    ptr::null_mut(),
                ),
                Error::BadLength,
            )?;
            ok(
                ffi::EVP_CipherInit_ex(
                    ctx.ptr(),
                    ptr::null(),
                    ptr::null_mut(),
                    ptr::null(),
                    iv.as_ptr(),
                    c_int::from(encrypt),
                ),
                Error::Internal,
            )?;
        }
        Ok(Stream(ctx))
    }
}

fn cipher_ctx() -> Result<Owned<ffi::EVP_CIPHER_CTX>> {
    // SAFETY: a constructor without arguments.
    Owned::new(unsafe { ffi::EVP_CIPHER_CTX_new() }, Error::Internal)
}

/// A GCM computation in parts. Clones go on from the same point.
pub struct Stream(Owned<ffi::EVP_CIPHER_CTX>);

// SAFETY: a shared reference only permits cloning, which reads.
unsafe impl Sync for Stream {}

impl Stream {
    pub fn aad(&mut self, aad: &[u8]) -> Result<()> {
        self.run(aad, ptr::null_mut())
    }

    pub fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<()> {
        assert_eq!(data.len(), out.len());
        self.run(data, out.as_mut_ptr())
    }

    fn run(&mut self, data: &[u8], out: *mut u8) -> Result<()> {
        let mut done = 0usize;
        // The call takes an `int`: feed at most 1 GiB at a time.
        for part in data.chunks(1 << 30) {
            let mut wrote: c_int = 0;
            // SAFETY: `out` is null (additional data) or as long as `data`; `done` never passes its end.
            let rc = unsafe {
                let to = if out.is_null() { out } else { out.add(done) };
                ffi::EVP_CipherUpdate(
                    self.0.ptr(),
                    to,
                    &mut wrote,
                    part.as_ptr(),
                    part.len() as c_int,
                )
            };
            ok(rc, Error::TooLarge)?;
            done += part.len();
        }
        Ok(())
    }

    /// Ends an encryption.
    pub fn tag(self) -> Result<[u8; 16]> {
        let mut tag = [0u8; 16];
        self.end()?;
        let to: *mut c_void = tag.as_mut_ptr().cast();
        // SAFETY: the context is live, and the tag has the 16 bytes promised.
        let rc =
            unsafe { ffi::EVP_CIPHER_CTX_ctrl(self.0.ptr(), ffi::EVP_CTRL_AEAD_GET_TAG, 16, to) };
        ok(rc, Error::Internal)?;
        Ok(tag)
    }

    /// Ends a decryption: constant time in the tag.
    pub fn verify(self, tag: &[u8]) -> Result<()> {
        let (ctx, len) = (self.0.ptr(), tag.len() as c_int);
        let from: *mut c_void = tag.as_ptr().cast_mut().cast();
        // SAFETY: the context is live; this command only reads the tag, whose length it is told.
        let rc = unsafe { ffi::EVP_CIPHER_CTX_ctrl(ctx, ffi::EVP_CTRL_AEAD_SET_TAG, len, from) };
        ok(rc, Error::BadLength)?;
        self.end().map_err(|_| Error::Mismatch)
    }

    fn end(&self) -> Result<()> {
        let mut none = [0u8; 16];
        let mut wrote: c_int = 0;
        // SAFETY: the context is live; GCM's final writes nothing into `none`.
        let rc = unsafe { ffi::EVP_CipherFinal_ex(self.0.ptr(), none.as_mut_ptr(), &mut wrote) };
        ok(rc, Error::Internal)
    }
}

impl Clone for Stream {
    fn clone(&self) -> Self {
        let copy = cipher_ctx().expect("only memory can fail");
        // SAFETY: both contexts are live; the source is only read.
        let rc = unsafe { ffi::EVP_CIPHER_CTX_copy(copy.ptr(), self.0.ptr()) };
        assert_eq!(rc, 1, "only memory can fail");
        Stream(copy)
    }
}
