//! RSA: AWS-LC's generator, blinding, CRT with fault check, PSS and OAEP. Only PKCS#1 v1.5 decryption takes its padding off
//! elsewhere (`crate::rsa_padding`), because AWS-LC has no implicit rejection.

use super::{Owned, bn, bn_write, fail, ffi, hash::md, ok};
use crate::rsa::{Oaep, Parts, Pss};
use crate::{Error, Result};
use std::os::raw::{c_int, c_uint};
use std::ptr;
use zeroize::Zeroizing;

/// A public or private key.
pub struct Key(Owned<ffi::RSA>);

// SAFETY: RSA objects may be used from several threads as long as none changes them; the lazily made Montgomery values and
// blindings are behind AWS-LC's own lock.
unsafe impl Sync for Key {}

impl Key {
    pub fn generate(bits: usize, exponent: &[u8]) -> Result<Self> {
        // SAFETY: a constructor without arguments.
        let rsa = Owned::new(unsafe { ffi::RSA_new() }, Error::Internal)?;
        let bits = c_int::try_from(bits).map_err(|_| Error::BadLength)?;
        let e = bn(exponent)?;
        // SAFETY: both objects are live; no callback.
        let rc = unsafe { ffi::RSA_generate_key_ex(rsa.ptr(), bits, e.ptr(), ptr::null_mut()) };
        ok(rc, Error::BadKey)?;
        Ok(Key(rsa))
    }

    pub fn public(n: &[u8], e: &[u8]) -> Result<Self> {
        let (n, e) = (bn(n)?, bn(e)?);
        // SAFETY: the numbers are live and are copied. The second constructor takes exponents above 33 bits.
        let raw = unsafe {
            let raw = ffi::RSA_new_public_key(n.ptr(), e.ptr());
            if raw.is_null() {
                ffi::RSA_new_public_key_large_e(n.ptr(), e.ptr())
            } else {
                raw
            }
        };
        let key = Owned::new(raw, Error::BadKey)?;
        // SAFETY: touches only this thread's queue, where the first attempt may have left its reason.
        unsafe { ffi::ERR_clear_error() };
        Ok(Key(key))
    }

    pub fn private(parts: &Parts) -> Result<Self> {
        let (n, e, d) = (bn(&parts.n)?, bn(&parts.e)?, bn(&parts.d)?);
        let raw = match &parts.crt {
            Some(crt) => {
                let (p, q) = (bn(&crt.p)?, bn(&crt.q)?);
                let (dp, dq, qinv) = (bn(&crt.dp)?, bn(&crt.dq)?, bn(&crt.qinv)?);
                // SAFETY: the numbers are live and are copied; the key is checked for consistency.
                unsafe {
                    let (p, q) = (p.ptr(), q.ptr());
                    let (dp, dq, qinv) = (dp.ptr(), dq.ptr(), qinv.ptr());
                    let raw =
                        ffi::RSA_new_private_key(n.ptr(), e.ptr(), d.ptr(), p, q, dp, dq, qinv);
                    if raw.is_null() {
                        ffi::RSA_new_private_key_large_e(
                            n.ptr(),
                            e.ptr(),
                            d.ptr(),
                            p,
                            q,
                            dp,
                            dq,
                            qinv,
                        )
                    } else {
                        raw
                    }
                }
            }
            // SAFETY: the numbers are live and are copied.
            None => unsafe { ffi::RSA_new_private_key_no_crt(n.ptr(), e.ptr(), d.ptr()) },
        };
        let key = Owned::new(raw, Error::BadKey)?;
        // SAFETY: touches only this thread's queue, where the first attempt may have left its reason.
        unsafe { ffi::ERR_clear_error() };
        Ok(Key(key))
    }

    pub fn size(&self) -> usize {
        // SAFETY: the key is live.
        unsafe { ffi::RSA_size(self.0.ptr()) as usize }
    }

    pub fn n(&self) -> Result<Vec<u8>> {
        // SAFETY: the key is live and owns the number.
        unsafe { number(ffi::RSA_get0_n(self.0.ptr())) }
    }

    pub fn e(&self) -> Result<Vec<u8>> {
        // SAFETY: the key is live and owns the number.
        unsafe { number(ffi::RSA_get0_e(self.0.ptr())) }
    }

    pub fn d(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut d = Zeroizing::new(vec![0; self.size()]);
        // SAFETY: the key is live and owns the number.
        unsafe { bn_write(ffi::RSA_get0_d(self.0.ptr()), &mut d)? };
        Ok(d)
    }

