//! The attributes of PKCS#11 3.2's object chapters, with the footnotes of their tables: facts of the
//! specification, written down apart from the rows that the HSM works by.

use pkcs11_sys::*;

/// A table of the specification; an object has the attributes of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// 4.4
    Storage,
    /// 4.5
    Data,
    /// 4.6, common
    Cert,
    /// 4.6, X.509 public key certificates
    X509,
    /// 4.6, WTLS
    Wtls,
    /// 4.6, X.509 attribute certificates
    AttrCert,
    /// 4.7
    Trust,
    /// 4.8
    Key,
    /// 4.9
    Public,
    /// 4.10
    Private,
    /// 4.11
    Secret,
    /// 6.8 and 6.10, whose tables are one and the same; AES-XTS, HKDF and HMAC keys have it too
    Bytes,
    /// Of one length: DES and ChaCha20
    Fixed,
    /// 6.1
    RsaPublic,
    RsaPrivate,
    /// 6.3, Edwards and Montgomery keys with it
    EcPublic,
    EcPrivate,
    /// 4.12, and 6.2 and 6.4
    Domain,
    DsaDomain,
    DsaPublic,
    DsaPrivate,
    DhDomain,
    DhPublic,
    DhPrivate,
    /// One-time password keys
    Otp,
    /// 6.67, 6.68, 6.69
    PqPublic,
    PqPrivate,
    /// The two of the lattices, which have a seed.
    Seeded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Ulong,
    Bytes,
    Date,
    /// Of attributes or of mechanisms.
    List,
}

/// What it is when the template does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Is(&'static [u8]),
    Number(CK_ULONG),
    /// Must be said, is computed, or is the token's to choose (footnote 9).
    Own,
    /// "If the attribute is not present": it need not be.
    Absent,
}

pub struct Fact {
    pub ty: CK_ATTRIBUTE_TYPE,
    pub name: &'static str,
    pub of: Of,
    pub kind: Kind,
    /// As in "Common footnotes for object attribute tables". Where the text says it instead of a footnote:
    /// 1 for "MUST be specified when the object is created", 8 for "may be modified".
    pub notes: &'static [u8],
    pub first: First,
}

/// Changed in copies only (4.1.3).
pub const COPY: u8 = 100;
/// May be given when the object is generated, and need not be.
pub const GIVEN: u8 = 101;

pub const OBJECT_VALIDATION_FLAGS: CK_ATTRIBUTE_TYPE = 0x61E;
pub const HASH_OF_CERTIFICATE: CK_ATTRIBUTE_TYPE = 0x635;
pub const TRUST_SERVER_AUTH: CK_ATTRIBUTE_TYPE = 0x62C;
const PARAMETER_SET: CK_ATTRIBUTE_TYPE = 0x61D;
const SEED: CK_ATTRIBUTE_TYPE = 0x637;

const NO: First = First::Is(&[0]);
const YES: First = First::Is(&[1]);
const EMPTY: First = First::Is(&[]);
const ZERO: First = First::Number(0);
use First::{Absent, Own};

macro_rules! facts {
    ($($of:ident { $($ty:expr, $kind:ident, [$($note:expr),*], $first:expr;)* })*) => {
        pub const FACTS: &[Fact] = &[$($(Fact {
            ty: $ty, name: stringify!($ty), of: Of::$of, kind: Kind::$kind, notes: &[$($note),*], first: $first,
        },)*)*];
    };
}

