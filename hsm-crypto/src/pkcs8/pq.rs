//! Post-quantum keys in DER: RFC 9881 (ML-DSA), RFC 9935 (ML-KEM), RFC 9909 (SLH-DSA).

use super::{PrivateKey, PublicKey};
#[cfg(feature = "aws-lc")]
use crate::pq::{KemSet, MlDsaKey, MlDsaSet, MlKemKey};
use crate::{Error, Result, SlhKey, SlhSet};
use pkcs8::der::asn1::ObjectIdentifier;
#[cfg(feature = "aws-lc")]
use zeroize::Zeroizing;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

#[cfg(feature = "aws-lc")]
const DSA: [ObjectIdentifier; 3] = [
    oid("2.16.840.1.101.3.4.3.17"),
    oid("2.16.840.1.101.3.4.3.18"),
    oid("2.16.840.1.101.3.4.3.19"),
];

#[cfg(feature = "aws-lc")]
const KEM: [ObjectIdentifier; 3] = [
    oid("2.16.840.1.101.3.4.4.1"),
    oid("2.16.840.1.101.3.4.4.2"),
    oid("2.16.840.1.101.3.4.4.3"),
];

/// In the order of [`SlhSet`].
const SLH: [ObjectIdentifier; 12] = [
    oid("2.16.840.1.101.3.4.3.20"),
    oid("2.16.840.1.101.3.4.3.26"),
    oid("2.16.840.1.101.3.4.3.21"),
    oid("2.16.840.1.101.3.4.3.27"),
    oid("2.16.840.1.101.3.4.3.22"),
    oid("2.16.840.1.101.3.4.3.28"),
    oid("2.16.840.1.101.3.4.3.23"),
    oid("2.16.840.1.101.3.4.3.29"),
    oid("2.16.840.1.101.3.4.3.24"),
    oid("2.16.840.1.101.3.4.3.30"),
    oid("2.16.840.1.101.3.4.3.25"),
    oid("2.16.840.1.101.3.4.3.31"),
];

#[cfg(feature = "aws-lc")]
pub(super) fn dsa(set: MlDsaSet) -> ObjectIdentifier {
    DSA[set as usize]
}

#[cfg(feature = "aws-lc")]
pub(super) fn kem(set: KemSet) -> ObjectIdentifier {
    KEM[set as usize]
}

pub(super) fn slh(set: SlhSet) -> ObjectIdentifier {
    SLH[set as usize]
}

fn at<T: Copy>(oids: &[ObjectIdentifier], sets: &[T], oid: ObjectIdentifier) -> Option<T> {
    let at = oids.iter().position(|o| *o == oid)?;
    sets.get(at).copied()
}

/// A value with its DER header.
#[cfg(feature = "aws-lc")]
fn tagged(tag: u8, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(body.len() + 4));
    out.push(tag);
    match body.len() {
        len @ 0..0x80 => out.push(len as u8),
        len => out.extend_from_slice(&[0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(body);
    out
}

/// The seed where there is one, else the expanded key.
#[cfg(feature = "aws-lc")]
pub(super) fn inner(
    seed: Option<Zeroizing<Vec<u8>>>,
    expanded: impl FnOnce() -> Result<Zeroizing<Vec<u8>>>,
) -> Result<Zeroizing<Vec<u8>>> {
    Ok(match seed {
        Some(seed) => tagged(0x80, &seed),
        None => tagged(0x04, &expanded()?),
    })
}

/// The choice of three: seed, expanded key, both.
#[cfg(feature = "aws-lc")]
fn choice(der: &[u8]) -> Result<(&[u8], Option<&[u8]>)> {
    match take(der).ok_or(Error::BadKey)? {
        (0x80 | 0x04, key, []) => Ok((key, None)),
        (0x30, both, []) => {
            let (_, seed, rest) = take(both).filter(|p| p.0 == 4).ok_or(Error::BadKey)?;
            let (_, expanded, _) = take(rest).filter(|p| p.0 == 4).ok_or(Error::BadKey)?;
            Ok((seed, Some(expanded)))
        }
        _ => Err(Error::BadKey),
    }
}

/// Whoever gives both must give what belongs together.
#[cfg(feature = "aws-lc")]
fn agrees(expanded: Result<Zeroizing<Vec<u8>>>, given: Option<&[u8]>) -> Result<()> {
    match given {
        Some(given) if *given != expanded?[..] => Err(Error::BadKey),
        _ => Ok(()),
    }
}

#[cfg(feature = "aws-lc")]
fn take(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (len, rest) = rest.split_at_checked(2)?;
            (usize::from(len[0]) << 8 | usize::from(len[1]), rest)
        }
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(len)?;
    Some((tag, body, rest))
}

pub(super) fn private(oid: ObjectIdentifier, key: &[u8]) -> Result<PrivateKey> {
    #[cfg(feature = "aws-lc")]
    if let Some(set) = at(&DSA, &MlDsaSet::ALL, oid) {
        let (key, expanded) = choice(key)?;
        let key = MlDsaKey::from_private(set, key)?;
        agrees(key.expanded(), expanded)?;
        return Ok(PrivateKey::MlDsa(key));
    }
    #[cfg(feature = "aws-lc")]
    if let Some(set) = at(&KEM, &KemSet::ALL, oid) {
        let (key, expanded) = choice(key)?;
        let key = MlKemKey::from_private(set, key)?;
        agrees(key.expanded(), expanded)?;
        return Ok(PrivateKey::MlKem(key));
    }
    let set = at(&SLH, &SlhSet::ALL, oid).ok_or(Error::Unsupported)?;
    Ok(PrivateKey::Slh(SlhKey::from_private(set, key)?))
}

pub(super) fn public(oid: ObjectIdentifier, key: &[u8]) -> Result<PublicKey> {
    #[cfg(feature = "aws-lc")]
    if let Some(set) = at(&DSA, &MlDsaSet::ALL, oid) {
        return Ok(PublicKey::MlDsa(MlDsaKey::from_public(set, key)?));
    }
    #[cfg(feature = "aws-lc")]
    if let Some(set) = at(&KEM, &KemSet::ALL, oid) {
        return Ok(PublicKey::MlKem(MlKemKey::from_public(set, key)?));
    }
    let set = at(&SLH, &SlhSet::ALL, oid).ok_or(Error::Unsupported)?;
    Ok(PublicKey::Slh(SlhKey::from_public(set, key)?))
}
