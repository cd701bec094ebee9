//! Diffie and Hellman's key agreement in the integers modulo a prime (PKCS #3), in the groups that TLS and IKE name
//! (RFC 7919, RFC 3526) and in those that somebody brings along.

use crate::modular::{
    Modulus, bits, div_rem, is_prime, is_zero, less, minus, padded, safe_prime, trim,
};
use crate::{Error, Result, rng};
use std::fmt;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// Bits of the prime: shorter ones are within reach of precomputation (Logjam), longer ones make a call last for seconds.
pub const SIZES: std::ops::RangeInclusive<usize> = 1024..=8192;
/// Bits of the longest prime that is taken without being known by sight. The test of a longer one would cost more than
/// the making of any key does: ten seconds at 8,192 bits.
pub const LONGEST_TESTED: usize = 4096;
/// The shortest private value, in bits: half of it is the strength that it can have.
pub const SHORTEST: usize = 160;

/// p and g, big-endian without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhGroup {
    p: Vec<u8>,
    g: Vec<u8>,
}

/// RFC 7919's and RFC 3526's primes, in this order, by size.
static NAMED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let lines = include_str!("dh/groups.txt").lines();
    let hex = lines.filter_map(|line| line.rsplit_once(' ').filter(|_| !line.starts_with('#')));
    hex.map(|(_, hex)| digits(hex)).collect()
});

fn digits(hex: &str) -> Vec<u8> {
    let value = |d: u8| (d as char).to_digit(16).map_or(0, |d| d as u8);
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|p| value(p[0]) << 4 | value(p[1])).collect()
}

impl DhGroup {
    /// From an odd prime of one of the [`SIZES`] and a base from 2 to p - 2. Whether it is prime, [`DhGroup::validate`] says.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn new(p: &[u8], g: &[u8]) -> Result<Self> {
        let (p, g) = (trim(p), trim(g));
        let odd = p.last().is_some_and(|b| b & 1 == 1);
        if !(odd && SIZES.contains(&bits(p)) && in_range(g, p)) {
            return Err(Error::BadKey);
        }
        Ok(DhGroup {
            p: p.to_vec(),
            g: g.to_vec(),
        })
    }

    /// RFC 7919's group of so many bits, where there is one.
    pub fn named(p_bits: usize) -> Option<Self> {
        let p = NAMED.iter().find(|p| bits(p) == p_bits && p_bits >= 2048)?;
        Some(DhGroup {
            p: p.clone(),
            g: vec![2],
        })
    }

    /// A group with a prime of so many bits, half of which, less one, is prime too. Where RFC 7919 has one it is that one:
    /// others can tell at sight that it is good, and from 2048 bits on SP 800-56A allows no others than such.
    ///
    /// # Errors
    /// `Unsupported` for a size that is none of the [`SIZES`], or that would take minutes.
    pub fn generate(p_bits: usize) -> Result<Self> {
        if let Some(group) = Self::named(p_bits) {
            return Ok(group);
        }
        if !(1024..2048).contains(&p_bits) {
            return Err(Error::Unsupported);
        }
        let p = safe_prime(p_bits)?;
        // 2 is a square, and so of prime order, if p is 7 modulo 8; 4 always is.
        let seven = p.last().is_some_and(|b| b & 7 == 7);
        let g = vec![if seven { 2 } else { 4 }];
        Ok(DhGroup { p, g })
    }

    /// The prime.
    pub fn p(&self) -> &[u8] {
        &self.p
    }
    /// The base.
    pub fn g(&self) -> &[u8] {
        &self.g
    }

    /// Whether the prime is one of those that have names, whatever the base: then half of it is prime too, and every
    /// number but 1 and p - 1 is of that order or of twice that.
    pub fn is_named(&self) -> bool {
        NAMED.contains(&self.p)
    }

    /// Whether p is prime.
    ///
    /// # Errors
    /// `BadKey` if not; `TooLarge` for one of more than [`LONGEST_TESTED`] bits that has no name.
    pub fn validate(&self) -> Result<()> {
        if self.is_named() {
            return Ok(());
        }
        if bits(&self.p) > LONGEST_TESTED {
            return Err(Error::TooLarge);
        }
        match is_prime(&self.p)? {
            true => Ok(()),
            false => Err(Error::BadKey),
        }
    }

    /// How long private values are when nobody says: in the named groups twice the strength (RFC 7919, A) and some more;
    /// in others, whose order we do not know, as long as they can be.
    fn private_bits(&self) -> usize {
        match bits(&self.p) {
            p_bits if !self.is_named() => p_bits - 1,
            ..=2048 => 256,
            2049..=3072 => 320,
            3073..=4096 => 384,
            4097..=6144 => 448,
            _ => 512,
        }
    }
}

