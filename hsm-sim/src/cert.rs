//! Certificates and trust objects: what a value must be, and how it stands to the attributes that are
//! given beside it (PKCS#11 3.2, "Certificate objects", "Trust objects").
//!
//! The specification leaves agreement between CKA_VALUE and the attributes drawn from it to the application. An
//! object whose subject is another certificate's serves nobody, though, so such a template is taken for the mistake
//! that it is. What is not given stays as the specification's defaults have it, except for the public key, which it
//! recommends to take from the certificate.

use std::borrow::Cow;

use hsm_api::{AttrType, Error, MechId, Result, Rv, Value};
use hsm_crypto::Hash;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::attr;
use crate::code::{cert_type, class};
use crate::der;
use crate::mech;
use crate::object::Attrs;

/// CK_CERTIFICATE_CATEGORY_OTHER_ENTITY, CK_SECURITY_DOMAIN_THIRD_PARTY: the last of their kinds.
const LAST_OF_FOUR: u64 = 3;
/// CKT_ values: the two that need no hash of the certificate, and the last.
const UNKNOWN: u64 = 0;
const NOT_TRUSTED: u64 = 3;
const MUST_VERIFY: u64 = 4;

const TRUSTS: [AttrType; 7] = [
    attr::TRUST_SERVER_AUTH,
    attr::TRUST_CLIENT_AUTH,
    attr::TRUST_CODE_SIGNING,
    attr::TRUST_EMAIL_PROTECTION,
    attr::TRUST_IPSEC_IKE,
    attr::TRUST_TIME_STAMPING,
    attr::TRUST_OCSP_SIGNING,
];

fn wrong(why: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Rv::ATTRIBUTE_VALUE_INVALID, why)
}

/// What there is of it, if it is not empty.
fn said(attrs: &Attrs, ty: AttrType) -> Option<&[u8]> {
    attrs.bytes(ty).filter(|bytes| !bytes.is_empty())
}

/// Refuses certificate types that are not the specification's, before their rules are asked for.
///
/// # Errors
/// TEMPLATE_INCOMPLETE, ATTRIBUTE_VALUE_INVALID.
pub(crate) fn known_type(attrs: &Attrs) -> Result<()> {
    match attrs.ulong(attr::CERTIFICATE_TYPE) {
        None => Err(Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "CKA_CERTIFICATE_TYPE is missing",
        )),
        Some(cert_type::X_509 | cert_type::X_509_ATTR_CERT | cert_type::WTLS) => Ok(()),
        Some(other) => Err(wrong(format!("no certificates of type {other:#x}"))),
    }
}

/// Checks a new certificate and adds what follows from its value.
///
/// # Errors
/// ATTRIBUTE_VALUE_INVALID, TEMPLATE_INCOMPLETE, TEMPLATE_INCONSISTENT.
pub(crate) fn complete(attrs: &mut Attrs) -> Result<()> {
    check(attrs)?;
    let value = attrs.bytes(attr::VALUE).unwrap_or_default().to_vec();
    let sum = if value.is_empty() {
        Vec::new()
    } else {
        Hash::Sha1.digest(&value)[..3].to_vec()
    };
    match said(attrs, attr::CHECK_VALUE) {
        Some(given) if given != sum => {
            return Err(wrong("CKA_CHECK_VALUE does not belong to CKA_VALUE"));
        }
        // An empty one says: no check value, please.
        _ if attrs.get(attr::CHECK_VALUE).is_some() => {}
        _ => attrs.set(attr::CHECK_VALUE, Value::Bytes(sum)),
    }
    if attrs.ulong(attr::CERTIFICATE_TYPE) != Some(cert_type::X_509) || value.is_empty() {
        return Ok(());
    }
    let cert = parse(&value)?;
    for (ty, own) in [
        (attr::SUBJECT, cert.tbs_certificate.subject.as_raw()),
        (attr::PUBLIC_KEY_INFO, cert.tbs_certificate.subject_pki.raw),
    ] {
        if said(attrs, ty).is_none() {
            attrs.set(ty, Value::Bytes(own.to_vec()));
        }
    }
    Ok(())
}

