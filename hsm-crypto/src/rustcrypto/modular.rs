//! Arithmetic modulo an odd number, and primes: `crypto-bigint`, whose operations are constant time unless their names say
//! otherwise, and `crypto-primes`.

use crate::{Error, Result};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, NonZero, Odd};
use crypto_primes::Flavor;
use zeroize::{Zeroize, Zeroizing};

/// An odd modulus, expanded.
pub struct Modulus {
    params: BoxedMontyParams,
    len: usize,
}

fn bits(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len() * 8).unwrap_or(u32::MAX).max(1)
}

/// The number in as many limbs as its bytes need.
fn number(bytes: &[u8]) -> Result<BoxedUint> {
    BoxedUint::from_be_slice(bytes, bits(bytes)).map_err(|_| Error::Internal)
}

/// Big-endian, exactly `len` bytes; a number that does not fit is refused.
fn write(mut number: BoxedUint, len: usize) -> Result<Zeroizing<Vec<u8>>> {
    let all = Zeroizing::new(number.to_be_bytes().into_vec());
    number.zeroize();
    let mut out = Zeroizing::new(vec![0; len]);
    match all.len().checked_sub(len) {
        Some(surplus) => {
            if all[..surplus].iter().fold(0, |any, b| any | b) != 0 {
                return Err(Error::TooLarge);
            }
            out.copy_from_slice(&all[surplus..]);
        }
        None => out[len - all.len()..].copy_from_slice(&all),
    }
    Ok(out)
}

impl Modulus {
    /// `n` is odd, above one and without leading zeros.
    pub fn new(n: &[u8]) -> Result<Self> {
        let odd = Odd::new(number(n)?).into_option().ok_or(Error::BadKey)?;
        Ok(Modulus {
            params: BoxedMontyParams::new_vartime(odd),
            len: n.len(),
        })
    }

    fn form(&self, value: &[u8]) -> Result<BoxedMontyForm> {
        let value = BoxedUint::from_be_slice(value, self.params.bits_precision());
        let value = value.map_err(|_| Error::TooLarge)?;
        if value >= **self.params.modulus() {
            return Err(Error::TooLarge);
        }
        Ok(BoxedMontyForm::new(value, &self.params))
    }

    fn write(&self, mut form: BoxedMontyForm) -> Result<Zeroizing<Vec<u8>>> {
        let value = form.retrieve();
        form.as_montgomery_mut().zeroize();
        write(value, self.len)
    }

    /// A power; constant time for an exponent of a given length. The base is below the modulus.
    pub fn pow(&self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut exponent = number(exponent)?;
        let power = self.form(base).map(|base| base.pow(&exponent));
        exponent.zeroize();
        self.write(power?)
    }

    /// A product of numbers below the modulus and as long as it.
    pub fn mul(&self, a: &[u8], b: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.write(self.form(a)?.mul(&self.form(b)?))
    }

    /// A sum of numbers below the modulus and as long as it.
    pub fn add(&self, a: &[u8], b: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.write(self.form(a)?.add(&self.form(b)?))
    }
}

/// Quotient, as long as the numerator, and remainder, as long as the divisor. Not for secrets.
pub fn div_rem(a: &[u8], d: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let divisor = NonZero::new(number(d)?)
        .into_option()
        .ok_or(Error::BadKey)?;
    let (quotient, rest) = number(a)?.div_rem_vartime(&divisor);
    Ok((
        write(quotient, a.len())?.to_vec(),
        write(rest, d.len())?.to_vec(),
    ))
}

/// Whether a number that anybody may have chosen is prime, by Baillie, Pomerance, Selfridge and Wagstaff's test, to which no
/// composite number is known that passes. The rounds are AWS-LC's.
pub fn is_prime(n: &[u8], _rounds: u32) -> Result<bool> {
    Ok(crypto_primes::is_prime(Flavor::Any, &number(n)?))
}