/// Whether 1 < n < p - 1.
fn in_range(n: &[u8], p: &[u8]) -> bool {
    match padded(n, p.len()) {
        Ok(n) => bits(&n) > 1 && less(&n, &minus(p, &[1])),
        Err(_) => false,
    }
}

/// A public or private key.
pub struct DhKey {
    group: DhGroup,
    modulus: Modulus,
    /// As long as p.
    y: Vec<u8>,
    x: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for DhKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = if self.x.is_some() {
            "private"
        } else {
            "public"
        };
        write!(f, "DhKey({} bits, {half})", bits(&self.group.p))
    }
}

impl DhKey {
    /// A new pair, whose private value has exactly so many bits (PKCS #3, 7.1), or as many as the group wants.
    ///
    /// # Errors
    /// `TooLarge` where the length is under [`SHORTEST`] or not under that of p; `Internal` without randomness.
    pub fn generate(group: DhGroup, x_bits: Option<usize>) -> Result<Self> {
        let len = x_bits.unwrap_or_else(|| group.private_bits());
        if !(SHORTEST..bits(&group.p)).contains(&len) {
            return Err(Error::TooLarge);
        }
        let mut x = Zeroizing::new(vec![0; len.div_ceil(8)]);
        loop {
            rng::fill(&mut x)?;
            let top = 1 << ((len - 1) % 8);
            x[0] = x[0] & (top - 1) | top;
            // As long as p - 1 the value may be above it.
            if in_range(&x, &group.p) {
                return Self::from_private(group, &x);
            }
        }
    }

    /// From x, from 1 to p - 2.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn from_private(group: DhGroup, x: &[u8]) -> Result<Self> {
        let x = match x.len().checked_sub(group.p.len()) {
            Some(_) => padded(x, group.p.len()).map_err(|_| Error::BadKey)?,
            None => Zeroizing::new(x.to_vec()),
        };
        if is_zero(&x) || !less(&padded(&x, group.p.len())?, &minus(&group.p, &[1])) {
            return Err(Error::BadKey);
        }
        let modulus = Modulus::new(&group.p)?;
        let y = modulus.pow(&group.g, &x)?.to_vec();
        Ok(DhKey {
            group,
            modulus,
            y,
            x: Some(x),
        })
    }

    /// From y, which is from 2 to p - 2 and, where the prime has a name, a power of the base.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn from_public(group: DhGroup, y: &[u8]) -> Result<Self> {
        let modulus = Modulus::new(&group.p)?;
        let y = checked(&group, &modulus, y)?;
        Ok(DhKey {
            group,
            modulus,
            y,
            x: None,
        })
    }

    /// Its group.
    pub fn group(&self) -> &DhGroup {
        &self.group
    }
    /// The public value, as long as p.
    pub fn y(&self) -> &[u8] {
        &self.y
    }
    /// The private value.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn x(&self) -> Result<&Zeroizing<Vec<u8>>> {
        self.x.as_ref().ok_or(Error::Unsupported)
    }

    /// The secret shared with the holder of a public value, as long as p.
    ///
    /// # Errors
    /// `BadKey` for a value that is none of this group, `Unsupported` for a public key.
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let x = self.x()?;
        let peer = checked(&self.group, &self.modulus, peer)?;
        let z = self.modulus.pow(&peer, x)?;
        // In a group of unknown order the value may be of a small one.
        if bits(&z) <= 1 {
            return Err(Error::BadKey);
        }
        Ok(z)
    }
}