    /// p, q, dp, dq, qinv, if the key has them.
    pub fn crt(&self) -> Result<Option<[Zeroizing<Vec<u8>>; 5]>> {
        let rsa = self.0.ptr();
        // SAFETY: the key is live and owns the numbers; null is checked below.
        let numbers = unsafe {
            [
                ffi::RSA_get0_p(rsa),
                ffi::RSA_get0_q(rsa),
                ffi::RSA_get0_dmp1(rsa),
                ffi::RSA_get0_dmq1(rsa),
                ffi::RSA_get0_iqmp(rsa),
            ]
        };
        if numbers.iter().any(|n| n.is_null()) {
            return Ok(None);
        }
        let mut out: [Zeroizing<Vec<u8>>; 5] = Default::default();
        for (i, (number, out)) in numbers.into_iter().zip(&mut out).enumerate() {
            // Each is below p or q: pad to the width of its prime, so that the length tells nothing.
            // SAFETY: not null, and the live key owns it.
            let width = unsafe { ffi::BN_num_bytes(numbers[[0, 1, 0, 1, 0][i]]) as usize };
            *out = Zeroizing::new(vec![0; width]);
            // SAFETY: not null, and the live key owns it.
            unsafe { bn_write(number, out)? };
        }
        Ok(Some(out))
    }

    pub fn private_raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        self.sign(input, out, ffi::RSA_NO_PADDING)
    }

    pub fn public_raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let mut len = 0;
        // SAFETY: the key is live; each pointer and length is one slice.
        let rc = unsafe {
            ffi::RSA_encrypt(
                self.0.ptr(),
                &mut len,
                out.as_mut_ptr(),
                out.len(),
                input.as_ptr(),
                input.len(),
                ffi::RSA_NO_PADDING,
            )
        };
        ok(rc, Error::TooLarge)
    }

    pub fn sign_pkcs1(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        self.sign(input, out, ffi::RSA_PKCS1_PADDING)
    }

    fn sign(&self, input: &[u8], out: &mut [u8], padding: c_int) -> Result<()> {
        let mut len = 0;
        // SAFETY: the key is live; each pointer and length is one slice.
        let rc = unsafe {
            ffi::RSA_sign_raw(
                self.0.ptr(),
                &mut len,
                out.as_mut_ptr(),
                out.len(),
                input.as_ptr(),
                input.len(),
                padding,
            )
        };
        ok(rc, Error::TooLarge)
    }

    /// What was signed: the padding removed. Returns its length in `out`.
    pub fn recover_pkcs1(&self, signature: &[u8], out: &mut [u8]) -> Result<usize> {
        let mut len = 0;
        // SAFETY: the key is live; each pointer and length is one slice.
        let rc = unsafe {
            ffi::RSA_verify_raw(
                self.0.ptr(),
                &mut len,
                out.as_mut_ptr(),
                out.len(),
                signature.as_ptr(),
                signature.len(),
                ffi::RSA_PKCS1_PADDING,
            )
        };
        ok(rc, Error::Mismatch)?;
        Ok(len)
    }

    pub fn encrypt_pkcs1(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        let mut len = 0;
        // SAFETY: the key is live; each pointer and length is one slice.
        let rc = unsafe {
            ffi::RSA_encrypt(
                self.0.ptr(),
                &mut len,
                out.as_mut_ptr(),
                out.len(),
                data.as_ptr(),
                data.len(),
                ffi::RSA_PKCS1_PADDING,
            )
        };
        ok(rc, Error::TooLarge)
    }

    pub fn sign_pss(&self, pss: &Pss, digest: &[u8], out: &mut [u8]) -> Result<()> {
        let mut len = 0;
        let salt = c_int::try_from(pss.salt_len).map_err(|_| Error::BadLength)?;
        // SAFETY: the key is live; each pointer and length is one slice; the hash descriptions are static.
        let rc = unsafe {
            ffi::RSA_sign_pss_mgf1(
                self.0.ptr(),
                &mut len,
                out.as_mut_ptr(),
                out.len(),
                digest.as_ptr(),
                digest.len(),
                md(pss.hash),
                md(pss.mgf),
                salt,
            )
        };
        ok(rc, Error::BadLength)
    }

    pub fn verify_pss(&self, pss: &Pss, digest: &[u8], signature: &[u8]) -> Result<()> {
        let salt = c_int::try_from(pss.salt_len).map_err(|_| Error::BadLength)?;
        // SAFETY: the key is live; each pointer and length is one slice; the hash descriptions are static.
        let rc = unsafe {
            ffi::RSA_verify_pss_mgf1(
                self.0.ptr(),
                digest.as_ptr(),
                digest.len(),
                md(pss.hash),
                md(pss.mgf),
                salt,
                signature.as_ptr(),
                signature.len(),
            )
        };
        ok(rc, Error::Mismatch)
    }

    pub fn encrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<()> {
        let ctx = self.evp()?;
        let mut len = out.len();
        // SAFETY: the context is live; each pointer and length is one slice.
        unsafe {
            ok(ffi::EVP_PKEY_encrypt_init(ctx.ptr()), Error::Internal)?;
            set_oaep(&ctx, oaep)?;
            let rc = ffi::EVP_PKEY_encrypt(
                ctx.ptr(),
                out.as_mut_ptr(),
                &mut len,
                data.as_ptr(),
                data.len(),
            );
            ok(rc, Error::TooLarge)
        }
    }

    pub fn decrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let ctx = self.evp()?;
        let mut len = out.len();
        // SAFETY: the context is live; each pointer and length is one slice.
        unsafe {
            ok(ffi::EVP_PKEY_decrypt_init(ctx.ptr()), Error::Internal)?;
            set_oaep(&ctx, oaep)?;
            let rc = ffi::EVP_PKEY_decrypt(
                ctx.ptr(),
                out.as_mut_ptr(),
                &mut len,
                data.as_ptr(),
                data.len(),
            );
            ok(rc, Error::BadPadding)?;
        }
        Ok(len)
    }

    fn evp(&self) -> Result<Owned<ffi::EVP_PKEY_CTX>> {
        // SAFETY: a constructor without arguments.
        let pkey = Owned::new(unsafe { ffi::EVP_PKEY_new() }, Error::Internal)?;
        // SAFETY: both objects are live; `set1` and the new context take references of their own.
        unsafe {
            ok(
                ffi::EVP_PKEY_set1_RSA(pkey.ptr(), self.0.ptr()),
                Error::Internal,
            )?;
            Owned::new(
                ffi::EVP_PKEY_CTX_new(pkey.ptr(), ptr::null_mut()),
                Error::Internal,
            )
        }
    }
}