fn parse(value: &[u8]) -> Result<X509Certificate<'_>> {
    match X509Certificate::from_der(value) {
        Ok(([], cert)) => Ok(cert),
        Ok(_) => Err(wrong("something follows the certificate in CKA_VALUE")),
        Err(_) => Err(wrong("CKA_VALUE is not one X.509 certificate in DER")),
    }
}

/// Whether a certificate or trust object, new or changed, is one.
///
/// # Errors
/// ATTRIBUTE_VALUE_INVALID, TEMPLATE_INCOMPLETE, TEMPLATE_INCONSISTENT.
pub(crate) fn check(attrs: &Attrs) -> Result<()> {
    if attrs.class() == class::TRUST {
        return check_trust(attrs);
    }
    for ty in [attr::CERTIFICATE_CATEGORY, attr::JAVA_MIDP_SECURITY_DOMAIN] {
        if attrs.ulong(ty).is_some_and(|n| n > LAST_OF_FOUR) {
            return Err(wrong(format!("attribute {:#x} has no such value", ty.0)));
        }
    }
    let kind = attrs.ulong(attr::CERTIFICATE_TYPE);
    let Some(value) = said(attrs, attr::VALUE) else {
        return check_url(attrs, kind == Some(cert_type::X_509_ATTR_CERT));
    };
    check_hashes(attrs)?;
    match kind {
        Some(cert_type::X_509) => check_names(attrs, &parse(value)?),
        Some(cert_type::X_509_ATTR_CERT) => check_attribute_certificate(value),
        // WTLS encodings are older than any parser that is kept.
        _ => Ok(()),
    }
}

/// A certificate that is elsewhere: its address, and by what it can be matched with keys and issuers.
fn check_url(attrs: &Attrs, never: bool) -> Result<()> {
    let hashes = [
        attr::HASH_OF_SUBJECT_PUBLIC_KEY,
        attr::HASH_OF_ISSUER_PUBLIC_KEY,
    ];
    if never || said(attrs, attr::URL).is_none() {
        return Err(Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "a certificate has a CKA_VALUE or, where its type allows, a CKA_URL",
        ));
    }
    if hashes.iter().any(|ty| said(attrs, *ty).is_none()) {
        return Err(Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "a certificate with a CKA_URL has CKA_HASH_OF_SUBJECT_PUBLIC_KEY and CKA_HASH_OF_ISSUER_PUBLIC_KEY",
        ));
    }
    check_hashes(attrs)
}

/// The hash that CKA_NAME_HASH_ALGORITHM names.
fn hash(attrs: &Attrs) -> Result<Option<Hash>> {
    let Some(named) = attrs.ulong(attr::NAME_HASH_ALGORITHM) else {
        return Ok(None);
    };
    let hash = mech::hash_of(MechId(named));
    hash.map(Some).ok_or_else(|| {
        wrong(format!(
            "CKA_NAME_HASH_ALGORITHM: {named:#x} is no hash here"
        ))
    })
}

fn check_hashes(attrs: &Attrs) -> Result<()> {
    let hash = hash(attrs)?;
    for ty in [
        attr::HASH_OF_SUBJECT_PUBLIC_KEY,
        attr::HASH_OF_ISSUER_PUBLIC_KEY,
        attr::HASH_OF_CERTIFICATE,
    ] {
        if let (Some(hash), Some(given)) = (hash, said(attrs, ty))
            && given.len() != hash.len()
        {
            let why = format!(
                "attribute {:#x} has {} bytes, and its hash algorithm gives {}",
                ty.0,
                given.len(),
                hash.len()
            );
            return Err(Error::new(Rv::TEMPLATE_INCONSISTENT, why));
        }
    }
    Ok(())
}

