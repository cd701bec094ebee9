//! Attributes: one row each (PKCS#11 3.2, "Objects"). A row says on which classes and key types the
//! attribute may stand, who may set it and when, whether it is secret, and what it is when nobody
//! says. `template.rs` validates by the rows; the module reads [`AttrRow::kind`] to parse raw values.
//! Rules between attributes (sensitivity, computed values) are not here but in `template.rs`.

use hsm_api::{AttrType, Class, KeyType, Value};

use crate::code::{cert_type, class, key_type as kt};

/// The form of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Bool,
    Ulong,
    Bytes,
    /// CK_DATE: year, month and day of the calendar in eight ASCII digits, or nothing.
    Date,
    /// An array of attributes.
    Template,
    /// An array of CK_MECHANISM_TYPE.
    Mechs,
}

impl Kind {
    /// Whether a value has this form.
    pub fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Kind::Bool, Value::Bool(_))
            | (Kind::Ulong, Value::Ulong(_))
            | (Kind::Bytes, Value::Bytes(_))
            | (Kind::Template, Value::Template(_))
            | (Kind::Mechs, Value::Mechs(_)) => true,
            (Kind::Date, Value::Bytes(b)) => b.is_empty() || is_day(b),
            _ => false,
        }
    }
}

/// Whether YYYYMMDD is a day that there is.
fn is_day(date: &[u8]) -> bool {
    if date.len() != 8 || !date.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = |at: std::ops::Range<usize>| {
        date[at]
            .iter()
            .fold(0u32, |n, d| n * 10 + u32::from(d - b'0'))
    };
    let (year, month, day) = (number(0..4), number(4..6), number(6..8));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// How an object comes to be, or comes to change: bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When(u8);

#[allow(missing_docs)]
impl When {
    pub const NEVER: When = When(0);
    pub const CREATE: When = When(1);
    pub const GENERATE: When = When(2);
    pub const UNWRAP: When = When(4);
    pub const DERIVE: When = When(8);
    pub const COPY: When = When(16);
    pub const LATER: When = When(32);
    /// Any way of making an object, but for copying.
    pub const MADE: When = When(1 | 2 | 4 | 8);
    /// When made or copied.
    pub const BORN: When = When(1 | 2 | 4 | 8 | 16);
    pub const ALWAYS: When = When(63);

    /// Either.
    pub const fn or(self, other: When) -> When {
        When(self.0 | other.0)
    }
    /// Whether the two share a bit.
    pub const fn at(self, other: When) -> bool {
        self.0 & other.0 != 0
    }
}

/// A set of object classes: bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct On(u16);

#[allow(missing_docs)]
impl On {
    pub const DATA: On = On(1);
    pub const CERT: On = On(2);
    pub const PUBLIC: On = On(4);
    pub const PRIVATE: On = On(8);
    /// One-time password keys among them, which have all that secret keys have.
    pub const SECRET: On = On(16 | 1 << 8);
    pub const OTP: On = On(1 << 8);
    pub const KEYS: On = On(4 | 8 | 16 | 1 << 8);
    pub const HIDDEN: On = On(8 | 16 | 1 << 8);
    pub const OPEN: On = On(4 | 16 | 1 << 8);
    pub const DOMAIN: On = On(1 << 6);
    /// What stands for keys of some type.
    pub const TYPED: On = On(4 | 8 | 16 | 1 << 6 | 1 << 8);
    pub const TRUST: On = On(1 << 11);
    pub const ALL: On = On(31 | 1 << 6 | 1 << 8 | 1 << 11);

    const fn of(class: Class) -> On {
        match class.0 {
            0..=4 | 6 | 8 | 11 => On(1 << class.0),
            _ => On(0),
        }
    }
    /// Whether the class is in the set.
    pub const fn has(self, class: Class) -> bool {
        self.0 & On::of(class).0 != 0
    }
}

/// What an attribute is when the template does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unsaid {
    /// It is not there.
    Absent,
    /// It comes out of the operation itself.
    Computed,
    /// True in an unwrapped key, else false.
    IfUnwrapped,
    Bool(bool),
    Ulong(u64),
    Empty,
}