facts! {
    Storage {
        CKA_CLASS, Ulong, [1], Own;
        CKA_TOKEN, Bool, [COPY], NO;
        CKA_PRIVATE, Bool, [COPY, 9], Own;
        CKA_MODIFIABLE, Bool, [COPY], YES;
        CKA_LABEL, Bytes, [8], EMPTY;
        // "Can't be set to TRUE once it is set to FALSE."
        CKA_COPYABLE, Bool, [8, 12], YES;
        CKA_DESTROYABLE, Bool, [COPY], YES;
        CKA_UNIQUE_ID, Bytes, [2, 4, 6], Own;
    }
    Data {
        CKA_APPLICATION, Bytes, [8], EMPTY;
        CKA_OBJECT_ID, Bytes, [8], EMPTY;
        CKA_VALUE, Bytes, [8], EMPTY;
    }
    Cert {
        CKA_CERTIFICATE_TYPE, Ulong, [1], Own;
        CKA_TRUSTED, Bool, [10], NO;
        CKA_CERTIFICATE_CATEGORY, Ulong, [], ZERO;
        CKA_CHECK_VALUE, Bytes, [], Own;
        CKA_START_DATE, Date, [], EMPTY;
        CKA_END_DATE, Date, [], EMPTY;
        // "Default empty", but "Cryptoki ... does recommend that the key be extracted from the certificate".
        CKA_PUBLIC_KEY_INFO, Bytes, [], Own;
    }
    X509 {
        CKA_SUBJECT, Bytes, [1], Own;
        CKA_ID, Bytes, [8], EMPTY;
        CKA_ISSUER, Bytes, [8], EMPTY;
        CKA_SERIAL_NUMBER, Bytes, [8], EMPTY;
        CKA_VALUE, Bytes, [1], Own;
        CKA_URL, Bytes, [], EMPTY;
        CKA_HASH_OF_SUBJECT_PUBLIC_KEY, Bytes, [], EMPTY;
        CKA_HASH_OF_ISSUER_PUBLIC_KEY, Bytes, [], EMPTY;
        CKA_JAVA_MIDP_SECURITY_DOMAIN, Ulong, [], ZERO;
        CKA_NAME_HASH_ALGORITHM, Ulong, [], First::Number(CKM_SHA_1);
    }
    Wtls {
        CKA_SUBJECT, Bytes, [1], Own;
        CKA_ISSUER, Bytes, [8], EMPTY;
        CKA_VALUE, Bytes, [1], Own;
        CKA_URL, Bytes, [], EMPTY;
        CKA_HASH_OF_SUBJECT_PUBLIC_KEY, Bytes, [], EMPTY;
        CKA_HASH_OF_ISSUER_PUBLIC_KEY, Bytes, [], EMPTY;
        CKA_NAME_HASH_ALGORITHM, Ulong, [], First::Number(CKM_SHA_1);
    }
    AttrCert {
        CKA_OWNER, Bytes, [1], Own;
        CKA_AC_ISSUER, Bytes, [8], EMPTY;
        CKA_SERIAL_NUMBER, Bytes, [8], EMPTY;
        CKA_ATTR_TYPES, Bytes, [8], EMPTY;
        CKA_VALUE, Bytes, [1], Own;
    }
    Trust {
        CKA_ISSUER, Bytes, [1], Own;
        CKA_SERIAL_NUMBER, Bytes, [1], Own;
        HASH_OF_CERTIFICATE, Bytes, [], EMPTY;
        CKA_NAME_HASH_ALGORITHM, Ulong, [], First::Number(CKM_SHA_1);
        TRUST_SERVER_AUTH, Ulong, [], ZERO;
        0x62D, Ulong, [], ZERO;
        0x62E, Ulong, [], ZERO;
        0x62F, Ulong, [], ZERO;
        0x630, Ulong, [], ZERO;
        0x631, Ulong, [], ZERO;
        0x632, Ulong, [], ZERO;
    }
    Key {
        CKA_KEY_TYPE, Ulong, [1, 5], Own;
        CKA_ID, Bytes, [8], EMPTY;
        CKA_START_DATE, Date, [8], EMPTY;
        CKA_END_DATE, Date, [8], EMPTY;
        CKA_DERIVE, Bool, [8], NO;
        CKA_LOCAL, Bool, [2, 4, 6], NO;
        CKA_KEY_GEN_MECHANISM, Ulong, [2, 4, 6], First::Number(CK_UNAVAILABLE_INFORMATION);
        CKA_ALLOWED_MECHANISMS, List, [], Absent;
        OBJECT_VALIDATION_FLAGS, Ulong, [4, 6], ZERO;
    }
    Public {
        CKA_SUBJECT, Bytes, [8], EMPTY;
        CKA_ENCRYPT, Bool, [8, 9], Own;
        CKA_VERIFY, Bool, [8, 9], Own;
        CKA_VERIFY_RECOVER, Bool, [8, 9], Own;
        CKA_WRAP, Bool, [8, 9], Own;
        CKA_ENCAPSULATE, Bool, [8, 9], Own;
        CKA_TRUSTED, Bool, [10], NO;
        CKA_WRAP_TEMPLATE, List, [], Absent;
        CKA_PUBLIC_KEY_INFO, Bytes, [], Own;
    }
    Private {
        CKA_SUBJECT, Bytes, [8], EMPTY;
        CKA_SENSITIVE, Bool, [8, 9, 11], Own;
        CKA_DECRYPT, Bool, [8, 9], Own;
        CKA_SIGN, Bool, [8, 9], Own;
        CKA_SIGN_RECOVER, Bool, [8, 9], Own;
        CKA_UNWRAP, Bool, [8, 9], Own;
        CKA_DECAPSULATE, Bool, [8, 9], Own;
        CKA_EXTRACTABLE, Bool, [8, 9, 12], Own;
        CKA_ALWAYS_SENSITIVE, Bool, [2, 4, 6], NO;
        CKA_NEVER_EXTRACTABLE, Bool, [2, 4, 6], NO;
        CKA_WRAP_WITH_TRUSTED, Bool, [8, 11], NO;
        CKA_UNWRAP_TEMPLATE, List, [], Absent;
        CKA_ALWAYS_AUTHENTICATE, Bool, [], NO;
        CKA_PUBLIC_KEY_INFO, Bytes, [], Own;
        CKA_DERIVE_TEMPLATE, List, [], Absent;
    }
    Secret {
        CKA_SENSITIVE, Bool, [8, 11], NO;
        CKA_ENCRYPT, Bool, [8, 9], Own;
        CKA_DECRYPT, Bool, [8, 9], Own;
        CKA_SIGN, Bool, [8, 9], Own;
        CKA_VERIFY, Bool, [8, 9], Own;
        CKA_WRAP, Bool, [8, 9], Own;
        CKA_UNWRAP, Bool, [8, 9], Own;
        CKA_EXTRACTABLE, Bool, [8, 9, 12], Own;
        CKA_ALWAYS_SENSITIVE, Bool, [2, 4, 6], NO;
        CKA_NEVER_EXTRACTABLE, Bool, [2, 4, 6], NO;
        CKA_CHECK_VALUE, Bytes, [], Own;
        CKA_WRAP_WITH_TRUSTED, Bool, [8, 11], NO;
        CKA_TRUSTED, Bool, [10], NO;
        CKA_WRAP_TEMPLATE, List, [], Absent;
        CKA_UNWRAP_TEMPLATE, List, [], Absent;
        CKA_DERIVE_TEMPLATE, List, [], Absent;
    }
    Bytes {
        CKA_VALUE, Bytes, [1, 4, 6, 7], Own;
        CKA_VALUE_LEN, Ulong, [2, 3], Own;
    }
    RsaPublic {
        CKA_MODULUS, Bytes, [1, 4], Own;
        CKA_MODULUS_BITS, Ulong, [2, 3], Own;
        CKA_PUBLIC_EXPONENT, Bytes, [1], Own;
    }
    RsaPrivate {
        CKA_MODULUS, Bytes, [1, 4, 6], Own;
        CKA_PUBLIC_EXPONENT, Bytes, [1, 4, 6], Own;
        CKA_PRIVATE_EXPONENT, Bytes, [1, 4, 6, 7], Own;
        CKA_PRIME_1, Bytes, [4, 6, 7], Own;
        CKA_PRIME_2, Bytes, [4, 6, 7], Own;
        CKA_EXPONENT_1, Bytes, [4, 6, 7], Own;
        CKA_EXPONENT_2, Bytes, [4, 6, 7], Own;
        CKA_COEFFICIENT, Bytes, [4, 6, 7], Own;
    }
    EcPublic {
        CKA_EC_PARAMS, Bytes, [1, 3], Own;
        CKA_EC_POINT, Bytes, [1, 4], Own;
    }
    EcPrivate {
        CKA_EC_PARAMS, Bytes, [1, 4, 6], Own;
        CKA_VALUE, Bytes, [1, 4, 6, 7], Own;
    }
    Fixed {
        CKA_VALUE, Bytes, [1, 4, 6, 7], Own;
        // Not in their tables; here as for other secret keys, since clients ask for it.
        CKA_VALUE_LEN, Ulong, [2, GIVEN], Own;
    }
    Domain {
        CKA_KEY_TYPE, Ulong, [1], Own;
        CKA_LOCAL, Bool, [2, 4], NO;
    }
    DsaDomain {
        CKA_PRIME, Bytes, [1, 4], Own;
        CKA_SUBPRIME, Bytes, [1, 4], Own;
        CKA_BASE, Bytes, [1, 4], Own;
        CKA_PRIME_BITS, Ulong, [2, 3], Own;
        CKA_SUBPRIME_BITS, Ulong, [2, GIVEN], Own;
    }
    DsaPublic {
        CKA_PRIME, Bytes, [1, 3], Own;
        CKA_SUBPRIME, Bytes, [1, 3], Own;
        CKA_BASE, Bytes, [1, 3], Own;
        CKA_VALUE, Bytes, [1, 4], Own;
    }
    DsaPrivate {
        CKA_PRIME, Bytes, [1, 4, 6], Own;
        CKA_SUBPRIME, Bytes, [1, 4, 6], Own;
        CKA_BASE, Bytes, [1, 4, 6], Own;
        CKA_VALUE, Bytes, [1, 4, 6, 7], Own;
    }
    DhDomain {
        CKA_PRIME, Bytes, [1, 4], Own;
        CKA_BASE, Bytes, [1, 4], Own;
        CKA_PRIME_BITS, Ulong, [2, 3], Own;
    }
    DhPublic {
        CKA_PRIME, Bytes, [1, 3], Own;
        CKA_BASE, Bytes, [1, 3], Own;
        CKA_VALUE, Bytes, [1, 4], Own;
    }
    DhPrivate {
        CKA_PRIME, Bytes, [1, 4, 6], Own;
        CKA_BASE, Bytes, [1, 4, 6], Own;
        CKA_VALUE, Bytes, [1, 4, 6, 7], Own;
        CKA_VALUE_BITS, Ulong, [2, 6, GIVEN], Own;
    }
    Otp {
        CKA_VALUE, Bytes, [1, 4, 6, 7], Own;
        CKA_VALUE_LEN, Ulong, [2, GIVEN], Own;
        CKA_OTP_FORMAT, Ulong, [], ZERO;
        CKA_OTP_LENGTH, Ulong, [9], First::Number(6);
        CKA_OTP_USER_FRIENDLY_MODE, Bool, [9], YES;
        CKA_OTP_CHALLENGE_REQUIREMENT, Ulong, [9], ZERO;
        CKA_OTP_TIME_REQUIREMENT, Ulong, [9], ZERO;
        CKA_OTP_COUNTER_REQUIREMENT, Ulong, [9], First::Number(1);
        CKA_OTP_PIN_REQUIREMENT, Ulong, [9], ZERO;
        CKA_OTP_COUNTER, Bytes, [], Own;
        CKA_OTP_TIME, Bytes, [], EMPTY;
        CKA_OTP_USER_IDENTIFIER, Bytes, [], EMPTY;
        CKA_OTP_SERVICE_IDENTIFIER, Bytes, [], EMPTY;
        CKA_OTP_SERVICE_LOGO, Bytes, [], EMPTY;
        CKA_OTP_SERVICE_LOGO_TYPE, Bytes, [], EMPTY;
    }
    PqPublic {
        PARAMETER_SET, Ulong, [1, 3], Own;
        CKA_VALUE, Bytes, [1, 4], Own;
    }
    PqPrivate {
        PARAMETER_SET, Ulong, [1, 4, 6], Own;
        CKA_VALUE, Bytes, [1, 4, 6, 7], Own;
    }
    Seeded {
        SEED, Bytes, [4, 6, 7], Own;
    }
}

