//! Templates: what PKCS#11 is told to make an object of a key or a certificate.

use cryptoki::object::{
    Attribute, AttributeType, CertificateType, KeyType, ObjectClass, ParameterSetType,
};
use cryptoki::types::Ulong;
use hsm_crypto::pq::{MlDsaKey, MlKemKey};
use hsm_crypto::{
    DhKey, DsaKey, EcKey, Ed448Key, EdKey, PrivateKey, PublicKey, SlhKey, X448Key, XKey,
};
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::SubjectPublicKeyInfoRef;
use x509_parser::prelude::X509Certificate;
use zeroize::Zeroize;

use super::reach::said;
use super::read::Raw;
use super::{Failure, Result};

/// CKA_SUBPRIME, for which the client library has no name: it sends it, and cannot read it.
pub const SUBPRIME: AttributeType = AttributeType::VendorDefined(0x131);
/// CKA_BASE, of whose values the client library sends one byte under its own name.
pub const BASE: AttributeType = AttributeType::VendorDefined(0x132);

/// An attribute under one of the two.
pub fn unnamed(ty: AttributeType, value: &[u8]) -> Attribute {
    Attribute::VendorDefined((ty, value.to_vec()))
}

/// What the caller wants of a key that must be kept secret.
#[derive(Clone, Copy)]
pub struct Secrecy {
    /// CKA_SENSITIVE.
    pub sensitive: bool,
    /// CKA_EXTRACTABLE.
    pub extractable: bool,
}

/// An object to be, whose values do not stay in memory.
pub struct Template(pub Vec<Attribute>);

impl Drop for Template {
    fn drop(&mut self) {
        for attribute in &mut self.0 {
            match attribute {
                Attribute::Value(secret)
                | Attribute::Seed(secret)
                | Attribute::PrivateExponent(secret)
                | Attribute::Prime1(secret)
                | Attribute::Prime2(secret)
                | Attribute::Exponent1(secret)
                | Attribute::Exponent2(secret)
                | Attribute::Coefficient(secret) => secret.zeroize(),
                _ => {}
            }
        }
    }
}

fn broken(error: hsm_crypto::Error) -> Failure {
    Failure::Failed(format!("the key cannot be read: {error}"))
}

fn named(class: ObjectClass, label: &str, id: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::Class(class),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ]
}