impl Unsaid {
    /// The default of an object that comes to be in this way, where there is one.
    pub fn value(self, when: When) -> Option<Value> {
        match self {
            Unsaid::IfUnwrapped => Some(Value::Bool(When::UNWRAP.at(when))),
            Unsaid::Bool(b) => Some(Value::Bool(b)),
            Unsaid::Ulong(n) => Some(Value::Ulong(n)),
            Unsaid::Empty => Some(Value::Bytes(Vec::new())),
            Unsaid::Absent | Unsaid::Computed => None,
        }
    }
}

/// The rule of an attribute on some classes and key types.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// These classes,
    pub on: On,
    /// and of these only keys (CKK_) or certificates (CKC_) of these types, if any are listed.
    pub types: &'static [KeyType],
    /// When the caller may give it.
    pub may: When,
    /// When the caller must give it.
    pub must: When,
    /// What it is otherwise.
    pub unsaid: Unsaid,
}

/// One attribute.
#[derive(Debug)]
pub struct AttrRow {
    /// CKA_ code.
    pub ty: AttrType,
    /// The name, without CKA_.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// Key material: sealed at rest, and withheld when the key is sensitive or not extractable.
    pub secret: bool,
    /// Only the security officer may make it true.
    pub officer: bool,
    /// A value of the caller's may only go this way once it is set: `Some(true)` up, `Some(false)` down.
    pub one_way: Option<bool>,
    /// Where it stands. The first rule that fits an object holds.
    pub rules: &'static [Rule],
}

impl AttrRow {
    /// The rule for an object of this class and type ([`crate::object::Attrs::kind`]); none means that
    /// it has no such attribute.
    pub fn rule(&self, class: Class, kind: KeyType) -> Option<&'static Rule> {
        self.rules
            .iter()
            .find(|r| r.on.has(class) && (r.types.is_empty() || r.types.contains(&kind)))
    }
}

/// The row of an attribute.
pub fn row(ty: AttrType) -> Option<&'static AttrRow> {
    ALL.binary_search_by_key(&ty, |r| r.ty)
        .ok()
        .map(|i| &ALL[i])
}

const fn rule(on: On, may: When, unsaid: Unsaid) -> Rule {
    Rule {
        on,
        types: &[],
        may,
        must: When::NEVER,
        unsaid,
    }
}

const fn of(on: On, types: &'static [KeyType], may: When, must: When, unsaid: Unsaid) -> Rule {
    Rule {
        on,
        types,
        may,
        must,
        unsaid,
    }
}

macro_rules! attributes {
    ($($name:ident = $code:literal, $kind:ident, [$($rule:expr),* $(,)?] $(, $flag:ident $(= $way:literal)?)* ;)*) => {
        $(
            #[allow(missing_docs)]
            pub const $name: AttrType = AttrType($code);
        )*
        /// Every row, by code.
        pub static ALL: &[AttrRow] = &[$(
            attributes!(@row AttrRow {
                ty: $name, name: stringify!($name), kind: Kind::$kind,
                secret: false, officer: false, one_way: None, rules: &[$($rule),*],
            } $(, $flag $(= $way)?)*)
        ),*];
    };
    (@row $row:expr) => { $row };
    (@row $row:expr, secret) => { AttrRow { secret: true, ..$row } };
    (@row $row:expr, officer) => { AttrRow { officer: true, ..$row } };
    (@row $row:expr, one_way = $way:literal) => { AttrRow { one_way: Some($way), ..$row } };
}

