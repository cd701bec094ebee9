//! Certificates and trust objects: what their values are held against.

use pkcs11_sys::*;

use crate::audit::table::{HASH_OF_CERTIFICATE, TRUST_SERVER_AUTH};
use crate::certificate as leaf;
use crate::raw::{Raw, attr, bytes, p11};

const CKO_TRUST: CK_OBJECT_CLASS = 11;
const INCONSISTENT: Result<CK_OBJECT_HANDLE, CK_RV> = Err(CKR_TEMPLATE_INCONSISTENT);
const INVALID: Result<CK_OBJECT_HANDLE, CK_RV> = Err(CKR_ATTRIBUTE_VALUE_INVALID);
const INCOMPLETE: Result<CK_OBJECT_HANDLE, CK_RV> = Err(CKR_TEMPLATE_INCOMPLETE);

/// An X.509 certificate of these attributes.
fn x509(raw: &Raw, more: &[CK_ATTRIBUTE]) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    let given = [
        attr(CKA_CLASS, &CKO_CERTIFICATE),
        attr(CKA_CERTIFICATE_TYPE, &CKC_X_509),
    ];
    raw.create([&given, more].concat())
}

/// The same with the certificate's own subject and value.
fn whole(raw: &Raw, more: &[CK_ATTRIBUTE]) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    let own = [
        bytes(CKA_SUBJECT, leaf::SUBJECT),
        bytes(CKA_VALUE, leaf::DER),
    ];
    x509(raw, &[&own, more].concat())
}

#[test]
fn a_value_is_one_certificate() {
    let raw = Raw::new();
    let subject = bytes(CKA_SUBJECT, leaf::SUBJECT);
    let longer = [leaf::DER, &[0]].concat();
    let shorter = &leaf::DER[..leaf::DER.len() - 1];
    let twice = [leaf::DER, leaf::DER].concat();
    for value in [b"no certificate", &longer[..], shorter, &twice] {
        assert_eq!(x509(&raw, &[subject, bytes(CKA_VALUE, value)]), INVALID);
    }
    assert_eq!(x509(&raw, &[subject, bytes(CKA_VALUE, &[])]), INCOMPLETE);
    let other = CKC_VENDOR_DEFINED;
    let given = vec![
        attr(CKA_CLASS, &CKO_CERTIFICATE),
        attr(CKA_CERTIFICATE_TYPE, &other),
    ];
    assert_eq!(raw.create(given), INVALID);
}

#[test]
fn what_follows_from_the_value_is_there() {
    let raw = Raw::new();
    let cert = whole(&raw, &[]).unwrap();
    assert_eq!(raw.get(cert, CKA_CHECK_VALUE).unwrap(), leaf::CHECK_VALUE);
    assert_eq!(
        raw.get(cert, CKA_PUBLIC_KEY_INFO).unwrap(),
        leaf::PUBLIC_KEY_INFO
    );
    // "Default empty", as the specification has it.
    for ty in [CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_START_DATE, CKA_END_DATE] {
        assert_eq!(raw.get(cert, ty), Ok(Vec::new()), "{ty:#x}");
    }
    let none = whole(&raw, &[bytes(CKA_CHECK_VALUE, &[])]).unwrap();
    assert_eq!(raw.get(none, CKA_CHECK_VALUE), Ok(Vec::new()), "not wanted");
    let empty = [bytes(CKA_SUBJECT, &[]), bytes(CKA_VALUE, leaf::DER)];
    let completed = x509(&raw, &empty).unwrap();
    assert_eq!(raw.get(completed, CKA_SUBJECT).unwrap(), leaf::SUBJECT);
}

