//! A key as the algorithms want it: parsed and expanded once, at its first use, and kept with its object.

use std::sync::{Arc, OnceLock};

use hsm_api::{Class, Error, KeyType, Result, Rv};
use hsm_crypto::pq::{MlDsaKey, MlKemKey};
use hsm_crypto::rsa::{Crt, Parts};
use hsm_crypto::{
    AesKey, Curve, DesKey, DhKey, DsaKey, EcKey, Ed448Key, EdKey, GcmKey, Hash, HmacKey, RsaKey,
    SlhKey, X448Key, XKey, XtsKey,
};
use zeroize::Zeroizing;

use crate::code::{class, key_type as kt};
use crate::mech::{field, pq, slh};
use crate::object::{self, Attrs};
use crate::{attr, der};

/// An expanded key.
pub enum Material {
    /// An object that is no key, or a digest's lack of one.
    Nothing,
    #[allow(missing_docs)]
    Secret(SecretKey),
    #[allow(missing_docs)]
    Rsa(RsaKey),
    #[allow(missing_docs)]
    Dsa(DsaKey),
    #[allow(missing_docs)]
    Dh(DhKey),
    #[allow(missing_docs)]
    Ec(EcKey),
    /// Ed25519, and whether CKA_EC_PARAMS has the curve's name; see [`KeyFacts::named_curve`](hsm_api::KeyFacts).
    #[allow(missing_docs)]
    Ed { key: EdKey, named: bool },
    #[allow(missing_docs)]
    Ed448(Ed448Key),
    /// The private half; an X25519 public key is nothing but bytes.
    X(XKey),
    /// The same of X448.
    X448(X448Key),
    #[allow(missing_docs)]
    MlDsa(MlDsaKey),
    #[allow(missing_docs)]
    MlKem(MlKemKey),
    #[allow(missing_docs)]
    Slh(SlhKey),
}

/// A secret key. Which expansions it needs depends on the mechanisms that it meets, so each is made
/// when it is first asked for.
pub struct SecretKey {
    value: Zeroizing<Vec<u8>>,
    aes: OnceLock<Arc<AesKey>>,
    gcm: OnceLock<GcmKey>,
    hmac: OnceLock<Box<HmacKey>>,
    rare: OnceLock<Rare>,
}

/// Expansions that few keys have; a key's type has one of them at most.
enum Rare {
    Xts(Box<XtsKey>),
    Des(Arc<DesKey>),
}

pub(crate) fn mismatch() -> Error {
    Error::new(
        Rv::KEY_TYPE_INCONSISTENT,
        "the key is not of the kind that the mechanism needs",
    )
}

fn broken(fault: hsm_crypto::Error) -> Error {
    Error::new(Rv::KEY_SIZE_RANGE, fault.to_string())
}

impl SecretKey {
    fn new(value: &[u8]) -> Self {
        SecretKey {
            value: Zeroizing::new(value.to_vec()),
            aes: OnceLock::new(),
            gcm: OnceLock::new(),
            hmac: OnceLock::new(),
            rare: OnceLock::new(),
        }
    }

    /// The bare value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// For the block modes.
    ///
    /// # Errors
    /// KEY_SIZE_RANGE.
    pub fn aes(&self) -> Result<&Arc<AesKey>> {
        if let Some(key) = self.aes.get() {
            return Ok(key);
        }
        let key = Arc::new(AesKey::new(&self.value).map_err(broken)?);
        Ok(self.aes.get_or_init(|| key))
    }

    /// For GCM.
    ///
    /// # Errors
    /// KEY_SIZE_RANGE.
    pub fn gcm(&self) -> Result<&GcmKey> {
        if let Some(key) = self.gcm.get() {
            return Ok(key);
        }
        let key = GcmKey::new(&self.value).map_err(broken)?;
        Ok(self.gcm.get_or_init(|| key))
    }

