//! DSA (FIPS 186-4): domains, keys, signatures as r and s one behind the other, each as long as q.

use crate::modular::{
    Modulus, below, bits, div_rem, is_prime, is_prime_of_chance, is_zero, less, minus, padded,
    plus, trim,
};
use crate::{Error, Hash, Result, rng};
use std::fmt;
use zeroize::Zeroizing;

/// Bits of p and q that belong together (FIPS 186-4, 4.2).
pub const SIZES: [(usize, usize); 4] = [(1024, 160), (2048, 224), (2048, 256), (3072, 256)];

/// p, q and g, big-endian without leading zeros, of one of the [`SIZES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsaDomain {
    p: Vec<u8>,
    q: Vec<u8>,
    g: Vec<u8>,
}

impl DsaDomain {
    /// From numbers of the right sizes. Whether they fit together, [`DsaDomain::validate`] says.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn new(p: &[u8], q: &[u8], g: &[u8]) -> Result<Self> {
        let (p, q, g) = (trim(p), trim(q), trim(g));
        let odd = |n: &[u8]| n.last().is_some_and(|b| b & 1 == 1);
        let sizes = SIZES.contains(&(bits(p), bits(q)));
        let in_range = g.len() <= p.len() && less(&padded(g, p.len())?, p) && bits(g) > 1;
        if !(sizes && odd(p) && odd(q) && in_range) {
            return Err(Error::BadKey);
        }
        let own = <[u8]>::to_vec;
        Ok(DsaDomain {
            p: own(p),
            q: own(q),
            g: own(g),
        })
    }

    /// The prime.
    pub fn p(&self) -> &[u8] {
        &self.p
    }
    /// The order of the base.
    pub fn q(&self) -> &[u8] {
        &self.q
    }
    /// The base.
    pub fn g(&self) -> &[u8] {
        &self.g
    }

    /// Whether p and q are prime and g is of the order q (FIPS 186-4, A.1.1.3 and A.2.2, without the seed, which PKCS#11 has
    /// no place for).
    ///
    /// # Errors
    /// `BadKey` if not.
    pub fn validate(&self) -> Result<()> {
        let (_, rest) = div_rem(&minus(&self.p, &[1]), &self.q)?;
        if !is_zero(&rest) || !is_one(&Modulus::new(&self.p)?.pow(&self.g, &self.q)?) {
            return Err(Error::BadKey);
        }
        // The smaller one first: a composite is found the sooner.
        if is_prime(&self.q)? && is_prime(&self.p)? {
            Ok(())
        } else {
            Err(Error::BadKey)
        }
    }

    /// A new domain by FIPS 186-4, A.1.1.2 (probable primes) and A.2.3 (the base), with SHA-256.
    ///
    /// # Errors
    /// `Unsupported` for sizes that do not belong together.
    pub fn generate(p_bits: usize, q_bits: usize) -> Result<Self> {
        if !SIZES.contains(&(p_bits, q_bits)) {
            return Err(Error::Unsupported);
        }
        let mut seed = vec![0; q_bits / 8];
        loop {
            rng::fill(&mut seed)?;
            let q = q_of(&seed);
            if !is_prime_of_chance(&q)? {
                continue;
            }
            if let Some(p) = p_of(&seed, &q, p_bits)? {
                let g = g_of(&seed, &p, &q)?;
                return DsaDomain::new(&p, &q, &g);
            }
        }
    }
}

fn is_one(n: &[u8]) -> bool {
    matches!(trim(n), [1])
}

/// A.1.1.2, steps 6 and 7: the hash of the seed, as long as it, with the highest and the lowest bit set.
fn q_of(seed: &[u8]) -> Vec<u8> {
    let hash = Hash::Sha256.digest(seed);
    let mut q = hash[hash.len() - seed.len()..].to_vec();
    q[0] |= 0x80;
    q[seed.len() - 1] |= 1;
    q
}

/// A.1.1.2, steps 10 to 12: the first prime that the seed leads to, with q dividing p - 1.
fn p_of(seed: &[u8], q: &[u8], p_bits: usize) -> Result<Option<Vec<u8>>> {
    let len = p_bits / 8;
    let blocks = len.div_ceil(32);
    // 2q, one byte longer than q.
    let mut twice = vec![0];
    twice.extend_from_slice(q);
    for i in 0..q.len() {
        twice[i] = twice[i] << 1 | twice[i + 1] >> 7;
    }
    twice[q.len()] <<= 1;
    let mut offset = 1;
    for _ in 0..4 * p_bits {
        let mut x = Vec::with_capacity(blocks * 32);
        for j in (0..blocks).rev() {
            x.extend_from_slice(&Hash::Sha256.digest(&plus(seed, offset + j as u32)));
        }
        // All our sizes are whole bytes, so cutting keeps the lower bits of the highest block; its top bit is set.
        x.drain(..blocks * 32 - len);
        x[0] |= 0x80;
        let (_, c) = div_rem(&x, &twice)?;
        // p = X - (c - 1)
        let p = plus(&minus(&x, &c), 1);
        if bits(&p) == p_bits && is_prime_of_chance(&p)? {
            return Ok(Some(p));
        }
        offset += blocks as u32;
    }
    Ok(None)
}

