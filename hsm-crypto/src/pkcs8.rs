//! Keys in DER: PKCS#8 (RFC 5958) and SubjectPublicKeyInfo (RFC 5280), for wrapped private keys and imported tokens.

#[cfg(feature = "aws-lc")]
use crate::pq::{MlDsaKey, MlKemKey};
use crate::rsa::{Crt, Parts};
use crate::{
    Curve, DhKey, DsaKey, EcKey, Ed448Key, EdKey, Error, Result, RsaKey, SlhKey, X448Key, XKey,
};
use pkcs1::UintRef;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::{Decode, Encode, SecretDocument};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

mod field;
mod pq;

pub use field::dsa_from_traditional;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
const X448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.111");

/// A private key of any kind that has a DER form here.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum PrivateKey {
    Rsa(RsaKey),
    Dsa(DsaKey),
    Dh(DhKey),
    Ec(EcKey),
    Ed(EdKey),
    X(XKey),
    Ed448(Ed448Key),
    X448(X448Key),
    #[cfg(feature = "aws-lc")]
    MlDsa(MlDsaKey),
    #[cfg(feature = "aws-lc")]
    MlKem(MlKemKey),
    Slh(SlhKey),
}

/// A public key of any kind that has a DER form here.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum PublicKey {
    Rsa(RsaKey),
    Dsa(DsaKey),
    Dh(DhKey),
    Ec(EcKey),
    Ed(EdKey),
    /// An X25519 public key, which is nothing but its 32 bytes.
    X([u8; 32]),
    #[allow(missing_docs)]
    Ed448(Ed448Key),
    /// An X448 public key, which is nothing but its 56 bytes.
    X448([u8; 56]),
    #[cfg(feature = "aws-lc")]
    #[allow(missing_docs)]
    MlDsa(MlDsaKey),
    #[cfg(feature = "aws-lc")]
    #[allow(missing_docs)]
    MlKem(MlKemKey),
    #[allow(missing_docs)]
    Slh(SlhKey),
}

fn bad<E>(_: E) -> Error {
    Error::BadKey
}