use Unsaid::{Absent, Computed, Empty};
const NO: Unsaid = Unsaid::Bool(false);
const YES: Unsaid = Unsaid::Bool(true);
const RSA: &[KeyType] = &[kt::RSA];
const DSA: &[KeyType] = &[kt::DSA];
const DH: &[KeyType] = &[kt::DH];
const FIELDS: &[KeyType] = &[kt::DSA, kt::DH];
const CURVES: &[KeyType] = &[kt::EC, kt::EC_EDWARDS, kt::EC_MONTGOMERY];
const LATTICES: &[KeyType] = &[kt::ML_KEM, kt::ML_DSA];
const LATTICE_OR_HASH: &[KeyType] = &[kt::ML_KEM, kt::ML_DSA, kt::SLH_DSA];
/// What keys of a type can do, by the mechanisms that take them: a test holds these lists against the rows.
const KEM: &[KeyType] = &[kt::ML_KEM, kt::DH];
const CIPHER: &[KeyType] = &[
    kt::RSA,
    kt::AES,
    kt::AES_XTS,
    kt::CHACHA20,
    kt::DES,
    kt::DES2,
    kt::DES3,
];
const SIGNER: &[KeyType] = &[
    kt::RSA,
    kt::DSA,
    kt::EC,
    kt::EC_EDWARDS,
    kt::ML_DSA,
    kt::SLH_DSA,
    kt::AES,
    kt::DES2,
    kt::DES3,
    kt::HOTP,
    kt::GENERIC_SECRET,
    kt::MD5_HMAC,
    kt::SHA_1_HMAC,
    kt::SHA224_HMAC,
    kt::SHA256_HMAC,
    kt::SHA384_HMAC,
    kt::SHA512_HMAC,
    kt::SHA512_224_HMAC,
    kt::SHA512_256_HMAC,
    kt::SHA3_224_HMAC,
    kt::SHA3_256_HMAC,
    kt::SHA3_384_HMAC,
    kt::SHA3_512_HMAC,
];
const X_509: &[KeyType] = &[KeyType(cert_type::X_509)];
const ATTR_CERT: &[KeyType] = &[KeyType(cert_type::X_509_ATTR_CERT)];
/// Certificates that bind a public key to a name.
const NAMED: &[KeyType] = &[KeyType(cert_type::X_509), KeyType(cert_type::WTLS)];
/// CK_CERTIFICATE_CATEGORY_UNSPECIFIED, CK_SECURITY_DOMAIN_UNSPECIFIED, CKT_TRUST_UNKNOWN; no validation flag.
const NONE: Unsaid = Unsaid::Ulong(0);
const CREATE: When = When::CREATE;
const NEVER: When = When::NEVER;
const BORN: When = When::BORN;
const MADE: When = When::MADE;
const ALWAYS: When = When::ALWAYS;
/// CKM_SHA_1.
const SHA_1: u64 = 0x220;
/// Given at creation, made by everything else.
const IMPORTED: When = When::CREATE;

