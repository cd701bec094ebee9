//! Arithmetic modulo an odd number, and primes: what DSA and finite-field Diffie-Hellman are made of.
//!
//! Numbers are big-endian bytes. A secret's running time depends on its length alone, so secrets come at their full length.

pub(crate) use crate::backend::modular::{Modulus, div_rem};
use crate::{Error, Result, backend, rng};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Rounds of the primality test on numbers that anybody may have chosen: a composite passes once in 2^32 tries at most.
const ROUNDS: u32 = 16;
/// Rounds on numbers that chance has chosen. Of those, far fewer composites pass a round than the one in four that an
/// enemy may find; AWS-LC does no fewer than 16 whatever is asked.
const ROUNDS_OF_CHANCE: u32 = 16;

/// Whether somebody else's number is prime.
pub(crate) fn is_prime(n: &[u8]) -> Result<bool> {
    backend::modular::is_prime(n, ROUNDS)
}

/// Whether our own random number is prime.
pub(crate) fn is_prime_of_chance(n: &[u8]) -> Result<bool> {
    backend::modular::is_prime(n, ROUNDS_OF_CHANCE)
}

/// Without leading zeros.
pub fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&b| b == 0).count();
    &number[zeros..]
}

/// Bits of a number.
pub fn bits(number: &[u8]) -> usize {
    let number = trim(number);
    number.len() * 8 - number.first().map_or(0, |b| b.leading_zeros() as usize)
}

/// With leading zeros, or without, up to exactly `len` bytes.
pub(crate) fn padded(number: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>> {
    let number = match number.len().checked_sub(len) {
        Some(surplus) => {
            if number[..surplus].iter().fold(0, |any, b| any | b) != 0 {
                return Err(Error::TooLarge);
            }
            &number[surplus..]
        }
        None => number,
    };
    let mut out = Zeroizing::new(vec![0; len]);
    out[len - number.len()..].copy_from_slice(number);
    Ok(out)
}

/// Whether a < b; constant time for two numbers of one length.
pub(crate) fn less(a: &[u8], b: &[u8]) -> bool {
    debug_assert_eq!(a.len(), b.len());
    let borrow = a.iter().zip(b).rev().fold(0u16, |borrow, (&a, &b)| {
        u16::from(a).wrapping_sub(u16::from(b)).wrapping_sub(borrow) >> 15
    });
    borrow == 1
}

/// Whether a number is zero; constant time.
pub(crate) fn is_zero(a: &[u8]) -> bool {
    a.iter().fold(0, |any, b| any | b).ct_eq(&0).into()
}

/// a - b, where b is not the larger and not the longer.
pub(crate) fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = a.to_vec();
    let mut borrow = 0u16;
    for (i, byte) in out.iter_mut().rev().enumerate() {
        let b = b.len().checked_sub(i + 1).map_or(0, |at| u16::from(b[at]));
        let left = u16::from(*byte).wrapping_sub(b).wrapping_sub(borrow);
        borrow = left >> 15;
        *byte = left as u8;
    }
    out
}

/// a + n, modulo 256 to the power of a's length.
pub(crate) fn plus(a: &[u8], n: u32) -> Vec<u8> {
    let mut out = a.to_vec();
    let mut carry = u64::from(n);
    for byte in out.iter_mut().rev() {
        carry += u64::from(*byte);
        *byte = carry as u8;
        carry >>= 8;
    }
    out
}

/// A random number from 1 to n - 1, as long as n, which is odd (FIPS 186-4, B.2.2: what is too large is thrown away).
pub(crate) fn below(n: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let surplus = n.first().map_or(0, |b| b.leading_zeros());
    loop {
        let mut x = Zeroizing::new(vec![0; n.len()]);
        rng::fill(&mut x)?;
        if let Some(first) = x.first_mut() {
            *first &= 0xFF >> surplus;
        }
        if less(&x, n) && !is_zero(&x) {
            return Ok(x);
        }
    }
}

/// How many candidates the sieve below holds.
const WINDOW: usize = 1 << 17;
/// It sieves by the odd primes below this.
const SIEVED: u32 = 1 << 16;