#[test]
fn what_is_given_beside_the_value_agrees_with_it() {
    let raw = Raw::new();
    // The number as an INTEGER, and as Java writes it.
    for serial in [leaf::SERIAL, &leaf::SERIAL[2..], &[0x8a, 0x51]] {
        let own = [
            bytes(CKA_ISSUER, leaf::ISSUER),
            bytes(CKA_SERIAL_NUMBER, serial),
            bytes(CKA_CHECK_VALUE, leaf::CHECK_VALUE),
            bytes(CKA_START_DATE, b"20261125"),
            bytes(CKA_END_DATE, b"21261101"),
        ];
        let cert = whole(&raw, &own).unwrap();
        assert_eq!(
            raw.get(cert, CKA_SERIAL_NUMBER).unwrap(),
            serial,
            "as given"
        );
    }
    assert_eq!(
        whole(&raw, &[bytes(CKA_ISSUER, leaf::SUBJECT)]),
        INCONSISTENT
    );
    assert_eq!(
        whole(&raw, &[bytes(CKA_SERIAL_NUMBER, &[2, 1, 5])]),
        INCONSISTENT
    );
    assert_eq!(whole(&raw, &[bytes(CKA_CHECK_VALUE, &[1, 2, 3])]), INVALID);
    let other = [
        bytes(CKA_SUBJECT, leaf::ISSUER),
        bytes(CKA_VALUE, leaf::DER),
    ];
    assert_eq!(x509(&raw, &other), INCONSISTENT);
    // Nor is it set to another's later.
    let cert = whole(&raw, &[]).unwrap();
    let set = raw.set(cert, bytes(CKA_ISSUER, leaf::SUBJECT));
    assert_eq!(set, CKR_TEMPLATE_INCONSISTENT);
    assert_eq!(raw.set(cert, bytes(CKA_ISSUER, leaf::ISSUER)), CKR_OK);
    let found = raw.find(&mut [bytes(CKA_ISSUER, leaf::ISSUER)]);
    assert!(found.contains(&cert));
}

#[test]
fn dates_in_their_order() {
    let raw = Raw::new();
    let dates = |start: &[u8], end: &[u8]| {
        whole(
            &raw,
            &[bytes(CKA_START_DATE, start), bytes(CKA_END_DATE, end)],
        )
    };
    assert!(dates(b"20260101", b"20260101").is_ok());
    assert!(dates(b"20260101", b"").is_ok());
    assert_eq!(dates(b"20260102", b"20260101"), INCONSISTENT);
    assert_eq!(dates(b"20260229", b""), INVALID);
    // A key's can change, and then too.
    let key = raw.aes();
    assert_eq!(raw.set(key, bytes(CKA_START_DATE, b"20300101")), CKR_OK);
    let before = bytes(CKA_END_DATE, b"20291231");
    assert_eq!(raw.set(key, before), CKR_TEMPLATE_INCONSISTENT);
    assert_eq!(raw.copied(key, before), INCONSISTENT);
    assert_eq!(raw.set(key, bytes(CKA_START_DATE, b"")), CKR_OK);
    assert_eq!(raw.set(key, before), CKR_OK);
}

#[test]
fn a_certificate_may_be_elsewhere() {
    let raw = Raw::new();
    let url = |subject: &[u8], issuer: &[u8], more: &[CK_ATTRIBUTE]| {
        let given = [
            bytes(CKA_SUBJECT, leaf::SUBJECT),
            bytes(CKA_VALUE, &[]),
            bytes(CKA_URL, b"https://example.org/leaf.der"),
            bytes(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, subject),
            bytes(CKA_HASH_OF_ISSUER_PUBLIC_KEY, issuer),
        ];
        x509(&raw, &[&given, more].concat())
    };
    let cert = url(&[1; 20], &[2; 20], &[]).unwrap();
    assert_eq!(raw.get(cert, CKA_CHECK_VALUE), Ok(Vec::new()));
    assert_eq!(url(&[1; 20], &[], &[]), INCOMPLETE);
    assert_eq!(
        url(&[1; 20], &[2; 19], &[]),
        INCONSISTENT,
        "SHA-1 unless said"
    );
    let sha256 = [attr(CKA_NAME_HASH_ALGORITHM, &CKM_SHA256)];
    assert!(url(&[1; 32], &[2; 32], &sha256).is_ok());
    assert_eq!(url(&[1; 20], &[2; 20], &sha256), INCONSISTENT);
    let no_hash = [attr(CKA_NAME_HASH_ALGORITHM, &CKM_AES_ECB)];
    assert_eq!(url(&[1; 20], &[2; 20], &no_hash), INVALID);
}

#[test]
fn categories_and_domains_are_the_specifications() {
    let raw = Raw::new();
    for ty in [CKA_CERTIFICATE_CATEGORY, CKA_JAVA_MIDP_SECURITY_DOMAIN] {
        for n in 0..4 {
            assert!(whole(&raw, &[attr::<CK_ULONG>(ty, &n)]).is_ok());
        }
        assert_eq!(whole(&raw, &[attr::<CK_ULONG>(ty, &4)]), INVALID);
    }
}

