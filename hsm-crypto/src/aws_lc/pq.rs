//! ML-DSA (FIPS 204) and ML-KEM (FIPS 203).

use super::{Owned, fail, ffi, ok};
use crate::pq::{KemSet, MlDsaSet};
use crate::{Error, Result};
use std::os::raw::c_int;
use std::ptr;
use zeroize::Zeroizing;

/// A key of either kind.
pub struct Key(Owned<ffi::EVP_PKEY>);

// SAFETY: keys may be used from several threads as long as none changes them.
unsafe impl Sync for Key {}

fn dsa_nid(set: MlDsaSet) -> c_int {
    match set {
        MlDsaSet::MlDsa44 => ffi::NID_MLDSA44,
        MlDsaSet::MlDsa65 => ffi::NID_MLDSA65,
        MlDsaSet::MlDsa87 => ffi::NID_MLDSA87,
    }
}

fn kem_nid(set: KemSet) -> c_int {
    match set {
        KemSet::MlKem512 => ffi::NID_MLKEM512,
        KemSet::MlKem768 => ffi::NID_MLKEM768,
        KemSet::MlKem1024 => ffi::NID_MLKEM1024,
    }
}

impl Key {
    pub fn dsa_generate(set: MlDsaSet) -> Result<Self> {
        // SAFETY: the set function suits the key type that the context is for.
        unsafe {
            generate(ffi::EVP_PKEY_PQDSA, |ctx| {
                ffi::EVP_PKEY_CTX_pqdsa_set_params(ctx, dsa_nid(set))
            })
        }
    }

    pub fn kem_generate(set: KemSet) -> Result<Self> {
        // SAFETY: the set function suits the key type that the context is for.
        unsafe {
            generate(ffi::EVP_PKEY_KEM, |ctx| {
                ffi::EVP_PKEY_CTX_kem_set_params(ctx, kem_nid(set))
            })
        }
    }

    /// From the seed or the expanded private key, told apart by their length.
    pub fn dsa_private(set: MlDsaSet, key: &[u8]) -> Result<Self> {
        // SAFETY: pointer and length are one slice.
        let raw = unsafe {
            ffi::EVP_PKEY_pqdsa_new_raw_private_key(dsa_nid(set), key.as_ptr(), key.len())
        };
        Ok(Key(Owned::new(raw, Error::BadKey)?))
    }

    pub fn dsa_public(set: MlDsaSet, key: &[u8]) -> Result<Self> {
        // SAFETY: pointer and length are one slice.
        let raw = unsafe {
            ffi::EVP_PKEY_pqdsa_new_raw_public_key(dsa_nid(set), key.as_ptr(), key.len())
        };
        Ok(Key(Owned::new(raw, Error::BadKey)?))
    }

    /// From a seed. The library takes one through PKCS#8 only.
    pub fn kem_seed(set: KemSet, seed: &[u8; 64]) -> Result<Self> {
        // PrivateKeyInfo { 0, { id-alg-ml-kem-* }, OCTET STRING { [0] seed } }
        let mut der = Zeroizing::new(b"\x30\x54\x02\x01\x00\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04?\x04\x42\x80\x40".to_vec());
        der[17] = 1 + set as u8;
        der.extend_from_slice(seed);
        let mut cbs = ffi::cbs_st {
            data: der.as_ptr(),
            len: der.len(),
        };
        // SAFETY: the reader points at a live vector and is moved along it only.
        let raw = unsafe { ffi::EVP_parse_private_key(&mut cbs) };
        Ok(Key(Owned::new(raw, Error::BadKey)?))
    }

    /// From both halves of an expanded key.
    pub fn kem_private(set: KemSet, public: &[u8], key: &[u8]) -> Result<Self> {
        let nid = kem_nid(set);
        // SAFETY: each pointer and length is one slice.
        let raw = unsafe {
            ffi::EVP_PKEY_kem_new_raw_key(
                nid,
                public.as_ptr(),
                public.len(),
                key.as_ptr(),
                key.len(),
            )
        };
        let this = Key(Owned::new(raw, Error::BadKey)?);
        let ctx = this.ctx()?;
        // SAFETY: the context is live.
        ok(unsafe { ffi::EVP_PKEY_check(ctx.ptr()) }, Error::BadKey)?;
        Ok(this)
    }