/// A.2.3, with index 1: a base that anybody can recompute from the seed.
fn g_of(seed: &[u8], p: &[u8], q: &[u8]) -> Result<Vec<u8>> {
    let (e, _) = div_rem(&minus(p, &[1]), q)?;
    let modulus = Modulus::new(p)?;
    for count in 1..=u16::MAX {
        let text = [seed, b"ggen\x01", &count.to_be_bytes()].concat();
        let g = modulus.pow(&Hash::Sha256.digest(&text), trim(&e))?;
        if bits(&g) > 1 {
            return Ok(trim(&g).to_vec());
        }
    }
    Err(Error::Internal)
}

/// A public or private key.
pub struct DsaKey {
    domain: DsaDomain,
    mod_p: Modulus,
    mod_q: Modulus,
    /// As long as p.
    y: Vec<u8>,
    /// As long as q.
    x: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for DsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = if self.x.is_some() {
            "private"
        } else {
            "public"
        };
        write!(f, "DsaKey({} bits, {half})", bits(&self.domain.p))
    }
}

impl DsaKey {
    /// A new pair. The domain was validated, or is our own.
    ///
    /// # Errors
    /// `BadKey` for a domain that is none, `Internal` without randomness.
    pub fn generate(domain: DsaDomain) -> Result<Self> {
        let x = below(&domain.q)?;
        Self::from_private(domain, &x)
    }