attributes! {
    CLASS = 0x0, Ulong, [of(On::ALL, &[], When::MADE, CREATE, Computed)];
    TOKEN = 0x1, Bool, [rule(On::ALL, BORN, NO)];
    PRIVATE = 0x2, Bool, [
        rule(On::CERT, BORN, NO),
        rule(On::PUBLIC, BORN, NO),
        rule(On::DOMAIN, BORN, NO),
        rule(On::TRUST, BORN, NO),
        rule(On::ALL, BORN, YES),
    ];
    LABEL = 0x3, Bytes, [rule(On::ALL, ALWAYS, Empty)];
    UNIQUE_ID = 0x4, Bytes, [rule(On::ALL, NEVER, Computed)];
    APPLICATION = 0x10, Bytes, [rule(On::DATA, ALWAYS, Empty)];
    VALUE = 0x11, Bytes, [
        rule(On::DATA, CREATE.or(When::COPY).or(When::LATER), Empty),
        of(On::CERT, &[], CREATE, CREATE, Empty),
        of(On::SECRET, &[], IMPORTED, IMPORTED, Computed),
        of(On::PRIVATE, CURVES, IMPORTED, IMPORTED, Computed),
        of(On::PRIVATE, FIELDS, IMPORTED, IMPORTED, Computed),
        of(On::PUBLIC, FIELDS, IMPORTED, IMPORTED, Computed),
        of(On::PUBLIC, LATTICE_OR_HASH, IMPORTED, IMPORTED, Computed),
        of(On::PRIVATE, LATTICE_OR_HASH, IMPORTED, NEVER, Computed),
    ], secret;
    OBJECT_ID = 0x12, Bytes, [rule(On::DATA, ALWAYS, Empty)];
    CERTIFICATE_TYPE = 0x80, Ulong, [of(On::CERT, &[], CREATE, CREATE, Absent)];
    ISSUER = 0x81, Bytes, [of(On::CERT, NAMED, ALWAYS, NEVER, Empty), of(On::TRUST, &[], ALWAYS, CREATE, Empty)];
    SERIAL_NUMBER = 0x82, Bytes, [
        of(On::CERT, X_509, ALWAYS, NEVER, Empty),
        of(On::CERT, ATTR_CERT, ALWAYS, NEVER, Empty),
        of(On::TRUST, &[], ALWAYS, CREATE, Empty),
    ];
    AC_ISSUER = 0x83, Bytes, [of(On::CERT, ATTR_CERT, ALWAYS, NEVER, Empty)];
    OWNER = 0x84, Bytes, [of(On::CERT, ATTR_CERT, CREATE, CREATE, Empty)];
    ATTR_TYPES = 0x85, Bytes, [of(On::CERT, ATTR_CERT, ALWAYS, NEVER, Empty)];
    TRUSTED = 0x86, Bool, [rule(On::CERT, ALWAYS, NO), rule(On::OPEN, ALWAYS, NO)], officer;
    CERTIFICATE_CATEGORY = 0x87, Ulong, [rule(On::CERT, CREATE, NONE)];
    JAVA_MIDP_SECURITY_DOMAIN = 0x88, Ulong, [of(On::CERT, X_509, CREATE, NEVER, NONE)];
    URL = 0x89, Bytes, [of(On::CERT, NAMED, CREATE, NEVER, Empty)];
    HASH_OF_SUBJECT_PUBLIC_KEY = 0x8A, Bytes, [of(On::CERT, NAMED, CREATE, NEVER, Empty)];
    HASH_OF_ISSUER_PUBLIC_KEY = 0x8B, Bytes, [of(On::CERT, NAMED, CREATE, NEVER, Empty)];
    NAME_HASH_ALGORITHM = 0x8C, Ulong, [
        of(On::CERT, NAMED, CREATE, NEVER, Unsaid::Ulong(SHA_1)), rule(On::TRUST, ALWAYS, Unsaid::Ulong(SHA_1)),
    ];
    // Of a key that is there, C_SetAttributeValue may take it away: `template::change`.
    CHECK_VALUE = 0x90, Bytes, [rule(On::CERT, CREATE, Computed), rule(On::SECRET, ALWAYS, Computed)];
    KEY_TYPE = 0x100, Ulong, [of(On::TYPED, &[], When::MADE, CREATE, Computed)];
    SUBJECT = 0x101, Bytes, [
        of(On::CERT, NAMED, CREATE, CREATE, Empty),
        rule(On::PUBLIC, ALWAYS, Empty),
        rule(On::PRIVATE, ALWAYS, Empty),
    ];
    ID = 0x102, Bytes, [of(On::CERT, X_509, ALWAYS, NEVER, Empty), rule(On::KEYS, ALWAYS, Empty)];
    SENSITIVE = 0x103, Bool, [rule(On::HIDDEN, ALWAYS, YES)], one_way = true;
    ENCRYPT = 0x104, Bool, [of(On::OPEN, CIPHER, ALWAYS, NEVER, YES), rule(On::OPEN, ALWAYS, NO)];
    DECRYPT = 0x105, Bool, [of(On::HIDDEN, CIPHER, ALWAYS, NEVER, YES), rule(On::HIDDEN, ALWAYS, NO)];
    WRAP = 0x106, Bool, [of(On::OPEN, CIPHER, ALWAYS, NEVER, YES), rule(On::OPEN, ALWAYS, NO)];
    UNWRAP = 0x107, Bool, [of(On::HIDDEN, CIPHER, ALWAYS, NEVER, YES), rule(On::HIDDEN, ALWAYS, NO)];
    SIGN = 0x108, Bool, [of(On::HIDDEN, SIGNER, ALWAYS, NEVER, YES), rule(On::HIDDEN, ALWAYS, NO)];
    SIGN_RECOVER = 0x109, Bool, [of(On::PRIVATE, RSA, ALWAYS, NEVER, YES), rule(On::PRIVATE, ALWAYS, NO)];
    VERIFY = 0x10A, Bool, [of(On::OPEN, SIGNER, ALWAYS, NEVER, YES), rule(On::OPEN, ALWAYS, NO)];
    VERIFY_RECOVER = 0x10B, Bool, [of(On::PUBLIC, RSA, ALWAYS, NEVER, YES), rule(On::PUBLIC, ALWAYS, NO)];
    DERIVE = 0x10C, Bool, [rule(On::KEYS, ALWAYS, NO)];
    START_DATE = 0x110, Date, [rule(On::CERT, CREATE, Empty), rule(On::KEYS, ALWAYS, Empty)];
    END_DATE = 0x111, Date, [rule(On::CERT, CREATE, Empty), rule(On::KEYS, ALWAYS, Empty)];
    MODULUS = 0x120, Bytes, [
        of(On::PUBLIC, RSA, IMPORTED, IMPORTED, Computed),
        of(On::PRIVATE, RSA, IMPORTED, IMPORTED, Computed),
    ];
    MODULUS_BITS = 0x121, Ulong, [of(On::PUBLIC, RSA, When::GENERATE, When::GENERATE, Computed)];
    PUBLIC_EXPONENT = 0x122, Bytes, [
        of(On::PUBLIC, RSA, IMPORTED.or(When::GENERATE), IMPORTED, Computed),
        of(On::PRIVATE, RSA, IMPORTED, IMPORTED, Computed),
    ];
    PRIVATE_EXPONENT = 0x123, Bytes, [of(On::PRIVATE, RSA, IMPORTED, IMPORTED, Computed)], secret;
    PRIME_1 = 0x124, Bytes, [of(On::PRIVATE, RSA, IMPORTED, NEVER, Computed)], secret;
    PRIME_2 = 0x125, Bytes, [of(On::PRIVATE, RSA, IMPORTED, NEVER, Computed)], secret;
    EXPONENT_1 = 0x126, Bytes, [of(On::PRIVATE, RSA, IMPORTED, NEVER, Computed)], secret;
    EXPONENT_2 = 0x127, Bytes, [of(On::PRIVATE, RSA, IMPORTED, NEVER, Computed)], secret;
    COEFFICIENT = 0x128, Bytes, [of(On::PRIVATE, RSA, IMPORTED, NEVER, Computed)], secret;
    PUBLIC_KEY_INFO = 0x129, Bytes, [
        rule(On::CERT, CREATE, Empty),
        rule(On::PUBLIC, CREATE, Computed),
        rule(On::PRIVATE, CREATE.or(When::UNWRAP).or(When::COPY).or(When::LATER), Computed),
    ];
    PRIME = 0x130, Bytes, [
        of(On::PUBLIC, FIELDS, IMPORTED.or(When::GENERATE), IMPORTED.or(When::GENERATE), Computed),
        of(On::PRIVATE, FIELDS, IMPORTED, IMPORTED, Computed),
        of(On::DOMAIN, FIELDS, IMPORTED, IMPORTED, Computed),
    ];
    SUBPRIME = 0x131, Bytes, [
        of(On::PUBLIC, DSA, IMPORTED.or(When::GENERATE), IMPORTED.or(When::GENERATE), Computed),
        of(On::PRIVATE, DSA, IMPORTED, IMPORTED, Computed),
        of(On::DOMAIN, DSA, IMPORTED, IMPORTED, Computed),
    ];
    BASE = 0x132, Bytes, [
        of(On::PUBLIC, FIELDS, IMPORTED.or(When::GENERATE), IMPORTED.or(When::GENERATE), Computed),
        of(On::PRIVATE, FIELDS, IMPORTED, IMPORTED, Computed),
        of(On::DOMAIN, FIELDS, IMPORTED, IMPORTED, Computed),
    ];
    PRIME_BITS = 0x133, Ulong, [of(On::DOMAIN, FIELDS, When::GENERATE, When::GENERATE, Computed)];
    SUBPRIME_BITS = 0x134, Ulong, [of(On::DOMAIN, DSA, When::GENERATE, NEVER, Computed)];
    VALUE_BITS = 0x160, Ulong, [of(On::PRIVATE, DH, When::GENERATE, NEVER, Computed)];
    VALUE_LEN = 0x161, Ulong, [rule(On::SECRET, When::GENERATE.or(When::DERIVE).or(When::UNWRAP), Computed)];
    // C_UnwrapKey (5.18.4): "The CKA_EXTRACTABLE attribute is by default set to CK_TRUE."
    EXTRACTABLE = 0x162, Bool, [rule(On::HIDDEN, ALWAYS, Unsaid::IfUnwrapped)], one_way = false;
    LOCAL = 0x163, Bool, [rule(On::TYPED, NEVER, Computed)];
    NEVER_EXTRACTABLE = 0x164, Bool, [rule(On::HIDDEN, NEVER, Computed)];
    ALWAYS_SENSITIVE = 0x165, Bool, [rule(On::HIDDEN, NEVER, Computed)];
    KEY_GEN_MECHANISM = 0x166, Ulong, [rule(On::KEYS, NEVER, Computed)];
    MODIFIABLE = 0x170, Bool, [rule(On::ALL, BORN, YES)];
    COPYABLE = 0x171, Bool, [rule(On::OTP, ALWAYS, NO), rule(On::ALL, ALWAYS, YES)], one_way = false;
    DESTROYABLE = 0x172, Bool, [rule(On::ALL, BORN, YES)];
    EC_PARAMS = 0x180, Bytes, [
        of(On::PUBLIC, CURVES, IMPORTED.or(When::GENERATE), IMPORTED.or(When::GENERATE), Computed),
        of(On::PRIVATE, CURVES, IMPORTED, IMPORTED, Computed),
    ];
    EC_POINT = 0x181, Bytes, [
        of(On::PUBLIC, CURVES, IMPORTED, IMPORTED, Computed),
        // Not in the specification, but several clients write it along with the private key.
        of(On::PRIVATE, CURVES, IMPORTED, NEVER, Absent),
    ];
    // These five bind their key for life: a copy without them would be the same key, unbound.
    ALWAYS_AUTHENTICATE = 0x202, Bool, [rule(On::PRIVATE, MADE, NO)];
    WRAP_WITH_TRUSTED = 0x210, Bool, [rule(On::HIDDEN, ALWAYS, NO)], one_way = true;
    // Of one-time password keys. HOTP heeds counter and length and ignores the rest, which says so.
    OTP_FORMAT = 0x220, Ulong, [rule(On::OTP, MADE, Unsaid::Ulong(0))];
    OTP_LENGTH = 0x221, Ulong, [rule(On::OTP, MADE, Unsaid::Ulong(6))];
    OTP_USER_FRIENDLY_MODE = 0x223, Bool, [rule(On::OTP, MADE, YES)];
    OTP_CHALLENGE_REQUIREMENT = 0x224, Ulong, [rule(On::OTP, MADE, Unsaid::Ulong(0))];
    OTP_TIME_REQUIREMENT = 0x225, Ulong, [rule(On::OTP, MADE, Unsaid::Ulong(0))];
    OTP_COUNTER_REQUIREMENT = 0x226, Ulong, [rule(On::OTP, MADE, Unsaid::Ulong(1))];
    OTP_PIN_REQUIREMENT = 0x227, Ulong, [rule(On::OTP, MADE, Unsaid::Ulong(0))];
    OTP_USER_IDENTIFIER = 0x22A, Bytes, [rule(On::OTP, ALWAYS, Empty)];
    OTP_SERVICE_IDENTIFIER = 0x22B, Bytes, [rule(On::OTP, ALWAYS, Empty)];
    OTP_SERVICE_LOGO = 0x22C, Bytes, [rule(On::OTP, ALWAYS, Empty)];
    OTP_SERVICE_LOGO_TYPE = 0x22D, Bytes, [rule(On::OTP, ALWAYS, Empty)];
    OTP_COUNTER = 0x22E, Bytes, [rule(On::OTP, MADE, Computed)];
    OTP_TIME = 0x22F, Bytes, [rule(On::OTP, MADE, Empty)];
    // Of built-in objects, which nobody makes (`builtin.rs`).
    HW_FEATURE_TYPE = 0x300, Ulong, [];
    RESET_ON_INIT = 0x301, Bool, [];
    HAS_RESET = 0x302, Bool, [];
    MECHANISM_TYPE = 0x500, Ulong, [];
    PROFILE_ID = 0x601, Ulong, [];
    PARAMETER_SET = 0x61D, Ulong, [
        of(On::PUBLIC, LATTICE_OR_HASH, IMPORTED.or(When::GENERATE), IMPORTED.or(When::GENERATE), Computed),
        of(On::PRIVATE, LATTICE_OR_HASH, IMPORTED, IMPORTED, Computed),
    ];
    // Nobody has validated this token, so no flag says otherwise.
    OBJECT_VALIDATION_FLAGS = 0x61E, Ulong, [rule(On::KEYS, NEVER, NONE)];
    TRUST_SERVER_AUTH = 0x62C, Ulong, [rule(On::TRUST, ALWAYS, NONE)];
    TRUST_CLIENT_AUTH = 0x62D, Ulong, [rule(On::TRUST, ALWAYS, NONE)];
    TRUST_CODE_SIGNING = 0x62E, Ulong, [rule(On::TRUST, ALWAYS, NONE)];
    TRUST_EMAIL_PROTECTION = 0x62F, Ulong, [rule(On::TRUST, ALWAYS, NONE)];
    TRUST_IPSEC_IKE = 0x630, Ulong, [rule(On::TRUST, ALWAYS, NONE)];
    TRUST_TIME_STAMPING = 0x631, Ulong, [rule(On::TRUST, ALWAYS, NONE)];
    TRUST_OCSP_SIGNING = 0x632, Ulong, [rule(On::TRUST, ALWAYS, NONE)];
    ENCAPSULATE = 0x633, Bool, [of(On::PUBLIC, KEM, ALWAYS, NEVER, YES), rule(On::PUBLIC, ALWAYS, NO)];
    DECAPSULATE = 0x634, Bool, [of(On::PRIVATE, KEM, ALWAYS, NEVER, YES), rule(On::PRIVATE, ALWAYS, NO)];
    HASH_OF_CERTIFICATE = 0x635, Bytes, [rule(On::TRUST, ALWAYS, Empty)];
    SEED = 0x637, Bytes, [of(On::PRIVATE, LATTICES, IMPORTED, NEVER, Empty)], secret;
    WRAP_TEMPLATE = 0x4000_0211, Template, [rule(On::OPEN, MADE, Absent)];
    UNWRAP_TEMPLATE = 0x4000_0212, Template, [rule(On::HIDDEN, MADE, Absent)];
    DERIVE_TEMPLATE = 0x4000_0213, Template, [rule(On::HIDDEN, MADE, Absent)];
    ALLOWED_MECHANISMS = 0x4000_0600, Mechs, [rule(On::KEYS, MADE, Absent)];
    ENCAPSULATE_TEMPLATE = 0x4000_062A, Template, [rule(On::PUBLIC, MADE, Absent)];
    DECAPSULATE_TEMPLATE = 0x4000_062B, Template, [rule(On::PRIVATE, MADE, Absent)];
}