/// A private key.
pub fn private(key: &PrivateKey, label: &str, id: &[u8], secrecy: Secrecy) -> Result<Template> {
    let mut all = Template(named(ObjectClass::PRIVATE_KEY, label, id));
    all.0.extend([
        Attribute::Private(true),
        Attribute::Sensitive(secrecy.sensitive),
        Attribute::Extractable(secrecy.extractable),
    ]);
    let rsa = matches!(key, PrivateKey::Rsa(_));
    let agrees = matches!(
        key,
        PrivateKey::Ec(_) | PrivateKey::X(_) | PrivateKey::X448(_) | PrivateKey::Dh(_)
    );
    let decapsulates = matches!(key, PrivateKey::MlKem(_));
    all.0.extend([
        Attribute::Sign(!matches!(
            key,
            PrivateKey::X(_) | PrivateKey::X448(_) | PrivateKey::Dh(_) | PrivateKey::MlKem(_)
        )),
        Attribute::Decrypt(rsa),
        Attribute::Unwrap(rsa),
        Attribute::Derive(agrees),
    ]);
    // PKCS#11 before 3.2 does not know the attribute.
    all.0
        .extend(decapsulates.then_some(Attribute::Decapsulate(true)));
    match key {
        PrivateKey::Rsa(key) => {
            let parts = key.parts().map_err(broken)?;
            all.0.extend([
                Attribute::KeyType(KeyType::RSA),
                Attribute::Modulus(parts.n.clone()),
                Attribute::PublicExponent(parts.e.clone()),
                Attribute::PrivateExponent(parts.d.to_vec()),
            ]);
            if let Some(crt) = &parts.crt {
                all.0.extend([
                    Attribute::Prime1(crt.p.to_vec()),
                    Attribute::Prime2(crt.q.to_vec()),
                    Attribute::Exponent1(crt.dp.to_vec()),
                    Attribute::Exponent2(crt.dq.to_vec()),
                    Attribute::Coefficient(crt.qinv.to_vec()),
                ]);
            }
        }
        PrivateKey::Dsa(key) => all.0.extend([
            Attribute::KeyType(KeyType::DSA),
            Attribute::Prime(key.domain().p().to_vec()),
            unnamed(SUBPRIME, key.domain().q()),
            unnamed(BASE, key.domain().g()),
            Attribute::Value(key.x().map_err(broken)?.to_vec()),
        ]),
        PrivateKey::Dh(key) => all.0.extend([
            Attribute::KeyType(KeyType::DH),
            Attribute::Prime(key.group().p().to_vec()),
            unnamed(BASE, key.group().g()),
            Attribute::Value(key.x().map_err(broken)?.to_vec()),
        ]),
        PrivateKey::Ec(key) => all.0.extend([
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(key.curve().oid_der().to_vec()),
            Attribute::Value(key.scalar().map_err(broken)?.to_vec()),
        ]),
        PrivateKey::Ed(key) => all.0.extend([
            Attribute::KeyType(KeyType::EC_EDWARDS),
            Attribute::EcParams(EdKey::OID_DER.to_vec()),
            Attribute::Value(key.seed().map_err(broken)?.to_vec()),
        ]),
        PrivateKey::X(key) => all.0.extend([
            Attribute::KeyType(KeyType::EC_MONTGOMERY),
            Attribute::EcParams(XKey::OID_DER.to_vec()),
            Attribute::Value(key.private().to_vec()),
        ]),
        PrivateKey::Ed448(key) => all.0.extend([
            Attribute::KeyType(KeyType::EC_EDWARDS),
            Attribute::EcParams(Ed448Key::OID_DER.to_vec()),
            Attribute::Value(key.seed().map_err(broken)?.to_vec()),
        ]),
        PrivateKey::X448(key) => all.0.extend([
            Attribute::KeyType(KeyType::EC_MONTGOMERY),
            Attribute::EcParams(X448Key::OID_DER.to_vec()),
            Attribute::Value(key.private().to_vec()),
        ]),
        PrivateKey::MlDsa(key) => {
            all.0.extend([
                Attribute::KeyType(KeyType::ML_DSA),
                parameter_set(key.set() as u64)?,
                Attribute::Value(key.expanded().map_err(broken)?.to_vec()),
            ]);
            // A file may hold the expanded key alone, which no seed follows from.
            all.0
                .extend(key.seed().ok().map(|seed| Attribute::Seed(seed.to_vec())));
        }
        PrivateKey::MlKem(key) => {
            all.0.extend([
                Attribute::KeyType(KeyType::ML_KEM),
                parameter_set(key.set() as u64)?,
                Attribute::Value(key.expanded().map_err(broken)?.to_vec()),
            ]);
            all.0
                .extend(key.seed().ok().map(|seed| Attribute::Seed(seed.to_vec())));
        }
        PrivateKey::Slh(key) => all.0.extend([
            Attribute::KeyType(KeyType::SLH_DSA),
            parameter_set(key.set() as u64)?,
            Attribute::Value(key.private().map_err(broken)?.to_vec()),
        ]),
    }
    Ok(all)
}