/// # Safety
/// `ctx` was initialised for encryption or decryption with an RSA key.
unsafe fn set_oaep(ctx: &Owned<ffi::EVP_PKEY_CTX>, oaep: &Oaep) -> Result<()> {
    // SAFETY: the context is live and initialised. The label is a copy made by the library's allocator, owned by the context
    // once `set0` succeeded and freed by us if not.
    unsafe {
        ok(
            ffi::EVP_PKEY_CTX_set_rsa_padding(ctx.ptr(), ffi::RSA_PKCS1_OAEP_PADDING),
            Error::Internal,
        )?;
        ok(
            ffi::EVP_PKEY_CTX_set_rsa_oaep_md(ctx.ptr(), md(oaep.hash)),
            Error::Unsupported,
        )?;
        ok(
            ffi::EVP_PKEY_CTX_set_rsa_mgf1_md(ctx.ptr(), md(oaep.mgf)),
            Error::Unsupported,
        )?;
        if !oaep.label.is_empty() {
            let copy = ffi::OPENSSL_memdup(oaep.label.as_ptr().cast(), oaep.label.len());
            if copy.is_null() {
                return Err(fail(Error::Internal));
            }
            let rc =
                ffi::EVP_PKEY_CTX_set0_rsa_oaep_label(ctx.ptr(), copy.cast(), oaep.label.len());
            if rc != 1 {
                ffi::OPENSSL_free(copy);
                return Err(fail(Error::Internal));
            }
        }
    }
    Ok(())
}

/// # Safety
/// `number` is null or live.
unsafe fn number(number: *const ffi::BIGNUM) -> Result<Vec<u8>> {
    if number.is_null() {
        return Err(Error::BadKey);
    }
    // SAFETY: live by our contract.
    let len: c_uint = unsafe { ffi::BN_num_bytes(number) };
    let mut out = vec![0; len as usize];
    // SAFETY: live by our contract.
    unsafe { bn_write(number, &mut out)? };
    Ok(out)
}