impl PrivateKey {
    /// Reads a PrivateKeyInfo.
    ///
    /// # Errors
    /// `BadKey` if it is malformed or inconsistent, `Unsupported` for an unknown algorithm or curve.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(bad)?;
        let key = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA => Ok(PrivateKey::Rsa(rsa_from_pkcs1(key)?)),
            EC => {
                let params = info.algorithm.parameters.ok_or(Error::BadKey)?;
                let curve = Curve::from_ec_params(&params.to_der().map_err(bad)?)?;
                let key = sec1::EcPrivateKey::from_der(key).map_err(bad)?;
                Ok(PrivateKey::Ec(EcKey::from_scalar(curve, key.private_key)?))
            }
            ED25519 => Ok(PrivateKey::Ed(EdKey::from_seed(inner(key)?)?)),
            X25519 => Ok(PrivateKey::X(XKey::from_private(inner(key)?)?)),
            ED448 => Ok(PrivateKey::Ed448(Ed448Key::from_seed(inner(key)?)?)),
            X448 => Ok(PrivateKey::X448(X448Key::from_private(inner(key)?)?)),
            oid => field::private(oid, info.algorithm.parameters, key)
                .unwrap_or_else(|| pq::private(oid, key)),
        }
    }

    /// Writes a PrivateKeyInfo, version 1. An EC key carries its public point, as OpenSSL's does.
    ///
    /// # Errors
    /// `Unsupported` for a public key, and for an RSA key without its primes.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        match self {
            PrivateKey::Rsa(key) => info(RSA, Some(AnyRef::NULL), &rsa_to_pkcs1(key)?),
            PrivateKey::Dsa(key) => {
                let params = field::dsa_params(key.domain())?;
                let params = AnyRef::from_der(&params).map_err(bad)?;
                info(field::DSA, Some(params), &field::integer(key.x()?)?)
            }
            PrivateKey::Dh(key) => {
                let params = field::dh_params(key.group())?;
                let params = AnyRef::from_der(&params).map_err(bad)?;
                info(field::DH, Some(params), &field::integer(key.x()?)?)
            }
            PrivateKey::Ec(key) => {
                let (scalar, point) = (key.scalar()?, key.point()?);
                let inner = sec1::EcPrivateKey {
                    private_key: &scalar,
                    parameters: None,
                    public_key: Some(&point),
                };
                let inner = Zeroizing::new(inner.to_der().map_err(bad)?);
                let params = AnyRef::from_der(key.curve().oid_der()).map_err(bad)?;
                info(EC, Some(params), &inner)
            }
            PrivateKey::Ed(key) => info(ED25519, None, &octets(&*key.seed()?)?),
            PrivateKey::X(key) => info(X25519, None, &octets(&**key.private())?),
            PrivateKey::Ed448(key) => info(ED448, None, &octets(key.seed()?)?),
            PrivateKey::X448(key) => info(X448, None, &octets(&**key.private())?),
            #[cfg(feature = "aws-lc")]
            PrivateKey::MlDsa(key) => {
                let inner = pq::inner(key.seed().ok(), || key.expanded())?;
                info(pq::dsa(key.set()), None, &inner)
            }
            #[cfg(feature = "aws-lc")]
            PrivateKey::MlKem(key) => {
                let inner = pq::inner(key.seed().ok(), || key.expanded())?;
                info(pq::kem(key.set()), None, &inner)
            }
            PrivateKey::Slh(key) => info(pq::slh(key.set()), None, key.private()?),
        }
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// `BadKey` if it is malformed, `Unsupported` for an unknown algorithm or curve.
    pub fn from_spki(der: &[u8]) -> Result<Self> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(bad)?;
        let key = info.subject_public_key.as_bytes().ok_or(Error::BadKey)?;
        match info.algorithm.oid {
            RSA => {
                let key = pkcs1::RsaPublicKey::<UintRef>::from_der(key).map_err(bad)?;
                let (n, e) = (key.modulus.as_bytes(), key.public_exponent.as_bytes());
                Ok(PublicKey::Rsa(RsaKey::from_public(n, e)?))
            }
            EC => {
                let params = info.algorithm.parameters.ok_or(Error::BadKey)?;
                let curve = Curve::from_ec_params(&params.to_der().map_err(bad)?)?;
                Ok(PublicKey::Ec(EcKey::from_point(curve, key)?))
            }
            ED25519 => Ok(PublicKey::Ed(EdKey::from_public(key)?)),
            X25519 => Ok(PublicKey::X(key.try_into().map_err(bad)?)),
            ED448 => Ok(PublicKey::Ed448(Ed448Key::from_public(key)?)),
            X448 => Ok(PublicKey::X448(key.try_into().map_err(bad)?)),
            oid => field::public(oid, info.algorithm.parameters, key)
                .unwrap_or_else(|| pq::public(oid, key)),
        }
    }

    /// Writes a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn to_spki(&self) -> Result<Vec<u8>> {
        let curve;
        let params;
        let (oid, parameters, key) = match self {
            PublicKey::Rsa(key) => {
                let (n, e) = (key.n()?, key.e()?);
                let key = pkcs1::RsaPublicKey {
                    modulus: uint(&n)?,
                    public_exponent: uint(&e)?,
                };
                (RSA, Some(AnyRef::NULL), key.to_der().map_err(bad)?)
            }
            PublicKey::Dsa(key) => {
                params = field::dsa_params(key.domain())?;
                let params = AnyRef::from_der(&params).map_err(bad)?;
                (field::DSA, Some(params), field::integer(key.y())?.to_vec())
            }
            PublicKey::Dh(key) => {
                params = field::dh_params(key.group())?;
                let params = AnyRef::from_der(&params).map_err(bad)?;
                (field::DH, Some(params), field::integer(key.y())?.to_vec())
            }
            PublicKey::Ec(key) => {
                curve = key.curve();
                (
                    EC,
                    Some(AnyRef::from_der(curve.oid_der()).map_err(bad)?),
                    key.point()?,
                )
            }
            PublicKey::Ed(key) => (ED25519, None, key.public().to_vec()),
            PublicKey::X(key) => (X25519, None, key.to_vec()),
            PublicKey::Ed448(key) => (ED448, None, key.public().to_vec()),
            PublicKey::X448(key) => (X448, None, key.to_vec()),
            #[cfg(feature = "aws-lc")]
            PublicKey::MlDsa(key) => (pq::dsa(key.set()), None, key.public()?),
            #[cfg(feature = "aws-lc")]
            PublicKey::MlKem(key) => (pq::kem(key.set()), None, key.public()?),
            PublicKey::Slh(key) => (pq::slh(key.set()), None, key.public().to_vec()),
        };
        let subject_public_key = BitStringRef::from_bytes(&key).map_err(bad)?;
        let algorithm = AlgorithmIdentifierRef { oid, parameters };
        SubjectPublicKeyInfoRef {
            algorithm,
            subject_public_key,
        }
        .to_der()
        .map_err(bad)
    }
}