const CKA_ENCAPSULATE: CK_ATTRIBUTE_TYPE = 0x633;
const CKA_DECAPSULATE: CK_ATTRIBUTE_TYPE = 0x634;

/// Where the token departs from a table, and why.
pub const DEPARTURES: &[(Of, CK_ATTRIBUTE_TYPE, Departure)] = &[
    // SoftHSM2, Kryoptic and CloudHSM agree against the table: who wants to read a key says so.
    (Of::Secret, CKA_SENSITIVE, Departure::First(&[1])),
    // "At least one of CKA_SEED and CKA_VALUE must be specified": the text is later than the footnote.
    (Of::PqPrivate, CKA_VALUE, Departure::NeedNot),
    // Domain parameters that stand in both templates of a pair, as several clients write them, are taken where they agree.
    (Of::EcPrivate, CKA_EC_PARAMS, Departure::Generated),
    (Of::PqPrivate, PARAMETER_SET, Departure::Generated),
    (Of::DsaPrivate, CKA_PRIME, Departure::Generated),
    (Of::DsaPrivate, CKA_SUBPRIME, Departure::Generated),
    (Of::DsaPrivate, CKA_BASE, Departure::Generated),
    (Of::DhPrivate, CKA_PRIME, Departure::Generated),
    (Of::DhPrivate, CKA_BASE, Departure::Generated),
    // No footnote either: what an application shows beside a password is its own to change.
    (Of::Otp, CKA_OTP_USER_IDENTIFIER, Departure::Later),
    (Of::Otp, CKA_OTP_SERVICE_IDENTIFIER, Departure::Later),
    (Of::Otp, CKA_OTP_SERVICE_LOGO, Departure::Later),
    (Of::Otp, CKA_OTP_SERVICE_LOGO_TYPE, Departure::Later),
    // No footnote, and no text that forbids it: who is trusted, and for what, changes.
    (Of::Trust, CKA_ISSUER, Departure::Later),
    (Of::Trust, CKA_SERIAL_NUMBER, Departure::Later),
    (Of::Trust, HASH_OF_CERTIFICATE, Departure::Later),
    (Of::Trust, CKA_NAME_HASH_ALGORITHM, Departure::Later),
    (Of::Trust, TRUST_SERVER_AUTH, Departure::Later),
    (Of::Trust, 0x62D, Departure::Later),
    (Of::Trust, 0x62E, Departure::Later),
    (Of::Trust, 0x62F, Departure::Later),
    (Of::Trust, 0x630, Departure::Later),
    (Of::Trust, 0x631, Departure::Later),
    (Of::Trust, 0x632, Departure::Later),
    // 4.11: "C_SetAttributeValue may be used to destroy the attribute, by supplying no-value."
    (Of::Secret, CKA_CHECK_VALUE, Departure::Later),
    // Footnote 8, but only to what it is (4.10).
    (Of::Private, CKA_PUBLIC_KEY_INFO, Departure::Later),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Another default.
    First(&'static [u8]),
    /// Footnote 1 is not insisted on.
    NeedNot,
    /// Footnote 4 is not insisted on.
    Generated,
    /// Changed later by rules of its own.
    Later,
}

pub fn departs(fact: &Fact) -> Option<Departure> {
    let found = DEPARTURES
        .iter()
        .find(|(of, ty, _)| (*of, *ty) == (fact.of, fact.ty));
    found.map(|(.., departure)| *departure)
}