/// Whether an object of this class hides its secret attributes at all: data and certificates do not.
pub fn hides(class: Class) -> bool {
    class == class::PRIVATE || class::is_secret(class)
}

/// Attributes that the halves of a key pair share.
pub(crate) const SHARED: [AttrType; 5] = [EC_PARAMS, PARAMETER_SET, PRIME, SUBPRIME, BASE];

#[cfg(test)]
mod tests {
    use hsm_api::Op;

    use super::*;
    use crate::mech::{self, Func, Mech};

    #[test]
    fn rows_are_in_order_and_found() {
        assert!(ALL.windows(2).all(|w| w[0].ty < w[1].ty));
        for r in ALL {
            assert_eq!(row(r.ty).map(|f| f.name), Some(r.name));
        }
        assert!(row(AttrType(0xDEAD)).is_none());
    }

    #[test]
    fn a_rule_depends_on_class_and_key_type() {
        let value = row(VALUE).unwrap();
        assert!(value.rule(class::SECRET, kt::AES).is_some());
        assert!(value.rule(class::PRIVATE, kt::EC).is_some());
        assert!(value.rule(class::PRIVATE, kt::RSA).is_none());
        let private = row(PRIVATE).unwrap();
        assert_eq!(private.rule(class::PUBLIC, kt::RSA).unwrap().unsaid, NO);
        assert_eq!(private.rule(class::DATA, kt::NONE).unwrap().unsaid, YES);
    }

