//! Objects of every class and type, each as a template without anything that need not be in it.

use pkcs11_sys::*;

use super::table::{FACTS, Fact, Of};
use crate::certificate as leaf;
use crate::fields;
use crate::raw::{Raw, STANDARD, attr, bytes, plain};

pub type Values = Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)>;

/// An object that C_CreateObject makes of a template without anything that need not be in it.
pub struct Specimen {
    pub name: &'static str,
    pub of: Vec<Of>,
    pub minimal: Values,
    /// How it is generated: mechanism, public or secret template, and whether it is the private half.
    pub generate: Option<(CK_MECHANISM_TYPE, Values, bool)>,
}

pub fn number(n: CK_ULONG) -> Vec<u8> {
    n.to_ne_bytes().to_vec()
}

pub fn template(values: &Values) -> Vec<CK_ATTRIBUTE> {
    values.iter().map(|(ty, value)| bytes(*ty, value)).collect()
}

/// With this attribute, in the place of another value that was there.
pub fn with(values: &Values, ty: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Values {
    let mut values = without(values, ty);
    values.push((ty, value.to_vec()));
    values
}

pub fn without(values: &Values, ty: CK_ATTRIBUTE_TYPE) -> Values {
    values.iter().filter(|(t, _)| *t != ty).cloned().collect()
}

pub fn no_keys() -> Vec<Specimen> {
    let class = |class, of: &[Of], name, more: &[(CK_ATTRIBUTE_TYPE, &[u8])]| {
        let more = more.iter().map(|(ty, value)| (*ty, value.to_vec()));
        Specimen {
            name,
            of: [&[Of::Storage], of].concat(),
            minimal: std::iter::once((CKA_CLASS, number(class)))
                .chain(more)
                .collect(),
            generate: None,
        }
    };
    let (x509, ac, wtls) = (
        number(CKC_X_509),
        number(CKC_X_509_ATTR_CERT),
        number(CKC_WTLS),
    );
    let (empty, short) = ([0x30, 0], [0x30, 7, 0x30, 0, 0x30, 0, 3, 1, 0]);
    vec![
        class(CKO_DATA, &[Of::Data], "data", &[]),
        class(
            CKO_CERTIFICATE,
            &[Of::Cert, Of::X509],
            "X.509 certificate",
            &[
                (CKA_CERTIFICATE_TYPE, &x509),
                (CKA_SUBJECT, leaf::SUBJECT),
                (CKA_VALUE, leaf::DER),
            ],
        ),
        class(
            CKO_CERTIFICATE,
            &[Of::Cert, Of::Wtls],
            "WTLS certificate",
            &[
                (CKA_CERTIFICATE_TYPE, &wtls),
                (CKA_SUBJECT, b"s"),
                (CKA_VALUE, b"v"),
            ],
        ),
        class(
            CKO_CERTIFICATE,
            &[Of::Cert, Of::AttrCert],
            "attribute certificate",
            &[
                (CKA_CERTIFICATE_TYPE, &ac),
                (CKA_OWNER, &empty),
                (CKA_VALUE, &short),
            ],
        ),
        class(
            11,
            &[Of::Trust],
            "trust",
            &[
                (CKA_ISSUER, leaf::ISSUER),
                (CKA_SERIAL_NUMBER, leaf::SERIAL),
            ],
        ),
    ]
}

pub const EDWARDS_PAIR: CK_MECHANISM_TYPE = 0x1055;
pub const MONTGOMERY_PAIR: CK_MECHANISM_TYPE = 0x1056;
pub const ML_DSA_PAIR: CK_MECHANISM_TYPE = 0x1C;
pub const ML_KEM_PAIR: CK_MECHANISM_TYPE = 0xF;
pub const SLH_DSA_PAIR: CK_MECHANISM_TYPE = 0x2D;

/// A token that offers DES too.
pub fn token() -> Raw {
    Raw::new().configured("legacy = true\n", STANDARD)
}

/// Keys and domains as they are generated in the open and read out again.
pub fn keys(raw: &Raw) -> Vec<Specimen> {
    const P_256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const ED25519: [u8; 5] = [6, 3, 0x2b, 0x65, 0x70];
    const X25519: [u8; 5] = [6, 3, 0x2b, 0x65, 0x6e];
    let mut all = Vec::new();
    let mut secret = |name, mech, public: Values, of: &[Of]| {
        let said = with(&public, CKA_EXTRACTABLE, &[1]);
        let (key, _) = generate(raw, mech, &said, &open()).expect(name);
        let of = [&[Of::Key, Of::Secret], of].concat();
        all.push(key_specimen(raw, name, key, &of, (mech, &public, false)));
    };
    let len = |n| vec![(CKA_VALUE_LEN, number(n))];
    for (name, mech, size) in [
        ("AES", CKM_AES_KEY_GEN, 32),
        ("AES-XTS", 0x1072, 64),
        ("generic secret", CKM_GENERIC_SECRET_KEY_GEN, 32),
        ("HKDF", 0x402c, 32),
        ("HMAC with SHA-1", 0x4003, 32),
        ("HMAC with SHA-224", 0x4004, 32),
        ("HMAC with SHA-256", 0x4005, 32),
        ("HMAC with SHA-384", 0x4006, 32),
        ("HMAC with SHA-512", 0x4007, 32),
        ("HMAC with SHA-512/224", 0x4008, 32),
        ("HMAC with SHA-512/256", 0x4009, 32),
        ("HMAC with SHA3-224", 0x2b8, 32),
        ("HMAC with SHA3-256", 0x2b3, 32),
        ("HMAC with SHA3-384", 0x2c3, 32),
        ("HMAC with SHA3-512", 0x2d3, 32),
    ] {
        secret(name, mech, len(size), &[Of::Bytes]);
    }
    for (name, mech) in [
        ("DES", CKM_DES_KEY_GEN),
        ("two-key DES3", CKM_DES2_KEY_GEN),
        ("DES3", CKM_DES3_KEY_GEN),
        ("ChaCha20", 0x1225),
    ] {
        secret(name, mech, vec![], &[Of::Fixed]);
    }
    secret("HOTP", CKM_HOTP_KEY_GEN, len(20), &[Of::Otp]);
    let [dsa, dh] = [
        ("DSA domain", CKM_DSA_PARAMETER_GEN, 1024, Of::DsaDomain),
        ("DH domain", CKM_DH_PKCS_PARAMETER_GEN, 2048, Of::DhDomain),
    ]
    .map(|(name, mech, bits, of)| {
        let (domain, numbers) = fields::domain(raw, mech, bits);
        let bits = vec![(CKA_PRIME_BITS, number(bits))];
        let of = [Of::Domain, of];
        all.push(key_specimen(raw, name, domain, &of, (mech, &bits, false)));
        numbers
    });
    let set = |n| vec![(0x61D, number(n))];
    for (name, mech, public, of) in [
        (
            ["RSA public", "RSA private"],
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            vec![(CKA_MODULUS_BITS, number(2048))],
            [&[Of::RsaPublic][..], &[Of::RsaPrivate]],
        ),
        (
            ["EC public", "EC private"],
            CKM_EC_KEY_PAIR_GEN,
            vec![(CKA_EC_PARAMS, P_256.to_vec())],
            [&[Of::EcPublic], &[Of::EcPrivate]],
        ),
        (
            ["Edwards public", "Edwards private"],
            EDWARDS_PAIR,
            vec![(CKA_EC_PARAMS, ED25519.to_vec())],
            [&[Of::EcPublic], &[Of::EcPrivate]],
        ),
        (
            ["Montgomery public", "Montgomery private"],
            MONTGOMERY_PAIR,
            vec![(CKA_EC_PARAMS, X25519.to_vec())],
            [&[Of::EcPublic], &[Of::EcPrivate]],
        ),
        (
            ["DSA public", "DSA private"],
            CKM_DSA_KEY_PAIR_GEN,
            dsa,
            [&[Of::DsaPublic], &[Of::DsaPrivate]],
        ),
        (
            ["DH public", "DH private"],
            CKM_DH_PKCS_KEY_PAIR_GEN,
            dh,
            [&[Of::DhPublic], &[Of::DhPrivate]],
        ),
        (
            ["ML-DSA public", "ML-DSA private"],
            ML_DSA_PAIR,
            set(1),
            [&[Of::PqPublic], &[Of::PqPrivate, Of::Seeded]],
        ),
        (
            ["ML-KEM public", "ML-KEM private"],
            ML_KEM_PAIR,
            set(1),
            [&[Of::PqPublic], &[Of::PqPrivate, Of::Seeded]],
        ),
        (
            ["SLH-DSA public", "SLH-DSA private"],
            SLH_DSA_PAIR,
            set(3),
            [&[Of::PqPublic], &[Of::PqPrivate]],
        ),
    ] {
        let (a, b) = generate(raw, mech, &public, &open()).unwrap();
        let halves = [
            (a, [&[Of::Key, Of::Public], of[0]].concat(), false),
            (b, [&[Of::Key, Of::Private], of[1]].concat(), true),
        ];
        for (name, (key, of, private)) in name.into_iter().zip(halves) {
            all.push(key_specimen(raw, name, key, &of, (mech, &public, private)));
        }
    }
    all
}

pub fn open() -> Values {
    vec![(CKA_SENSITIVE, vec![0]), (CKA_EXTRACTABLE, vec![1])]
}

pub fn key_specimen(
    raw: &Raw,
    name: &'static str,
    key: CK_OBJECT_HANDLE,
    of: &[Of],
    (mech, public, private): (CK_MECHANISM_TYPE, &Values, bool),
) -> Specimen {
    let own = |f: &&Fact| of.contains(&f.of) && f.notes.contains(&1) && !f.notes.contains(&2);
    let mut minimal = vec![
        (CKA_CLASS, raw.get(key, CKA_CLASS).unwrap()),
        (CKA_KEY_TYPE, raw.get(key, CKA_KEY_TYPE).unwrap()),
    ];
    for fact in FACTS.iter().filter(own) {
        minimal = with(&minimal, fact.ty, &raw.get(key, fact.ty).expect(fact.name));
    }
    Specimen {
        name,
        of: [&[Of::Storage], of].concat(),
        minimal,
        generate: Some((mech, public.clone(), private)),
    }
}

/// C_GenerateKey or C_GenerateKeyPair; a secret key is the first of the two, and so is a domain.
pub fn generate(
    raw: &Raw,
    mech: CK_MECHANISM_TYPE,
    public: &Values,
    private: &Values,
) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), CK_RV> {
    const PAIRS: [CK_MECHANISM_TYPE; 9] = [
        CKM_RSA_PKCS_KEY_PAIR_GEN,
        CKM_EC_KEY_PAIR_GEN,
        CKM_DSA_KEY_PAIR_GEN,
        CKM_DH_PKCS_KEY_PAIR_GEN,
        EDWARDS_PAIR,
        MONTGOMERY_PAIR,
        ML_DSA_PAIR,
        ML_KEM_PAIR,
        SLH_DSA_PAIR,
    ];
    let mut first = template(public);
    if PAIRS.contains(&mech) {
        return Ok(raw.pair(plain(mech), first, template(private))?.into());
    }
    let domain = [CKM_DSA_PARAMETER_GEN, CKM_DH_PKCS_PARAMETER_GEN].contains(&mech);
    if !domain && !public.iter().any(|(ty, _)| *ty == CKA_SENSITIVE) {
        first.push(attr(CKA_SENSITIVE, &CK_FALSE));
    }
    Ok((raw.generated(plain(mech), first)?, 0))
}