    pub fn kem_public(set: KemSet, key: &[u8]) -> Result<Self> {
        // SAFETY: pointer and length are one slice.
        let raw =
            unsafe { ffi::EVP_PKEY_kem_new_raw_public_key(kem_nid(set), key.as_ptr(), key.len()) };
        Ok(Key(Owned::new(raw, Error::BadKey)?))
    }

    pub fn public(&self, len: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; len];
        let mut wrote = len;
        // SAFETY: the key is live; pointer and length are one vector.
        let rc =
            unsafe { ffi::EVP_PKEY_get_raw_public_key(self.0.ptr(), out.as_mut_ptr(), &mut wrote) };
        ok(rc, Error::Internal)?;
        if wrote == len {
            Ok(out)
        } else {
            Err(Error::Internal)
        }
    }

    pub fn expanded(&self, len: usize) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; len]);
        let mut wrote = len;
        // SAFETY: the key is live; pointer and length are one vector.
        let rc = unsafe {
            ffi::EVP_PKEY_get_raw_private_key(self.0.ptr(), out.as_mut_ptr(), &mut wrote)
        };
        ok(rc, Error::Unsupported)?;
        if wrote == len {
            Ok(out)
        } else {
            Err(Error::Internal)
        }
    }

    /// The seed, if the key was made from one.
    pub fn seed(&self, len: usize) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; len]);
        let mut wrote = len;
        // SAFETY: the key is live; pointer and length are one vector.
        let rc =
            unsafe { ffi::EVP_PKEY_get_private_seed(self.0.ptr(), out.as_mut_ptr(), &mut wrote) };
        ok(rc, Error::Unsupported)?;
        if wrote == len {
            Ok(out)
        } else {
            Err(Error::Internal)
        }
    }

    pub fn sign(&self, context: &[u8], message: &[u8], out: &mut [u8]) -> Result<()> {
        let md = md_ctx()?;
        let mut len = out.len();
        // SAFETY: all objects are live; `pctx` belongs to `md`; each pointer and length is one slice.
        unsafe {
            let mut pctx = ptr::null_mut();
            let key = self.0.ptr();
            let none = ptr::null_mut();
            ok(
                ffi::EVP_DigestSignInit(md.ptr(), &mut pctx, ptr::null(), none, key),
                Error::Internal,
            )?;
            set_context(pctx, context)?;
            let rc = ffi::EVP_DigestSign(
                md.ptr(),
                out.as_mut_ptr(),
                &mut len,
                message.as_ptr(),
                message.len(),
            );
            ok(rc, Error::Internal)?;
        }
        if len == out.len() {
            Ok(())
        } else {
            Err(Error::Internal)
        }
    }

    pub fn verify(&self, context: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
        let md = md_ctx()?;
        // SAFETY: all objects are live; `pctx` belongs to `md`; each pointer and length is one slice.
        unsafe {
            let mut pctx = ptr::null_mut();
            let key = self.0.ptr();
            let none = ptr::null_mut();
            ok(
                ffi::EVP_DigestVerifyInit(md.ptr(), &mut pctx, ptr::null(), none, key),
                Error::Internal,
            )?;
            set_context(pctx, context)?;
            let rc = ffi::EVP_DigestVerify(
                md.ptr(),
                signature.as_ptr(),
                signature.len(),
                message.as_ptr(),
                message.len(),
            );
            ok(rc, Error::Mismatch)
        }
    }

    /// Signs what FIPS 204 calls mu: the library's name for it is a digest of 64 bytes.
    pub fn sign_mu(&self, mu: &[u8; 64], out: &mut [u8]) -> Result<()> {
        let ctx = self.ctx()?;
        let mut len = out.len();
        // SAFETY: the context is live; each pointer and length is one slice.
        unsafe {
            ok(ffi::EVP_PKEY_sign_init(ctx.ptr()), Error::Internal)?;
            let rc =
                ffi::EVP_PKEY_sign(ctx.ptr(), out.as_mut_ptr(), &mut len, mu.as_ptr(), mu.len());
            ok(rc, Error::Internal)?;
        }
        if len == out.len() {
            Ok(())
        } else {
            Err(Error::Internal)
        }
    }

    pub fn verify_mu(&self, mu: &[u8; 64], signature: &[u8]) -> Result<()> {
        let ctx = self.ctx()?;
        // SAFETY: the context is live; each pointer and length is one slice.
        unsafe {
            ok(ffi::EVP_PKEY_verify_init(ctx.ptr()), Error::Internal)?;
            let (sig, mu_at) = (signature.as_ptr(), mu.as_ptr());
            let rc = ffi::EVP_PKEY_verify(ctx.ptr(), sig, signature.len(), mu_at, mu.len());
            ok(rc, Error::Mismatch)
        }
    }

    pub fn encapsulate(&self, cipher: &mut [u8], secret: &mut [u8; 32]) -> Result<()> {
        let ctx = self.ctx()?;
        let (mut cipher_len, mut secret_len) = (cipher.len(), secret.len());
        // SAFETY: the context is live; each pointer and length is one slice.
        let rc = unsafe {
            ffi::EVP_PKEY_encapsulate(
                ctx.ptr(),
                cipher.as_mut_ptr(),
                &mut cipher_len,
                secret.as_mut_ptr(),
                &mut secret_len,
            )
        };
        ok(rc, Error::Internal)
    }

    pub fn decapsulate(&self, cipher: &[u8], secret: &mut [u8; 32]) -> Result<()> {
        let ctx = self.ctx()?;
        let mut secret_len = secret.len();
        // SAFETY: the context is live; each pointer and length is one slice.
        let rc = unsafe {
            ffi::EVP_PKEY_decapsulate(
                ctx.ptr(),
                secret.as_mut_ptr(),
                &mut secret_len,
                cipher.as_ptr(),
                cipher.len(),
            )
        };
        ok(rc, Error::BadLength)
    }

    fn ctx(&self) -> Result<Owned<ffi::EVP_PKEY_CTX>> {
        // SAFETY: the key is live; the context takes a reference of its own.
        let raw = unsafe { ffi::EVP_PKEY_CTX_new(self.0.ptr(), ptr::null_mut()) };
        Owned::new(raw, Error::Internal)
    }
}

