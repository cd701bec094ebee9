//! CBC encryption with a key schedule held by value. (Decryption goes through `aes`, which is faster there.)

use super::{ffi, ok};
use crate::{Error, Result};
use std::mem::MaybeUninit;
use std::os::raw::c_uint;

pub struct CbcKey(ffi::AES_KEY);

impl CbcKey {
    pub fn new(key: &[u8]) -> Result<Self> {
        let mut schedule = MaybeUninit::<ffi::AES_KEY>::zeroed();
        // SAFETY: pointer and length (in bits) are one slice; the schedule is a plain structure of integers.
        let rc = unsafe {
            ffi::AES_set_encrypt_key(key.as_ptr(), key.len() as c_uint * 8, schedule.as_mut_ptr())
        };
        ok(if rc == 0 { 1 } else { 0 }, Error::BadKey)?;
        // SAFETY: zeroed and then filled.
        Ok(CbcKey(unsafe { schedule.assume_init() }))
    }

    /// `data` is whole blocks and `out` as long; the caller checked.
    pub fn encrypt(&self, iv: &mut [u8; 16], data: &[u8], out: &mut [u8]) {
        assert!(data.len().is_multiple_of(16) && out.len() == data.len());
        // SAFETY: both slices have the given length, and the function writes one IV of 16 bytes back.
        unsafe {
            ffi::AES_cbc_encrypt(
                data.as_ptr(),
                out.as_mut_ptr(),
                data.len(),
                &self.0,
                iv.as_mut_ptr(),
                ffi::AES_ENCRYPT,
            );
        }
    }
}

impl Drop for CbcKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0.rd_key);
    }
}