    #[test]
    fn a_key_may_by_default_what_some_mechanism_does_with_it() {
        let pairs = [RSA, FIELDS, CURVES, LATTICE_OR_HASH].concat();
        let pairs = pairs.iter().map(|t| ([class::PUBLIC, class::PRIVATE], t));
        let secrets = kt::SECRETS.iter().map(|t| ([class::SECRET; 2], t));
        let usages = [
            ([ENCRYPT, DECRYPT], Func::Crypt(Op::Encrypt)),
            ([WRAP, UNWRAP], Func::Wrap),
            ([VERIFY, SIGN], Func::Crypt(Op::Sign)),
            ([VERIFY_RECOVER, SIGN_RECOVER], Func::Crypt(Op::SignRecover)),
            ([ENCAPSULATE, DECAPSULATE], Func::Encapsulate),
        ];
        let otp = ([class::OTP; 2], &kt::HOTP);
        for (classes, key_type) in pairs.chain(secrets).chain([otp]) {
            for (usage, func) in usages {
                let able = |m: &&'static Mech| m.keys.contains(key_type) && m.can(func);
                let able = mech::ALL.iter().any(able);
                for (class, ty) in classes.into_iter().zip(usage) {
                    let row = row(ty).unwrap();
                    let may = row.rule(class, *key_type).map(|rule| rule.unsaid == YES);
                    // No rule: the attribute is for halves of pairs only.
                    let what = format!("CKA_{} of {key_type:?}", row.name);
                    assert_eq!(may.unwrap_or(false), able, "{what}");
                }
            }
        }
    }

    #[test]
    fn dates_are_eight_digits_or_nothing() {
        assert!(Kind::Date.fits(&Value::Bytes(b"20260131".to_vec())));
        assert!(Kind::Date.fits(&Value::Bytes(Vec::new())));
        assert!(!Kind::Date.fits(&Value::Bytes(b"2026-1-1".to_vec())));
        let day = |text: &[u8]| Kind::Date.fits(&Value::Bytes(text.to_vec()));
        assert!(day(b"20240229") && day(b"20000229") && day(b"99991231"));
        for none in [
            b"20230229",
            b"21000229",
            b"20261301",
            b"20260100",
            b"20260431",
            b"00000000",
        ] {
            assert!(!day(none), "{}", String::from_utf8_lossy(none));
        }
    }
}