/// SP 800-56A, 5.6.2.3.1 where the order is known, else 5.6.2.3.2.
fn checked(group: &DhGroup, modulus: &Modulus, y: &[u8]) -> Result<Vec<u8>> {
    let y = trim(y);
    if !in_range(y, &group.p) {
        return Err(Error::BadKey);
    }
    if group.is_named() {
        let (order, _) = div_rem(&group.p, &[2])?;
        let is_of_it = |n: &[u8]| Ok::<_, Error>(matches!(trim(&modulus.pow(n, &order)?), [1]));
        // A base of twice the order makes values of either, and no others are left in range. The bases with
        // names, 2, are of the order itself.
        if !is_of_it(y)? && (group.g == [2] || is_of_it(&group.g)?) {
            return Err(Error::BadKey);
        }
    }
    Ok(padded(y, group.p.len())?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modular::plus;

    #[test]
    fn the_named_primes_are_safe_and_of_their_form() {
        assert_eq!(
            NAMED.iter().map(|p| bits(p)).collect::<Vec<_>>(),
            [
                2048, 3072, 4096, 6144, 8192, 1536, 2048, 3072, 4096, 6144, 8192
            ]
        );
        for p in NAMED.iter() {
            assert_eq!(
                (&p[..8], &p[p.len() - 8..]),
                (&[0xFF; 8][..], &[0xFF; 8][..])
            );
        }
        // The larger ones would take a minute; they are OpenSSL's, byte for byte (`groups.txt`).
        for p in NAMED.iter().filter(|p| p.len() <= 256) {
            let (half, _) = div_rem(p, &[2]).unwrap();
            assert!(is_prime(p).unwrap() && is_prime(trim(&half)).unwrap());
        }
    }

    #[test]
    fn two_sides_agree_and_bad_values_are_refused() {
        let own = DhGroup::generate(1024).unwrap();
        own.validate().unwrap();
        assert!(!own.is_named() && bits(own.p()) == 1024);
        assert_eq!(DhGroup::generate(2049), Err(Error::Unsupported));
        assert_eq!(DhGroup::generate(1 << 20), Err(Error::Unsupported));
        for group in [own.clone(), DhGroup::named(2048).unwrap()] {
            let a = DhKey::generate(group.clone(), None).unwrap();
            let b = DhKey::generate(group.clone(), Some(225)).unwrap();
            assert_eq!(bits(b.x().unwrap()), 225);
            let z = a.agree(b.y()).unwrap();
            assert_eq!(z, b.agree(a.y()).unwrap());
            assert_eq!(z.len(), group.p().len());
            let p = group.p();
            let one = minus(p, &[1]);
            for bad in [&[][..], &[0], &[1], &one, p, &plus(p, 2), &[0xFF; 2000]] {
                assert!(matches!(a.agree(bad), Err(Error::BadKey)));
                assert!(DhKey::from_public(group.clone(), bad).is_err());
            }
            assert!(matches!(
                DhKey::from_public(group.clone(), a.y())
                    .unwrap()
                    .agree(b.y()),
                Err(Error::Unsupported)
            ));
            for bad in [&[][..], &[0], &one, p] {
                assert!(DhKey::from_private(group.clone(), bad).is_err());
            }
            for bad in [0, 1, SHORTEST - 1, bits(p), usize::MAX] {
                assert!(DhKey::generate(group.clone(), Some(bad)).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn a_value_outside_a_named_groups_subgroup_is_refused() {
        let group = DhGroup::named(2048).unwrap();
        let key = DhKey::generate(group.clone(), None).unwrap();
        // -y is no square where p is 3 modulo 4.
        let other = minus(group.p(), key.y());
        assert!(matches!(key.agree(&other), Err(Error::BadKey)));
        assert!(key.agree(key.y()).is_ok());
    }

    #[test]
    fn a_named_prime_keeps_its_check_with_another_base() {
        let p = DhGroup::named(2048).unwrap().p().to_vec();
        // 4 is a square, and p - 4 is none: the latter makes all numbers from 1 on.
        for (g, refuses) in [(vec![4], true), (minus(&p, &[4]), false)] {
            let group = DhGroup::new(&p, &g).unwrap();
            assert!(group.is_named());
            let key = DhKey::generate(group.clone(), None).unwrap();
            assert_eq!(bits(key.x().unwrap()), 256);
            let peer = DhKey::generate(group.clone(), None).unwrap();
            assert_eq!(key.agree(peer.y()).unwrap(), peer.agree(key.y()).unwrap());
            let other = minus(&p, peer.y());
            assert_eq!(key.agree(&other).is_err(), refuses);
            assert_eq!(DhKey::from_public(group, &other).is_err(), refuses);
        }
    }

    #[test]
    fn a_prime_without_a_name_is_tested_up_to_a_size() {
        let p = NAMED.iter().find(|p| bits(p) == 8192).unwrap();
        assert_eq!(DhGroup::new(p, &[3]).unwrap().validate(), Ok(()));
        let begun = std::time::Instant::now();
        let unnamed = DhGroup::new(&minus(p, &[2]), &[2]).unwrap();
        assert_eq!(unnamed.validate(), Err(Error::TooLarge));
        let just = DhGroup::new(&[&[1][..], &[0; 511], &[1]].concat(), &[2]).unwrap();
        assert_eq!(just.validate(), Err(Error::TooLarge), "4,097 bits");
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(1),
            "untested"
        );
    }

    #[test]
    fn a_group_is_odd_prime_and_of_some_size() {
        let group = DhGroup::named(2048).unwrap();
        let p = group.p();
        let composite = DhGroup::new(&minus(p, &[2]), &[2]).unwrap();
        assert_eq!(composite.validate(), Err(Error::BadKey));
        for (p, g) in [
            (&minus(p, &[1])[..], &[2][..]),
            (p, &[1]),
            (p, &[]),
            (p, p),
            (p, &minus(p, &[1])),
            (&[], &[2]),
            (&[0xFF; 100], &[2]),
            (&[0xFF; 1 << 20], &[2]),
        ] {
            assert!(DhGroup::new(p, g).is_err());
        }
    }
}