/// A public key.
pub fn public(key: &PublicKey, label: &str, id: &[u8]) -> Result<Template> {
    let mut all = named(ObjectClass::PUBLIC_KEY, label, id);
    let rsa = matches!(key, PublicKey::Rsa(_));
    let encapsulates = matches!(key, PublicKey::MlKem(_));
    all.extend([
        Attribute::Private(false),
        Attribute::Verify(!matches!(
            key,
            PublicKey::X(_) | PublicKey::X448(_) | PublicKey::Dh(_) | PublicKey::MlKem(_)
        )),
        Attribute::Encrypt(rsa),
        Attribute::Wrap(rsa),
    ]);
    all.extend(encapsulates.then_some(Attribute::Encapsulate(true)));
    match key {
        PublicKey::Rsa(key) => all.extend([
            Attribute::KeyType(KeyType::RSA),
            Attribute::Modulus(key.n().map_err(broken)?),
            Attribute::PublicExponent(key.e().map_err(broken)?),
        ]),
        PublicKey::Dsa(key) => all.extend([
            Attribute::KeyType(KeyType::DSA),
            Attribute::Prime(key.domain().p().to_vec()),
            unnamed(SUBPRIME, key.domain().q()),
            unnamed(BASE, key.domain().g()),
            Attribute::Value(key.y().to_vec()),
        ]),
        PublicKey::Dh(key) => all.extend([
            Attribute::KeyType(KeyType::DH),
            Attribute::Prime(key.group().p().to_vec()),
            unnamed(BASE, key.group().g()),
            Attribute::Value(key.y().to_vec()),
        ]),
        PublicKey::Ec(key) => all.extend([
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(key.curve().oid_der().to_vec()),
            Attribute::EcPoint(octets(&key.point().map_err(broken)?)?),
        ]),
        PublicKey::Ed(key) => all.extend([
            Attribute::KeyType(KeyType::EC_EDWARDS),
            Attribute::EcParams(EdKey::OID_DER.to_vec()),
            Attribute::EcPoint(octets(key.public())?),
        ]),
        PublicKey::X(key) => all.extend([
            Attribute::KeyType(KeyType::EC_MONTGOMERY),
            Attribute::EcParams(XKey::OID_DER.to_vec()),
            Attribute::EcPoint(octets(key)?),
        ]),
        PublicKey::Ed448(key) => all.extend([
            Attribute::KeyType(KeyType::EC_EDWARDS),
            Attribute::EcParams(Ed448Key::OID_DER.to_vec()),
            Attribute::EcPoint(octets(key.public())?),
        ]),
        PublicKey::X448(key) => all.extend([
            Attribute::KeyType(KeyType::EC_MONTGOMERY),
            Attribute::EcParams(X448Key::OID_DER.to_vec()),
            Attribute::EcPoint(octets(key)?),
        ]),
        PublicKey::MlDsa(key) => all.extend([
            Attribute::KeyType(KeyType::ML_DSA),
            parameter_set(key.set() as u64)?,
            Attribute::Value(key.public().map_err(broken)?),
        ]),
        PublicKey::MlKem(key) => all.extend([
            Attribute::KeyType(KeyType::ML_KEM),
            parameter_set(key.set() as u64)?,
            Attribute::Value(key.public().map_err(broken)?),
        ]),
        PublicKey::Slh(key) => all.extend([
            Attribute::KeyType(KeyType::SLH_DSA),
            parameter_set(key.set() as u64)?,
            Attribute::Value(key.public().to_vec()),
        ]),
    }
    Ok(Template(all))
}

/// CKA_PARAMETER_SET, which counts from 1 in the order of the sets here.
fn parameter_set(place: u64) -> Result<Attribute> {
    ParameterSetType::try_from(Ulong::from(place + 1))
        .map(Attribute::ParameterSet)
        .map_err(said)
}