fn check_names(attrs: &Attrs, cert: &X509Certificate<'_>) -> Result<()> {
    let tbs = &cert.tbs_certificate;
    let names = [
        (attr::SUBJECT, tbs.subject.as_raw(), "CKA_SUBJECT"),
        (attr::ISSUER, tbs.issuer.as_raw(), "CKA_ISSUER"),
    ];
    let mut wrong = names
        .iter()
        .filter(|(ty, own, _)| said(attrs, *ty).is_some_and(|given| given != *own))
        .map(|(_, _, name)| *name);
    let serial = said(attrs, attr::SERIAL_NUMBER)
        .is_some_and(|given| !is_serial(given, tbs.raw_serial()))
        .then_some("CKA_SERIAL_NUMBER");
    match wrong.next().or(serial) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            Rv::TEMPLATE_INCONSISTENT,
            format!("{name} is not that of the certificate in CKA_VALUE"),
        )),
    }
}

/// The serial number as an INTEGER, as the specification has it; or its content alone, as Java's keytool
/// and others write it.
fn is_serial(given: &[u8], own: &[u8]) -> bool {
    let number = |bytes: &[u8]| {
        let skip = bytes.iter().take_while(|&&b| b == 0).count();
        bytes[skip..].to_vec()
    };
    let mut rest = given;
    let content = der::take(2, &mut rest).filter(|_| rest.is_empty());
    content.is_some_and(|n| number(n) == number(own)) || number(given) == number(own)
}

/// RFC 5755: a sequence of the information, an algorithm and a bit string.
fn check_attribute_certificate(value: &[u8]) -> Result<()> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 3;
    let mut rest = value;
    let whole = der::take(SEQUENCE, &mut rest).filter(|_| rest.is_empty());
    let parts = |mut body| {
        der::take(SEQUENCE, &mut body)?;
        der::take(SEQUENCE, &mut body)?;
        der::take(BIT_STRING, &mut body)?;
        body.is_empty().then_some(())
    };
    whole
        .and_then(parts)
        .ok_or_else(|| wrong("CKA_VALUE is not one X.509 attribute certificate"))
}

fn check_trust(attrs: &Attrs) -> Result<()> {
    for (ty, tag, what) in [
        (attr::ISSUER, 0x30, "CKA_ISSUER is not a name in DER"),
        (
            attr::SERIAL_NUMBER,
            2,
            "CKA_SERIAL_NUMBER is not an integer in DER",
        ),
    ] {
        let mut rest = attrs.bytes(ty).unwrap_or_default();
        if der::take(tag, &mut rest).is_none() || !rest.is_empty() {
            return Err(wrong(what));
        }
    }
    let trusts = TRUSTS.map(|ty| attrs.ulong(ty).unwrap_or_default());
    if let Some(other) = trusts.iter().find(|t| **t > MUST_VERIFY) {
        return Err(wrong(format!("{other:#x} is no CK_TRUST")));
    }
    // "Unless all trust attributes are CKT_TRUST_UNKNOWN, or CKT_NOT_TRUSTED".
    let binds = trusts.iter().any(|t| ![UNKNOWN, NOT_TRUSTED].contains(t));
    if binds && said(attrs, attr::HASH_OF_CERTIFICATE).is_none() {
        return Err(Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "a certificate that is trusted for something has its CKA_HASH_OF_CERTIFICATE",
        ));
    }
    check_hashes(attrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_in_both_forms() {
        for given in [&[2, 1, 5][..], &[5], &[2, 2, 0, 5], &[0, 5]] {
            assert!(is_serial(given, &[5]), "{given:?}");
        }
        // The content of an INTEGER that itself looks like an INTEGER.
        assert!(is_serial(&[2, 1, 5], &[2, 1, 5]));
        for given in [&[2, 1, 6][..], &[6], &[2, 2, 5], &[2, 1, 5, 0]] {
            assert!(!is_serial(given, &[5]), "{given:?}");
        }
    }
}