    /// From x, which is below q.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn from_private(domain: DsaDomain, x: &[u8]) -> Result<Self> {
        let x = padded(x, domain.q.len()).map_err(|_| Error::BadKey)?;
        if is_zero(&x) || !less(&x, &domain.q) {
            return Err(Error::BadKey);
        }
        let (mod_p, mod_q) = (Modulus::new(&domain.p)?, Modulus::new(&domain.q)?);
        let y = mod_p.pow(&domain.g, &x)?.to_vec();
        Ok(DsaKey {
            domain,
            mod_p,
            mod_q,
            y,
            x: Some(x),
        })
    }

    /// From y, which must be of the order q.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn from_public(domain: DsaDomain, y: &[u8]) -> Result<Self> {
        let y = padded(y, domain.p.len()).map_err(|_| Error::BadKey)?;
        if bits(&y) <= 1 || !less(&y, &domain.p) {
            return Err(Error::BadKey);
        }
        let (mod_p, mod_q) = (Modulus::new(&domain.p)?, Modulus::new(&domain.q)?);
        if !is_one(&mod_p.pow(&y, &domain.q)?) {
            return Err(Error::BadKey);
        }
        Ok(DsaKey {
            domain,
            mod_p,
            mod_q,
            y: y.to_vec(),
            x: None,
        })
    }

    /// Its domain.
    pub fn domain(&self) -> &DsaDomain {
        &self.domain
    }
    /// The public value, as long as p.
    pub fn y(&self) -> &[u8] {
        &self.y
    }
    /// The private value, as long as q.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn x(&self) -> Result<&Zeroizing<Vec<u8>>> {
        self.x.as_ref().ok_or(Error::Unsupported)
    }
    /// Bytes of a signature.
    pub fn signature_len(&self) -> usize {
        2 * self.domain.q.len()
    }

    /// As much of the digest as q has bits, below q. All our q are whole bytes.
    fn number(&self, digest: &[u8]) -> Result<Vec<u8>> {
        let len = self.domain.q.len().min(digest.len());
        let (_, rest) = div_rem(&digest[..len], &self.domain.q)?;
        Ok(rest)
    }

    /// 1/a modulo q, by Fermat: q is prime, and this takes as long for each a.
    fn inverse(&self, a: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.mod_q.pow(a, &minus(&self.domain.q, &[2]))
    }

    /// Signs a digest (FIPS 186-4, 4.6); how many bytes were written.
    ///
    /// # Errors
    /// `Unsupported` for a public key, `BadLength` if `out` is too short or there is nothing to sign.
    pub fn sign(&self, digest: &[u8], out: &mut [u8]) -> Result<usize> {
        let x = self.x()?;
        let len = self.signature_len();
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        if digest.is_empty() {
            return Err(Error::BadLength);
        }
        let z = self.number(digest)?;
        loop {
            let k = below(&self.domain.q)?;
            let power = self.mod_p.pow(&self.domain.g, &k)?;
            let (_, r) = div_rem(&power, &self.domain.q)?;
            let sum = self.mod_q.add(&z, &self.mod_q.mul(x, &r)?)?;
            let s = self.mod_q.mul(&self.inverse(&k)?, &sum)?;
            if !is_zero(&r) && !is_zero(&s) {
                let (to_r, to_s) = out.split_at_mut(len / 2);
                to_r.copy_from_slice(&r);
                to_s.copy_from_slice(&s);
                return Ok(len);
            }
        }
    }

    /// Verifies a signature (FIPS 186-4, 4.7).
    ///
    /// # Errors
    /// `BadLength`, `Mismatch`.
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != self.signature_len() || digest.is_empty() {
            return Err(Error::BadLength);
        }
        let (r, s) = signature.split_at(signature.len() / 2);
        let q = &self.domain.q;
        if is_zero(r) || is_zero(s) || !less(r, q) || !less(s, q) {
            return Err(Error::Mismatch);
        }
        let w = self.inverse(s)?;
        let u1 = self.mod_q.mul(&self.number(digest)?, &w)?;
        let u2 = self.mod_q.mul(r, &w)?;
        let v = self.mod_p.mul(
            &self.mod_p.pow(&self.domain.g, &u1)?,
            &self.mod_p.pow(&self.y, &u2)?,
        )?;
        let (_, v) = div_rem(&v, q)?;
        if v == r { Ok(()) } else { Err(Error::Mismatch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_domain_signs_and_its_neighbours_are_refused() {
        let domain = DsaDomain::generate(1024, 160).unwrap();
        domain.validate().unwrap();
        assert_eq!(DsaDomain::generate(1024, 256), Err(Error::Unsupported));
        let key = DsaKey::generate(domain.clone()).unwrap();
        let digest = Hash::Sha1.digest(b"message");
        let mut signature = [0; 40];
        assert_eq!(key.sign(&digest, &mut signature), Ok(40));
        let public = DsaKey::from_public(domain.clone(), key.y()).unwrap();
        public.verify(&digest, &signature).unwrap();
        assert_eq!(public.sign(&digest, &mut [0; 40]), Err(Error::Unsupported));
        assert_eq!(key.sign(&digest, &mut [0; 39]), Err(Error::BadLength));
        for at in [0, 19, 20, 39] {
            let mut bad = signature;
            bad[at] ^= 1;
            assert_eq!(public.verify(&digest, &bad), Err(Error::Mismatch), "{at}");
        }
        assert_eq!(
            public.verify(&digest, &signature[..39]),
            Err(Error::BadLength)
        );
        assert_eq!(public.verify(&digest, &[0; 40]), Err(Error::Mismatch));
        let other = Hash::Sha1.digest(b"massage");
        assert_eq!(public.verify(&other, &signature), Err(Error::Mismatch));

        let (p, q, g) = (domain.p(), domain.q(), domain.g());
        let bad = |domain: DsaDomain| assert_eq!(domain.validate(), Err(Error::BadKey));
        bad(DsaDomain::new(&minus(p, &[2]), q, g).unwrap());
        bad(DsaDomain::new(p, &minus(q, &[2]), g).unwrap());
        bad(DsaDomain::new(p, q, &plus(g, 1)).unwrap());
        for (p, q, g) in [
            (&minus(p, &[1])[..], q, g),
            (p, &plus(q, 1)[..], g),
            (p, q, &[1][..]),
            (p, q, &[][..]),
            (p, q, p),
            (q, p, g),
            (&p[1..], q, g),
            (&[], &[], &[]),
        ] {
            assert!(DsaDomain::new(p, q, g).is_err());
        }
        let key = |x: &[u8]| DsaKey::from_private(domain.clone(), x).is_ok();
        assert!(key(&[1]) && !key(&[]) && !key(&[0; 20]) && !key(q) && !key(p));
        let key = |y: &[u8]| DsaKey::from_public(domain.clone(), y).is_ok();
        assert!(key(g) && !key(&[1]) && !key(&[2]) && !key(p) && !key(&minus(p, &[1])));
    }

    #[test]
    fn the_smaller_and_the_larger_domains() {
        for (p_bits, q_bits) in [(2048, 224), (2048, 256)] {
            let domain = DsaDomain::generate(p_bits, q_bits).unwrap();
            assert_eq!((bits(domain.p()), bits(domain.q())), (p_bits, q_bits));
            domain.validate().unwrap();
        }
    }
}
