//! Arithmetic modulo an odd number, and primes, on AWS-LC's BIGNUM.
//!
//! Numbers come in as bytes and keep their width, leading zeros included: that is what makes the running time depend on the
//! length of a secret alone.

use super::{Owned, bn, bn_write, fail, ffi, ok};
use crate::{Error, Result};
use std::os::raw::c_int;
use std::ptr;
use zeroize::Zeroizing;

/// An odd modulus, expanded.
pub struct Modulus {
    n: Owned<ffi::BIGNUM>,
    mont: Owned<ffi::BN_MONT_CTX>,
    len: usize,
}

// SAFETY: both objects are only read after they were made.
unsafe impl Sync for Modulus {}

fn number() -> Result<Owned<ffi::BIGNUM>> {
    // SAFETY: a constructor without arguments.
    Owned::new(unsafe { ffi::BN_new() }, Error::Internal)
}

fn context() -> Result<Owned<ffi::BN_CTX>> {
    // SAFETY: a constructor without arguments.
    Owned::new(unsafe { ffi::BN_CTX_new() }, Error::Internal)
}

impl Modulus {
    /// `n` is odd, above one and without leading zeros.
    pub fn new(n: &[u8]) -> Result<Self> {
        let (len, ctx, n) = (n.len(), context()?, bn(n)?);
        // SAFETY: both objects are live; the constructor copies.
        let raw = unsafe { ffi::BN_MONT_CTX_new_for_modulus(n.ptr(), ctx.ptr()) };
        let mont = Owned::new(raw, Error::BadKey)?;
        Ok(Modulus { n, mont, len })
    }

    fn write(&self, number: &Owned<ffi::BIGNUM>) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.len]);
        // SAFETY: the number is live.
        unsafe { bn_write(number.ptr(), &mut out)? };
        Ok(out)
    }

    /// A power; constant time for an exponent of a given length. The base is below the modulus.
    pub fn pow(&self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (base, exponent, out, ctx) = (bn(base)?, bn(exponent)?, number()?, context()?);
        // SAFETY: all objects are live.
        let rc = unsafe {
            ffi::BN_mod_exp_mont_consttime(
                out.ptr(),
                base.ptr(),
                exponent.ptr(),
                self.n.ptr(),
                ctx.ptr(),
                self.mont.ptr(),
            )
        };
        ok(rc, Error::TooLarge)?;
        self.write(&out)
    }

    /// A product of numbers below the modulus and as long as it.
    pub fn mul(&self, a: &[u8], b: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (a, b, in_form, out, ctx) = (bn(a)?, bn(b)?, number()?, number()?, context()?);
        // SAFETY: all objects are live. One factor in Montgomery's form gives a product that is not.
        unsafe {
            let rc = ffi::BN_to_montgomery(in_form.ptr(), a.ptr(), self.mont.ptr(), ctx.ptr());
            ok(rc, Error::Internal)?;
            let rc = ffi::BN_mod_mul_montgomery(
                out.ptr(),
                in_form.ptr(),
                b.ptr(),
                self.mont.ptr(),
                ctx.ptr(),
            );
            ok(rc, Error::Internal)?;
        }
        self.write(&out)
    }

    /// A sum of numbers below the modulus and as long as it.
    pub fn add(&self, a: &[u8], b: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (a, b, out) = (bn(a)?, bn(b)?, number()?);
        // SAFETY: all objects are live.
        let rc = unsafe { ffi::BN_mod_add_quick(out.ptr(), a.ptr(), b.ptr(), self.n.ptr()) };
        ok(rc, Error::Internal)?;
        self.write(&out)
    }
}

/// Quotient, as long as the numerator, and remainder, as long as the divisor. Not for secrets.
pub fn div_rem(a: &[u8], d: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let (mut quotient, mut rest) = (vec![0; a.len()], vec![0; d.len()]);
    let (a, d, q, r, ctx) = (bn(a)?, bn(d)?, number()?, number()?, context()?);
    // SAFETY: all objects are live.
    unsafe {
        let rc = ffi::BN_div(q.ptr(), r.ptr(), a.ptr(), d.ptr(), ctx.ptr());
        ok(rc, Error::BadKey)?;
        bn_write(q.ptr(), &mut quotient)?;
        bn_write(r.ptr(), &mut rest)?;
    }
    Ok((quotient, rest))
}

/// Whether a number that anybody may have chosen is prime, by so many rounds of Miller and Rabin's test on random bases.
pub fn is_prime(n: &[u8], rounds: u32) -> Result<bool> {
    let (n, ctx) = (bn(n)?, context()?);
    let rounds = c_int::try_from(rounds).map_err(|_| Error::Internal)?;
    // SAFETY: both objects are live; no callback.
    let rc =
        unsafe { ffi::BN_is_prime_fasttest_ex(n.ptr(), rounds, ctx.ptr(), 1, ptr::null_mut()) };
    match rc {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(fail(Error::Internal)),
    }
}
