//! DSA keys (RFC 3279, 2.3.2) and PKCS #3's of Diffie and Hellman in DER: the domain in the algorithm's parameters, the key an
//! INTEGER.

use super::{PrivateKey, PublicKey, bad, uint};
use crate::{DhGroup, DhKey, DsaDomain, DsaKey, Error, Result};
use pkcs1::UintRef;
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, SequenceRef};
use pkcs8::der::{Decode, Encode, Reader, SliceReader, Tag};
use zeroize::Zeroizing;

pub(super) const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
/// dhKeyAgreement, of PKCS #3.
pub(super) const DH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.3.1");
/// dhpublicnumber, of X9.42: read, since OpenSSL writes it for groups with a q; what we write is PKCS #3's.
pub(super) const DHX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10046.2.1");

/// INTEGERs one behind the other.
fn numbers(body: &[u8], most: usize) -> Result<Vec<UintRef<'_>>> {
    let mut reader = SliceReader::new(body).map_err(bad)?;
    let mut numbers = Vec::new();
    while numbers.len() < most && !reader.is_finished() {
        numbers.push(UintRef::decode(&mut reader).map_err(bad)?);
    }
    Ok(numbers)
}

fn sequence(body: &[u8]) -> Result<&[u8]> {
    let mut reader = SliceReader::new(body).map_err(bad)?;
    let inner = <&SequenceRef>::decode(&mut reader).map_err(bad)?;
    if reader.is_finished() {
        Ok(inner.as_bytes())
    } else {
        Err(Error::BadKey)
    }
}

fn domain(params: Option<AnyRef<'_>>) -> Result<DsaDomain> {
    match &numbers(params.ok_or(Error::BadKey)?.value(), 3)?[..] {
        [p, q, g] => DsaDomain::new(p.as_bytes(), q.as_bytes(), g.as_bytes()),
        _ => Err(Error::BadKey),
    }
}

fn group(params: Option<AnyRef<'_>>) -> Result<DhGroup> {
    match &numbers(params.ok_or(Error::BadKey)?.value(), 2)?[..] {
        [p, g] => DhGroup::new(p.as_bytes(), g.as_bytes()),
        _ => Err(Error::BadKey),
    }
}

/// The key of that algorithm, if it is one of these.
pub(super) fn private(
    oid: ObjectIdentifier,
    params: Option<AnyRef<'_>>,
    key: &[u8],
) -> Option<Result<PrivateKey>> {
    let x = || UintRef::from_der(key).map_err(bad);
    Some(match oid {
        DSA => domain(params)
            .and_then(|domain| DsaKey::from_private(domain, x()?.as_bytes()))
            .map(PrivateKey::Dsa),
        DH | DHX => group(params)
            .and_then(|group| DhKey::from_private(group, x()?.as_bytes()))
            .map(PrivateKey::Dh),
        _ => return None,
    })
}

/// The same of a public key.
pub(super) fn public(
    oid: ObjectIdentifier,
    params: Option<AnyRef<'_>>,
    key: &[u8],
) -> Option<Result<PublicKey>> {
    let y = || UintRef::from_der(key).map_err(bad);
    Some(match oid {
        DSA => domain(params)
            .and_then(|domain| DsaKey::from_public(domain, y()?.as_bytes()))
            .map(PublicKey::Dsa),
        DH | DHX => group(params)
            .and_then(|group| DhKey::from_public(group, y()?.as_bytes()))
            .map(PublicKey::Dh),
        _ => return None,
    })
}

/// A SEQUENCE of INTEGERs.
fn encoded(numbers: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(Vec::with_capacity(
        numbers.iter().map(|n| n.len() + 8).sum(),
    ));
    for number in numbers {
        uint(number)?.encode_to_vec(&mut body).map_err(bad)?;
    }
    let sequence = AnyRef::new(Tag::Sequence, &body).map_err(bad)?;
    Ok(Zeroizing::new(sequence.to_der().map_err(bad)?))
}

pub(super) fn dsa_params(domain: &DsaDomain) -> Result<Zeroizing<Vec<u8>>> {
    encoded(&[domain.p(), domain.q(), domain.g()])
}

pub(super) fn dh_params(group: &DhGroup) -> Result<Zeroizing<Vec<u8>>> {
    encoded(&[group.p(), group.g()])
}

/// An INTEGER.
pub(super) fn integer(number: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    Ok(Zeroizing::new(uint(number)?.to_der().map_err(bad)?))
}

/// Reads the key that OpenSSL writes as `DSA PRIVATE KEY`: a SEQUENCE of 0, p, q, g, y and x.
///
/// # Errors
/// `BadKey`, also where y is not x's.
pub fn dsa_from_traditional(der: &[u8]) -> Result<DsaKey> {
    match &numbers(sequence(der)?, 7)?[..] {
        [version, p, q, g, y, x] if version.as_bytes() == [0] => {
            let domain = DsaDomain::new(p.as_bytes(), q.as_bytes(), g.as_bytes())?;
            let key = DsaKey::from_private(domain, x.as_bytes())?;
            if crate::modular::trim(key.y()) == y.as_bytes() {
                Ok(key)
            } else {
                Err(Error::BadKey)
            }
        }
        _ => Err(Error::BadKey),
    }
}