/// A random prime p of so many bits (at least 64) whose half, less one half, is prime too. Not for secrets: how long it takes
/// tells of the number.
pub(crate) fn safe_prime(p_bits: usize) -> Result<Vec<u8>> {
    let small = small_primes();
    let mut start = vec![0; (p_bits - 1).div_ceil(8)];
    loop {
        rng::fill(&mut start)?;
        let top = (p_bits - 2) % 8;
        start[0] = start[0] & ((1 << top) - 1) | 1 << top;
        if let Some(last) = start.last_mut() {
            *last |= 1;
        }
        // Candidate i is q = start + 2i, with p = 2q + 1. Neither may have a small factor.
        let mut factored = vec![false; WINDOW];
        for &s in &small {
            let s = u64::from(s);
            let rest = start.iter().fold(0, |r, &b| (r << 8 | u64::from(b)) % s);
            let half = s.div_ceil(2);
            let of_q = (s - rest) * half % s;
            let of_p = (s - (2 * rest + 1) % s) * half % s * half % s;
            for first in [of_q, of_p] {
                for at in (first as usize..WINDOW).step_by(s as usize) {
                    factored[at] = true;
                }
            }
        }
        for i in (0..WINDOW).filter(|&i| !factored[i]) {
            let q = plus(&start, 2 * i as u32);
            if !is_prime_of_chance(&q)? {
                continue;
            }
            let mut p = vec![0];
            p.extend_from_slice(&q);
            for at in 0..q.len() {
                p[at] = p[at] << 1 | p[at + 1] >> 7;
            }
            p[q.len()] = p[q.len()] << 1 | 1;
            if is_prime_of_chance(&p)? && bits(&p) == p_bits {
                return Ok(trim(&p).to_vec());
            }
        }
    }
}

fn small_primes() -> Vec<u32> {
    let mut composite = vec![false; SIEVED as usize];
    let mut primes = Vec::new();
    for n in (3..SIEVED).step_by(2) {
        if !composite[n as usize] {
            primes.push(n);
            for multiple in (n as usize * n as usize..SIEVED as usize).step_by(2 * n as usize) {
                composite[multiple] = true;
            }
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sums() {
        assert_eq!(minus(&[1, 0, 0], &[1]), [0, 255, 255]);
        assert_eq!(minus(&[1, 2, 3], &[1, 2, 3]), [0, 0, 0]);
        assert_eq!(plus(&[0, 255, 255], 1), [1, 0, 0]);
        assert_eq!(plus(&[255, 255], 2), [0, 1], "wraps");
        assert!(less(&[0, 255], &[1, 0]) && !less(&[1, 0], &[1, 0]) && !less(&[2, 0], &[1, 255]));
        assert_eq!((bits(&[0, 1, 0]), bits(&[0x80]), bits(&[0, 0])), (9, 8, 0));
        assert_eq!(padded(&[0, 0, 7], 2).unwrap()[..], [0, 7]);
        assert_eq!(padded(&[7], 3).unwrap()[..], [0, 0, 7]);
        assert!(padded(&[1, 7], 1).is_err());
    }

    #[test]
    fn random_numbers_stay_below() {
        for _ in 0..200 {
            let x = below(&[5]).unwrap();
            assert!((1..5).contains(&x[0]), "{}", x[0]);
        }
    }

    #[test]
    fn primes_are_told_from_what_looks_like_them() {
        // 561 and 3215031751 deceive Fermat's test, and the latter Miller and Rabin's to the bases 2, 3, 5 and 7.
        for (n, prime) in [
            (2u64, true),
            (3, true),
            (9, false),
            (561, false),
            (65537, true),
            (3_215_031_751, false),
            (18_446_744_073_709_551_557, true),
        ] {
            let bytes = n.to_be_bytes();
            assert_eq!(is_prime(trim(&bytes)).unwrap(), prime, "{n}");
            assert_eq!(is_prime_of_chance(trim(&bytes)).unwrap(), prime, "{n}");
        }
        assert_eq!(
            (small_primes().len(), small_primes().last()),
            (6541, Some(&65521))
        );
        for len in [64, 65, 71, 128, 129, 256] {
            let safe = safe_prime(len).unwrap();
            assert_eq!(bits(&safe), len);
            let (half, _) = div_rem(&safe, &[2]).unwrap();
            assert!(is_prime(&safe).unwrap() && is_prime(trim(&half)).unwrap());
        }
    }
}
