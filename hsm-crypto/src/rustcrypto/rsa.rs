//! RSA: the `rsa` crate's keys and its bare operation with blinding and fault check; the paddings of `rsa_padding`.

use super::rng::source;
use crate::rsa::{Oaep, Parts, Pss};
use crate::{Error, Result, rng, rsa_padding};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, PrivateKey, PublicKey, hazmat};
use zeroize::Zeroizing;

pub enum Key {
    Private(Box<PrivateKey>),
    Public(PublicKey),
}

/// From 1024 bits, since PKCS#11 callers have such keys, up to what AWS-LC takes.
const SIZES: std::ops::RangeInclusive<usize> = 1024..=16384;

fn bad<E>(_: E) -> Error {
    Error::BadKey
}

fn number(bytes: &[u8]) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(bytes)
}

/// Big-endian, exactly `len` bytes.
fn bytes(number: &BoxedUint, len: usize) -> Result<Zeroizing<Vec<u8>>> {
    let all = Zeroizing::new(number.to_be_bytes().into_vec());
    let mut out = Zeroizing::new(vec![0; len]);
    if all.len() >= len {
        let (zeros, tail) = all.split_at(all.len() - len);
        if zeros.iter().any(|&b| b != 0) {
            return Err(Error::TooLarge);
        }
        out.copy_from_slice(tail);
    } else {
        out[len - all.len()..].copy_from_slice(&all);
    }
    Ok(out)
}

impl Key {
    pub fn generate(bits: usize, exponent: &[u8]) -> Result<Self> {
        let key = PrivateKey::new_with_exp_unchecked(&mut source(), bits, number(exponent));
        Ok(Key::Private(Box::new(key.map_err(bad)?)))
    }

    pub fn public(n: &[u8], e: &[u8]) -> Result<Self> {
        let key = PublicKey::new_with_size_limits(number(n), number(e), SIZES);
        Ok(Key::Public(key.map_err(bad)?))
    }

    pub fn private(parts: &Parts) -> Result<Self> {
        Self::public(&parts.n, &parts.e)?;
        let primes = match &parts.crt {
            Some(crt) => vec![number(&crt.p), number(&crt.q)],
            // The crate finds them from n, e and d.
            None => vec![],
        };
        let (n, e, d) = (number(&parts.n), number(&parts.e), number(&parts.d));
        let key = PrivateKey::from_components_with_large_exponent(n, e, d, primes).map_err(bad)?;
        if let Some(crt) = &parts.crt {
            // The crate makes its own; those that came must be the same, as AWS-LC demands.
            let theirs = [&crt.dp, &crt.dq, &crt.qinv].map(|b| number(b));
            let ours = [key.dp().cloned(), key.dq().cloned(), key.crt_coefficient()];
            if !ours
                .iter()
                .zip(&theirs)
                .all(|(ours, theirs)| ours.as_ref() == Some(theirs))
            {
                return Err(Error::BadKey);
            }
        }
        Ok(Key::Private(Box::new(key)))
    }

    fn public_key(&self) -> &PublicKey {
        match self {
            Key::Private(key) => key.as_public_key(),
            Key::Public(key) => key,
        }
    }

    fn private_key(&self) -> Result<&PrivateKey> {
        match self {
            Key::Private(key) => Ok(key),
            Key::Public(_) => Err(Error::Unsupported),
        }
    }

    pub fn size(&self) -> usize {
        self.public_key().size()
    }

    fn bits(&self) -> usize {
        self.public_key().n().bit_width() as usize
    }

    pub fn n(&self) -> Result<Vec<u8>> {
        Ok(self.public_key().n_bytes().into_vec())
    }

    pub fn e(&self) -> Result<Vec<u8>> {
        Ok(self.public_key().e_bytes().into_vec())
    }

    pub fn d(&self) -> Result<Zeroizing<Vec<u8>>> {
        bytes(self.private_key()?.d(), self.size())
    }

    pub fn crt(&self) -> Result<Option<[Zeroizing<Vec<u8>>; 5]>> {
        let key = self.private_key()?;
        let ([p, q], Some(dp), Some(dq), Some(qinv)) =
            (key.primes(), key.dp(), key.dq(), key.crt_coefficient())
        else {
            return Ok(None);
        };
        let (lp, lq) = (
            p.bit_width().div_ceil(8) as usize,
            q.bit_width().div_ceil(8) as usize,
        );
        Ok(Some([
            bytes(p, lp)?,
            bytes(q, lq)?,
            bytes(dp, lp)?,
            bytes(dq, lq)?,
            bytes(&qinv, lp)?,
        ]))
    }

    /// The input as a number below the modulus, with the modulus's precision.
    fn below_n(&self, input: &[u8]) -> Result<BoxedUint> {
        let key = self.public_key();
        let number = BoxedUint::from_be_slice(input, key.n_bits_precision());
        let number = number.map_err(|_| Error::TooLarge)?;
        if number < *key.n().as_ref() {
            Ok(number)
        } else {
            Err(Error::TooLarge)
        }
    }

    pub fn private_raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let number = self.below_n(input)?;
        let result =
            hazmat::rsa_decrypt_and_check(self.private_key()?, Some(&mut source()), &number)
                .map_err(|_| Error::Internal)?;
        out.copy_from_slice(&bytes(&result, self.size())?);
        Ok(())
    }

    pub fn public_raw(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let number = self.below_n(input)?;
        let result =
            hazmat::rsa_encrypt(self.public_key(), &number).map_err(|_| Error::Internal)?;
        out.copy_from_slice(&bytes(&result, self.size())?);
        Ok(())
    }

    pub fn sign_pkcs1(&self, input: &[u8], out: &mut [u8]) -> Result<()> {
        self.private_raw(&rsa_padding::pkcs1_sign_encode(input, self.size())?, out)
    }

    pub fn recover_pkcs1(&self, signature: &[u8], out: &mut [u8]) -> Result<usize> {
        let mut block = vec![0; self.size()];
        self.public_raw(signature, &mut block)
            .map_err(|_| Error::Mismatch)?;
        let input = rsa_padding::pkcs1_sign_decode(&block)?;
        out[..input.len()].copy_from_slice(input);
        Ok(input.len())
    }

    pub fn encrypt_pkcs1(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        self.public_raw(&rsa_padding::pkcs1_encode(data, self.size())?, out)
    }

    pub fn sign_pss(&self, pss: &Pss, digest: &[u8], out: &mut [u8]) -> Result<()> {
        let mut salt = vec![0; pss.salt_len];
        rng::fill(&mut salt)?;
        let block = rsa_padding::pss_encode(pss, digest, &salt, self.bits())?;
        self.private_raw(&block, out)
    }

    pub fn verify_pss(&self, pss: &Pss, digest: &[u8], signature: &[u8]) -> Result<()> {
        let mut block = vec![0; self.size()];
        self.public_raw(signature, &mut block)
            .map_err(|_| Error::Mismatch)?;
        rsa_padding::pss_verify(pss, digest, &mut block, self.bits())
    }

    pub fn encrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<()> {
        self.public_raw(&rsa_padding::oaep_encode(oaep, data, self.size())?, out)
    }

    pub fn decrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let mut block = Zeroizing::new(vec![0; self.size()]);
        self.private_raw(data, &mut block)
            .map_err(|_| Error::BadPadding)?;
        rsa_padding::oaep_decode(oaep, &mut block, out)
    }
}