    /// For XTS.
    ///
    /// # Errors
    /// KEY_SIZE_RANGE.
    pub fn xts(&self) -> Result<&XtsKey> {
        if self.rare.get().is_none() {
            let key = XtsKey::new(&self.value).map_err(broken)?;
            let _ = self.rare.set(Rare::Xts(Box::new(key)));
        }
        match self.rare.get() {
            Some(Rare::Xts(key)) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// For triple DES.
    ///
    /// # Errors
    /// KEY_SIZE_RANGE.
    pub fn des(&self) -> Result<&Arc<DesKey>> {
        if self.rare.get().is_none() {
            let key = DesKey::new(&self.value).map_err(broken)?;
            let _ = self.rare.set(Rare::Des(Arc::new(key)));
        }
        match self.rare.get() {
            Some(Rare::Des(key)) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// For HMAC. A key as a rule serves one hash: that one is kept, another is expanded for the call.
    ///
    /// # Errors
    /// MECHANISM_INVALID without a hash.
    pub fn hmac<T>(&self, hash: Option<Hash>, work: impl FnOnce(&HmacKey) -> T) -> Result<T> {
        let hash = hash.ok_or(Rv::MECHANISM_INVALID)?;
        if let Some(key) = self.hmac.get().filter(|k| k.hash() == hash) {
            return Ok(work(key));
        }
        let key = HmacKey::new(hash, &self.value).map_err(broken)?;
        if self.hmac.get().is_none() {
            let kept = self.hmac.get_or_init(|| Box::new(key));
            if kept.hash() == hash {
                return Ok(work(kept));
            }
            return Ok(work(&HmacKey::new(hash, &self.value).map_err(broken)?));
        }
        Ok(work(&key))
    }
}

impl Material {
    /// Parses a key's attributes.
    ///
    /// # Errors
    /// ATTRIBUTE_VALUE_INVALID where the numbers are no key, CURVE_NOT_SUPPORTED, DOMAIN_PARAMS_INVALID.
    pub fn parse(class: Class, key_type: KeyType, attrs: &Attrs) -> Result<Material> {
        use crate::mech::fault::template as fault;
        let bytes = |ty| attrs.bytes(ty).unwrap_or_default();
        Ok(match (class, key_type) {
            (of, _) if class::is_secret(of) => Material::Secret(SecretKey::new(bytes(attr::VALUE))),
            (class::PUBLIC, kt::RSA) => Material::Rsa(
                RsaKey::from_public(bytes(attr::MODULUS), bytes(attr::PUBLIC_EXPONENT))
                    .map_err(fault)?,
            ),
            (class::PRIVATE, kt::RSA) => {
                Material::Rsa(RsaKey::from_parts(&rsa_parts(attrs)).map_err(fault)?)
            }
            (class::PUBLIC, kt::DSA) => Material::Dsa(
                DsaKey::from_public(field::domain(attrs)?, bytes(attr::VALUE)).map_err(fault)?,
            ),
            (class::PRIVATE, kt::DSA) => Material::Dsa(
                DsaKey::from_private(field::domain(attrs)?, bytes(attr::VALUE)).map_err(fault)?,
            ),
            (class::PUBLIC, kt::DH) => Material::Dh(
                DhKey::from_public(field::group(attrs)?, bytes(attr::VALUE)).map_err(fault)?,
            ),
            (class::PRIVATE, kt::DH) => Material::Dh(
                DhKey::from_private(field::group(attrs)?, bytes(attr::VALUE)).map_err(fault)?,
            ),
            (class::PUBLIC, kt::EC) => {
                let curve = curve(bytes(attr::EC_PARAMS))?;
                let wrapped = bytes(attr::EC_POINT);
                let point = der::point(wrapped);
                let key = EcKey::from_point(curve, point)
                    .or_else(|_| EcKey::from_point(curve, wrapped))
                    .map_err(fault)?;
                Material::Ec(key)
            }
            (class::PRIVATE, kt::EC) => {
                let curve = curve(bytes(attr::EC_PARAMS))?;
                Material::Ec(EcKey::from_scalar(curve, bytes(attr::VALUE)).map_err(fault)?)
            }
            (class::PUBLIC, kt::EC_EDWARDS) if Ed448Key::is_params(bytes(attr::EC_PARAMS)) => {
                let point = der::point(bytes(attr::EC_POINT));
                Material::Ed448(Ed448Key::from_public(point).map_err(fault)?)
            }
            (class::PRIVATE, kt::EC_EDWARDS) if Ed448Key::is_params(bytes(attr::EC_PARAMS)) => {
                Material::Ed448(Ed448Key::from_seed(bytes(attr::VALUE)).map_err(fault)?)
            }
            (class::PUBLIC, kt::EC_EDWARDS) => {
                known(
                    EdKey::is_params(bytes(attr::EC_PARAMS)),
                    bytes(attr::EC_PARAMS),
                )?;
                let point = der::point(bytes(attr::EC_POINT));
                Material::Ed {
                    key: EdKey::from_public(point).map_err(fault)?,
                    named: object::named_curve(attrs),
                }
            }
            (class::PRIVATE, kt::EC_EDWARDS) => {
                known(
                    EdKey::is_params(bytes(attr::EC_PARAMS)),
                    bytes(attr::EC_PARAMS),
                )?;
                Material::Ed {
                    key: EdKey::from_seed(bytes(attr::VALUE)).map_err(fault)?,
                    named: object::named_curve(attrs),
                }
            }
            (class::PRIVATE, kt::EC_MONTGOMERY) if X448Key::is_params(bytes(attr::EC_PARAMS)) => {
                Material::X448(X448Key::from_private(bytes(attr::VALUE)).map_err(fault)?)
            }
            (class::PUBLIC, kt::EC_MONTGOMERY) => {
                let x448 = X448Key::is_params(bytes(attr::EC_PARAMS));
                known(
                    x448 || XKey::is_params(bytes(attr::EC_PARAMS)),
                    bytes(attr::EC_PARAMS),
                )?;
                let len = if x448 { 56 } else { 32 };
                if der::point(bytes(attr::EC_POINT)).len() != len {
                    return Err(fault(hsm_crypto::Error::BadKey));
                }
                Material::Nothing
            }
            (class::PRIVATE, kt::EC_MONTGOMERY) => {
                known(
                    XKey::is_params(bytes(attr::EC_PARAMS)),
                    bytes(attr::EC_PARAMS),
                )?;
                Material::X(XKey::from_private(bytes(attr::VALUE)).map_err(fault)?)
            }
            (class::PUBLIC, kt::ML_DSA) => Material::MlDsa(
                MlDsaKey::from_public(pq::dsa_set(set(attrs)?)?, bytes(attr::VALUE))
                    .map_err(fault)?,
            ),
            (class::PRIVATE, kt::ML_DSA) => Material::MlDsa(
                MlDsaKey::from_private(pq::dsa_set(set(attrs)?)?, seed_or_value(attrs))
                    .map_err(fault)?,
            ),
            (class::PUBLIC, kt::ML_KEM) => Material::MlKem(
                MlKemKey::from_public(pq::kem_set(set(attrs)?)?, bytes(attr::VALUE))
                    .map_err(fault)?,
            ),
            (class::PRIVATE, kt::ML_KEM) => Material::MlKem(
                MlKemKey::from_private(pq::kem_set(set(attrs)?)?, seed_or_value(attrs))
                    .map_err(fault)?,
            ),
            (class::PUBLIC, kt::SLH_DSA) => Material::Slh(
                SlhKey::from_public(slh::slh_set(set(attrs)?)?, bytes(attr::VALUE))
                    .map_err(fault)?,
            ),
            (class::PRIVATE, kt::SLH_DSA) => Material::Slh(
                SlhKey::from_private(slh::slh_set(set(attrs)?)?, bytes(attr::VALUE))
                    .map_err(fault)?,
            ),
            _ => Material::Nothing,
        })
    }

    /// The secret key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn secret(&self) -> Result<&SecretKey> {
        match self {
            Material::Secret(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// The RSA key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn rsa(&self) -> Result<&RsaKey> {
        match self {
            Material::Rsa(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// The DSA key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn dsa(&self) -> Result<&DsaKey> {
        match self {
            Material::Dsa(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// The Diffie-Hellman key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn dh(&self) -> Result<&DhKey> {
        match self {
            Material::Dh(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// The ML-DSA key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn ml_dsa(&self) -> Result<&MlDsaKey> {
        match self {
            Material::MlDsa(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// The ML-KEM key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn ml_kem(&self) -> Result<&MlKemKey> {
        match self {
            Material::MlKem(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// The SLH-DSA key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn slh(&self) -> Result<&SlhKey> {
        match self {
            Material::Slh(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }

    /// The EC key that this is.
    ///
    /// # Errors
    /// KEY_TYPE_INCONSISTENT.
    pub fn ec(&self) -> Result<&EcKey> {
        match self {
            Material::Ec(key) => Ok(key),
            _ => Err(mismatch()),
        }
    }
}

fn set(attrs: &Attrs) -> Result<u64> {
    attrs
        .ulong(attr::PARAMETER_SET)
        .ok_or_else(|| Error::new(Rv::TEMPLATE_INCOMPLETE, "CKA_PARAMETER_SET is missing"))
}

/// The seed, where there is one: everything else follows from it.
fn seed_or_value(attrs: &Attrs) -> &[u8] {
    let seed = attrs.bytes(attr::SEED).filter(|seed| !seed.is_empty());
    seed.or(attrs.bytes(attr::VALUE)).unwrap_or_default()
}

/// Bytes of a signature by a key whose parameter set has this number.
pub(crate) fn signature_len(key_type: KeyType, set: u32) -> usize {
    match key_type {
        kt::ML_DSA => pq::dsa_set(set.into()).map_or(0, |s| s.lens().2),
        kt::SLH_DSA => slh::slh_set(set.into()).map_or(0, |s| s.lens().2),
        _ => 0,
    }
}

/// The curve that CKA_EC_PARAMS names.
pub(crate) fn curve(params: &[u8]) -> Result<Curve> {
    Curve::from_ec_params(params).map_err(|_| der::no_curve(params))
}

fn known(known: bool, params: &[u8]) -> Result<()> {
    known.then_some(()).ok_or_else(|| der::no_curve(params))
}

fn rsa_parts(attrs: &Attrs) -> Parts {
    let number = |ty| Zeroizing::new(attrs.bytes(ty).unwrap_or_default().to_vec());
    let whole = [
        attr::PRIME_1,
        attr::PRIME_2,
        attr::EXPONENT_1,
        attr::EXPONENT_2,
        attr::COEFFICIENT,
    ]
    .iter()
    .all(|&ty| attrs.bytes(ty).is_some_and(|n| !n.is_empty()));
    Parts {
        n: number(attr::MODULUS).to_vec(),
        e: number(attr::PUBLIC_EXPONENT).to_vec(),
        d: number(attr::PRIVATE_EXPONENT),
        crt: whole.then(|| Crt {
            p: number(attr::PRIME_1),
            q: number(attr::PRIME_2),
            dp: number(attr::EXPONENT_1),
            dq: number(attr::EXPONENT_2),
            qinv: number(attr::COEFFICIENT),
        }),
    }
}
