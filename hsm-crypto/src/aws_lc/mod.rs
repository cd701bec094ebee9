//! The backend on AWS-LC: the only place of this crate that says `unsafe`.
//!
//! Every C object lives in an [`Owned`], freed exactly once; slices turn into pointer and length at the call and nowhere else.
//! AWS-LC's objects that we share between threads (RSA, EC_KEY, AEAD contexts) are documented as safe for concurrent use as
//! long as nobody changes them, and none of ours is changed after it was made.

pub mod ec;
pub mod ed;
pub mod gcm;
pub mod hash;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod hooks;
pub mod mac;
pub mod modes;
pub mod modular;
pub mod pq;
pub mod rng;
pub mod rsa;

use crate::{Error, Result};
use aws_lc_sys as ffi;
use std::os::raw::c_int;
use std::ptr::NonNull;

/// A C type that knows how it is freed.
///
/// # Safety
/// `free` must release what a constructor of that type returned, and must be callable once from any thread.
pub unsafe trait Free {
    /// # Safety
    /// `this` came from the type's constructor and is not used afterwards.
    unsafe fn free(this: *mut Self);
}

macro_rules! free {
    ($($ty:ident by $free:ident),* $(,)?) => {$(
        // SAFETY: the function is the library's own counterpart to the constructors of this type, without thread affinity.
        unsafe impl Free for ffi::$ty {
            unsafe fn free(this: *mut Self) {
                // SAFETY: by the contract of `Free::free`.
                unsafe { ffi::$free(this) }
            }
        }
    )*};
}

free! {
    BIGNUM by BN_clear_free,
    BN_CTX by BN_CTX_free,
    BN_MONT_CTX by BN_MONT_CTX_free,
    RSA by RSA_free,
    EC_KEY by EC_KEY_free,
    EC_POINT by EC_POINT_clear_free,
    ECDSA_SIG by ECDSA_SIG_free,
    EVP_PKEY by EVP_PKEY_free,
    EVP_PKEY_CTX by EVP_PKEY_CTX_free,
    EVP_MD_CTX by EVP_MD_CTX_free,
    EVP_CIPHER_CTX by EVP_CIPHER_CTX_free,
}

/// A C object that is ours: freed when dropped.
pub struct Owned<T: Free>(NonNull<T>);

impl<T: Free> Owned<T> {
    /// Takes what a constructor returned; null means that it failed.
    pub fn new(raw: *mut T, otherwise: Error) -> Result<Self> {
        match NonNull::new(raw) {
            Some(ptr) => Ok(Owned(ptr)),
            None => Err(fail(otherwise)),
        }
    }

    /// The pointer to hand to C. It stays ours.
    pub fn ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// Gives the object away to C.
    pub fn into_raw(self) -> *mut T {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }
}

impl<T: Free> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: we hold the only reference that frees, and drop runs once.
        unsafe { T::free(self.0.as_ptr()) }
    }
}

// SAFETY: the objects have no thread affinity.
unsafe impl<T: Free> Send for Owned<T> {}

/// Clears the thread's error queue, so that a refusal leaves nothing behind in a host's thread, and returns the error.
#[cold]
pub fn fail(error: Error) -> Error {
    // SAFETY: touches only this thread's queue.
    unsafe { ffi::ERR_clear_error() };
    error
}

/// 1 means success in almost all of AWS-LC.
pub fn ok(rc: c_int, otherwise: Error) -> Result<()> {
    if rc == 1 {
        Ok(())
    } else {
        Err(fail(otherwise))
    }
}

/// A big-endian number.
pub fn bn(bytes: &[u8]) -> Result<Owned<ffi::BIGNUM>> {
    // SAFETY: pointer and length are one slice; null as third argument asks for a new number.
    let raw = unsafe { ffi::BN_bin2bn(bytes.as_ptr(), bytes.len(), std::ptr::null_mut()) };
    Owned::new(raw, Error::Internal)
}

/// Writes a number big-endian, padded to the whole of `out`. Constant time in the number's value.
///
/// # Safety
/// `number` is null or a live BIGNUM.
pub unsafe fn bn_write(number: *const ffi::BIGNUM, out: &mut [u8]) -> Result<()> {
    if number.is_null() {
        return Err(Error::BadKey);
    }
    // SAFETY: `number` is live by our contract; pointer and length are one slice.
    ok(
        unsafe { ffi::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), number) },
        Error::TooLarge,
    )
}