#[test]
fn the_officer_trusts_and_then_nobody_changes_it() {
    let raw = Raw::new();
    assert_eq!(
        whole(&raw, &[attr(CKA_TRUSTED, &CK_TRUE)]),
        Err(CKR_ATTRIBUTE_READ_ONLY)
    );
    whole(&raw, &[attr(CKA_TOKEN, &CK_TRUE)]).unwrap();
    let becomes = |who| raw.becomes(who, vec![attr(CKA_CLASS, &CKO_CERTIFICATE)]);
    let cert = becomes(CKU_SO);
    assert_eq!(raw.set(cert, attr(CKA_TRUSTED, &CK_TRUE)), CKR_OK);
    let cert = becomes(CKU_USER);
    for other in [
        bytes(CKA_ID, b"another"),
        bytes(CKA_ISSUER, leaf::ISSUER),
        attr(CKA_TRUSTED, &CK_FALSE),
    ] {
        assert_eq!(raw.set(cert, other), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(raw.copied(cert, other), Err(CKR_ATTRIBUTE_READ_ONLY));
    }
    assert_eq!(raw.get(cert, CKA_TRUSTED), Ok(vec![1]));
    let cert = becomes(CKU_SO);
    assert_eq!(raw.set(cert, attr(CKA_TRUSTED, &CK_FALSE)), CKR_OK);
}

#[test]
fn attribute_certificates_have_their_shape() {
    let raw = Raw::new();
    let make = |value: &[u8]| {
        raw.create(vec![
            attr(CKA_CLASS, &CKO_CERTIFICATE),
            attr(CKA_CERTIFICATE_TYPE, &CKC_X_509_ATTR_CERT),
            bytes(CKA_OWNER, &[0x30, 0]),
            bytes(CKA_VALUE, value),
        ])
    };
    assert!(make(&[0x30, 7, 0x30, 0, 0x30, 0, 3, 1, 0]).is_ok());
    assert_eq!(make(&[0x30, 4, 0x30, 0, 0x30, 0]), INVALID, "not signed");
    assert_eq!(make(b"none"), INVALID);
    assert_eq!(make(&[]), INCOMPLETE);
}

#[test]
fn trust_objects() {
    let raw = Raw::new();
    let make = |more: &[CK_ATTRIBUTE]| {
        let given = [
            attr(CKA_CLASS, &CKO_TRUST),
            bytes(CKA_ISSUER, leaf::ISSUER),
            bytes(CKA_SERIAL_NUMBER, leaf::SERIAL),
        ];
        raw.create([&given, more].concat())
    };
    let trust = |n: &'static CK_ULONG| attr(TRUST_SERVER_AUTH, n);
    let (anchor, distrust, verify, other) = (&2, &3, &4, &5);
    let sha256 = attr(CKA_NAME_HASH_ALGORITHM, &CKM_SHA256);
    let hash = bytes(HASH_OF_CERTIFICATE, &[9; 32]);
    // What binds a hash to trust has one.
    assert_eq!(make(&[trust(anchor)]), INCOMPLETE);
    assert_eq!(make(&[trust(verify)]), INCOMPLETE);
    assert_eq!(
        make(&[trust(anchor), hash]),
        INCONSISTENT,
        "32 bytes of SHA-1"
    );
    let object = make(&[trust(anchor), hash, sha256]).unwrap();
    let distrusted = make(&[trust(distrust)]).unwrap();
    assert_eq!(make(&[trust(other), hash, sha256]), INVALID);
    // As applications look for it.
    let mut wanted = [
        attr(CKA_CLASS, &CKO_TRUST),
        bytes(CKA_ISSUER, leaf::ISSUER),
        bytes(CKA_SERIAL_NUMBER, leaf::SERIAL),
    ];
    let mut found = raw.find(&mut wanted);
    found.sort_unstable();
    assert_eq!(found, [object, distrusted]);
    wanted[2] = bytes(CKA_SERIAL_NUMBER, &[2, 1, 1]);
    assert_eq!(raw.find(&mut wanted), []);
    let unknown = raw.get(object, 0x62D);
    assert_eq!(
        unknown,
        Ok(vec![0; size_of::<CK_ULONG>()]),
        "CKT_TRUST_UNKNOWN"
    );
    assert_eq!(raw.get(object, CKA_PRIVATE), Ok(vec![0]));
    // Trust comes and goes, by the same rules.
    assert_eq!(raw.set(distrusted, trust(anchor)), CKR_TEMPLATE_INCOMPLETE);
    assert_eq!(raw.set(object, trust(distrust)), CKR_OK);
    assert_eq!(raw.set(object, bytes(HASH_OF_CERTIFICATE, &[])), CKR_OK);
    assert_eq!(p11!(raw, C_DestroyObject, raw.h, object), CKR_OK);
    let text = vec![
        attr(CKA_CLASS, &CKO_TRUST),
        bytes(CKA_ISSUER, b"CN=Authority"),
        bytes(CKA_SERIAL_NUMBER, leaf::SERIAL),
    ];
    assert_eq!(raw.create(text), INVALID);
}