/// Reads an RSAPrivateKey (RFC 8017, A.1.2).
///
/// # Errors
/// `BadKey`; `Unsupported` for more than two primes.
pub fn rsa_from_pkcs1(der: &[u8]) -> Result<RsaKey> {
    let key = pkcs1::RsaPrivateKey::<UintRef>::from_der(der).map_err(bad)?;
    if key.other_prime_infos.is_some() {
        return Err(Error::Unsupported);
    }
    let secret = |number: UintRef| Zeroizing::new(number.as_bytes().to_vec());
    RsaKey::from_parts(&Parts {
        n: key.modulus.as_bytes().to_vec(),
        e: key.public_exponent.as_bytes().to_vec(),
        d: secret(key.private_exponent),
        crt: Some(Crt {
            p: secret(key.prime1),
            q: secret(key.prime2),
            dp: secret(key.exponent1),
            dq: secret(key.exponent2),
            qinv: secret(key.coefficient),
        }),
    })
}

/// Writes an RSAPrivateKey (RFC 8017, A.1.2).
///
/// # Errors
/// `Unsupported` for a public key and for one without its primes.
pub fn rsa_to_pkcs1(key: &RsaKey) -> Result<Zeroizing<Vec<u8>>> {
    let parts = key.parts()?;
    let crt = parts.crt.as_ref().ok_or(Error::Unsupported)?;
    let key = pkcs1::RsaPrivateKey {
        modulus: uint(&parts.n)?,
        public_exponent: uint(&parts.e)?,
        private_exponent: uint(&parts.d)?,
        prime1: uint(&crt.p)?,
        prime2: uint(&crt.q)?,
        exponent1: uint(&crt.dp)?,
        exponent2: uint(&crt.dq)?,
        coefficient: uint(&crt.qinv)?,
        other_prime_infos: None,
    };
    Ok(Zeroizing::new(key.to_der().map_err(bad)?))
}

fn uint(number: &[u8]) -> Result<UintRef<'_>> {
    UintRef::new(number).map_err(bad)
}

/// RFC 8410's CurvePrivateKey: an OCTET STRING within the OCTET STRING.
fn inner(key: &[u8]) -> Result<&[u8]> {
    Ok(<&OctetStringRef>::from_der(key).map_err(bad)?.as_bytes())
}

fn octets(key: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let octets = OctetStringRef::new(key).map_err(bad)?;
    Ok(Zeroizing::new(octets.to_der().map_err(bad)?))
}

fn info(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let key = OctetStringRef::new(key).map_err(bad)?;
    let info = PrivateKeyInfoRef::new(AlgorithmIdentifierRef { oid, parameters }, key);
    let document = SecretDocument::try_from(info).map_err(bad)?;
    Ok(document.to_bytes())
}