/// # Safety
/// `set` must be the parameter setter of key type `id`.
unsafe fn generate(id: c_int, set: impl FnOnce(*mut ffi::EVP_PKEY_CTX) -> c_int) -> Result<Key> {
    // SAFETY: the context is live throughout; a key that comes back is ours.
    unsafe {
        let ctx = Owned::new(
            ffi::EVP_PKEY_CTX_new_id(id, ptr::null_mut()),
            Error::Internal,
        )?;
        ok(ffi::EVP_PKEY_keygen_init(ctx.ptr()), Error::Internal)?;
        ok(set(ctx.ptr()), Error::Unsupported)?;
        let mut key = ptr::null_mut();
        if ffi::EVP_PKEY_keygen(ctx.ptr(), &mut key) != 1 {
            return Err(fail(Error::Internal));
        }
        Ok(Key(Owned::new(key, Error::Internal)?))
    }
}

fn md_ctx() -> Result<Owned<ffi::EVP_MD_CTX>> {
    // SAFETY: a constructor without arguments.
    Owned::new(unsafe { ffi::EVP_MD_CTX_new() }, Error::Internal)
}

/// # Safety
/// `pctx` is live.
unsafe fn set_context(pctx: *mut ffi::EVP_PKEY_CTX, context: &[u8]) -> Result<()> {
    // SAFETY: live by our contract; the library copies the slice.
    let rc = unsafe {
        ffi::EVP_PKEY_CTX_set1_signature_context_string(pctx, context.as_ptr(), context.len())
    };
    ok(rc, Error::BadLength)
}