/// A secret key.
pub fn secret(raw: Raw, key: &[u8], label: &str, id: &[u8], secrecy: Secrecy) -> Template {
    let mut all = Template(named(ObjectClass::SECRET_KEY, label, id));
    let aes = raw == Raw::Aes;
    all.0.extend([
        Attribute::KeyType(if aes {
            KeyType::AES
        } else {
            KeyType::GENERIC_SECRET
        }),
        Attribute::Private(true),
        Attribute::Sensitive(secrecy.sensitive),
        Attribute::Extractable(secrecy.extractable),
        Attribute::Encrypt(aes),
        Attribute::Decrypt(aes),
        Attribute::Wrap(aes),
        Attribute::Unwrap(aes),
        Attribute::Sign(true),
        Attribute::Verify(true),
        Attribute::Derive(true),
        Attribute::Value(key.to_vec()),
    ]);
    all
}

/// A certificate.
pub fn certificate(
    der: &[u8],
    parsed: &X509Certificate<'_>,
    label: &str,
    id: &[u8],
) -> Result<Template> {
    let serial = pkcs8::der::asn1::IntRef::new(parsed.raw_serial());
    let serial = serial.and_then(|serial| serial.to_der());
    let serial = serial.map_err(|error| {
        Failure::Usage(format!(
            "the certificate's serial number is malformed: {error}"
        ))
    })?;
    let mut all = named(ObjectClass::CERTIFICATE, label, id);
    all.extend([
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Private(false),
        Attribute::Subject(parsed.subject().as_raw().to_vec()),
        Attribute::Issuer(parsed.issuer().as_raw().to_vec()),
        Attribute::SerialNumber(serial),
        Attribute::Value(der.to_vec()),
    ]);
    Ok(Template(all))
}

/// The public half.
pub fn half(key: &PrivateKey) -> Result<PublicKey> {
    Ok(match key {
        PrivateKey::Rsa(key) => PublicKey::Rsa(key.to_public().map_err(broken)?),
        PrivateKey::Dsa(key) => {
            let domain = key.domain().clone();
            PublicKey::Dsa(DsaKey::from_public(domain, key.y()).map_err(broken)?)
        }
        PrivateKey::Dh(key) => {
            let group = key.group().clone();
            PublicKey::Dh(DhKey::from_public(group, key.y()).map_err(broken)?)
        }
        PrivateKey::Ec(key) => {
            let point = key.point().map_err(broken)?;
            PublicKey::Ec(EcKey::from_point(key.curve(), &point).map_err(broken)?)
        }
        PrivateKey::Ed(key) => PublicKey::Ed(EdKey::from_public(key.public()).map_err(broken)?),
        PrivateKey::X(key) => PublicKey::X(*key.public()),
        PrivateKey::Ed448(key) => {
            PublicKey::Ed448(Ed448Key::from_public(key.public()).map_err(broken)?)
        }
        PrivateKey::X448(key) => PublicKey::X448(*key.public()),
        PrivateKey::MlDsa(key) => {
            let public = key.public().map_err(broken)?;
            PublicKey::MlDsa(MlDsaKey::from_public(key.set(), &public).map_err(broken)?)
        }
        PrivateKey::MlKem(key) => {
            let public = key.public().map_err(broken)?;
            PublicKey::MlKem(MlKemKey::from_public(key.set(), &public).map_err(broken)?)
        }
        PrivateKey::Slh(key) => {
            PublicKey::Slh(SlhKey::from_public(key.set(), key.public()).map_err(broken)?)
        }
    })
}

/// The bits of a public key that a key identifier is made of (RFC 5280, 4.2.1.2).
pub fn key_bits(key: &PublicKey) -> Result<Vec<u8>> {
    let der = key.to_spki().map_err(broken)?;
    let info = SubjectPublicKeyInfoRef::from_der(&der);
    let bits = info
        .ok()
        .and_then(|info| Some(info.subject_public_key.as_bytes()?.to_vec()));
    bits.ok_or_else(|| broken(hsm_crypto::Error::BadKey))
}

fn octets(bytes: &[u8]) -> Result<Vec<u8>> {
    let octets = OctetStringRef::new(bytes).and_then(|octets| octets.to_der());
    octets.map_err(|_| broken(hsm_crypto::Error::BadKey))
}
