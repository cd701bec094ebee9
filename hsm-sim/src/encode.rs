//! Keys as bytes to be wrapped: a secret key's value, a private key's PKCS#8.

use hsm_api::{Error, Result, Rv, Value};
use hsm_crypto::{PrivateKey, PublicKey};
use postcard::ser_flavors::Size;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::attr;
use crate::code::{class, key_type as kt};
use crate::material::Material;
use crate::object::Attrs;

/// A value that holds secrets as postcard has it, in memory taken at once: a vector that grows leaves
/// what it held behind, unwiped.
///
/// # Errors
/// DEVICE_ERROR.
pub(crate) fn secret<T: Serialize + ?Sized>(value: &T) -> Result<Zeroizing<Vec<u8>>> {
    let broken = |_| Error::new(Rv::DEVICE_ERROR, "a value cannot be encoded");
    let size = postcard::serialize_with_flavor(value, Size::default()).map_err(broken)?;
    let whole = Vec::with_capacity(size);
    postcard::to_extend(value, whole)
        .map(Zeroizing::new)
        .map_err(broken)
}

fn no_encoding() -> Error {
    Error::new(Rv::KEY_NOT_WRAPPABLE, "the key has no encoding to wrap")
}

/// What C_WrapKey encrypts.
///
/// # Errors
/// KEY_NOT_WRAPPABLE.
pub(crate) fn encode(attrs: &Attrs) -> Result<Zeroizing<Vec<u8>>> {
    if class::is_secret(attrs.class()) {
        return Ok(Zeroizing::new(
            attrs.bytes(attr::VALUE).unwrap_or_default().to_vec(),
        ));
    }
    let key = match Material::parse(attrs.class(), attrs.key_type(), attrs)? {
        Material::Rsa(key) => PrivateKey::Rsa(key),
        Material::Dsa(key) => PrivateKey::Dsa(key),
        Material::Dh(key) => PrivateKey::Dh(key),
        Material::Ec(key) => PrivateKey::Ec(key),
        Material::Ed { key, .. } => PrivateKey::Ed(key),
        Material::X(key) => PrivateKey::X(key),
        Material::Ed448(key) => PrivateKey::Ed448(key),
        Material::X448(key) => PrivateKey::X448(key),
        Material::MlDsa(key) => PrivateKey::MlDsa(key),
        Material::MlKem(key) => PrivateKey::MlKem(key),
        Material::Slh(key) => PrivateKey::Slh(key),
        Material::Secret(_) | Material::Nothing => return Err(no_encoding()),
    };
    key.to_pkcs8().map_err(|_| no_encoding())
}

/// Whether so many zeros may fill up a block behind a secret key. Whether they are zeros decides on C_UnwrapKey's success;
/// were it one of them, or a few, whoever chooses the block before could find the key behind them byte by byte.
pub(crate) fn fills(zeros: usize, block: usize) -> bool {
    (8..block).contains(&zeros)
}

/// The reverse of [`encode`], into the attributes of a key that is being unwrapped, of a mechanism with blocks of this
/// length.
///
/// # Errors
/// WRAPPED_KEY_INVALID; WRAPPED_KEY_LEN_RANGE where its length is not the template's or its type's (5.18.4); TEMPLATE_INCONSISTENT where the key is of another type than the template says.
pub(crate) fn decode(plain: &[u8], block: usize, attrs: &mut Attrs) -> Result<()> {
    let invalid = || {
        Error::new(
            Rv::WRAPPED_KEY_INVALID,
            "what was unwrapped is not a key of this kind",
        )
    };
    if class::is_secret(attrs.class()) {
        let fixed = kt::fixed_len(attrs.key_type()).map(|len| len as u64);
        let len = attrs
            .ulong(attr::VALUE_LEN)
            .or(fixed)
            .map_or(Ok(plain.len()), usize::try_from);
        let (value, rest) = len
            .ok()
            .and_then(|len| plain.split_at_checked(len))
            .filter(|(value, _)| kt::takes_len(attrs.key_type(), value.len()))
            .ok_or_else(|| {
                let why = "the unwrapped value has not the length of CKA_VALUE_LEN or the key type";
                Error::new(Rv::WRAPPED_KEY_LEN_RANGE, why)
            })?;
        // The length takes off what C_WrapKey put there and nothing else: of a key that comes in by its first byte, then
        // by its first two, an HMAC tells each byte.
        if !(rest.is_empty() || fills(rest.len(), block) && rest.iter().all(|&b| b == 0)) {
            return Err(Error::new(
                Rv::WRAPPED_KEY_LEN_RANGE,
                "CKA_VALUE_LEN or the key type would cut off something else than a block's padding with zeros",
            ));
        }
        attrs.set(attr::VALUE, Value::Bytes(value.to_vec()));
        return Ok(());
    }
    let key = PrivateKey::from_pkcs8(unpadded(plain)).map_err(|_| invalid())?;
    let fault = |_| invalid();
    match (attrs.key_type(), key) {
        (kt::RSA, PrivateKey::Rsa(key)) => crate::mech::rsa::fill_private(&key, attrs)?,
        (kt::DSA, PrivateKey::Dsa(key)) => crate::mech::field::fill_dsa(&key, attrs)?,
        (kt::DH, PrivateKey::Dh(key)) => crate::mech::field::fill_dh(&key, attrs)?,
        (kt::EC, PrivateKey::Ec(key)) => {
            let scalar = key.scalar().map_err(fault)?;
            set_curve_key(attrs, key.curve().oid_der(), &scalar);
        }
        (kt::EC_EDWARDS, PrivateKey::Ed(key)) => {
            let seed = key.seed().map_err(fault)?;
            set_curve_key(attrs, hsm_crypto::EdKey::OID_DER, &seed[..]);
        }
        (kt::EC_MONTGOMERY, PrivateKey::X(key)) => {
            set_curve_key(attrs, hsm_crypto::XKey::OID_DER, &key.private()[..]);
        }
        (kt::EC_EDWARDS, PrivateKey::Ed448(key)) => {
            let seed = key.seed().map_err(fault)?;
            set_curve_key(attrs, hsm_crypto::Ed448Key::OID_DER, seed);
        }
        (kt::EC_MONTGOMERY, PrivateKey::X448(key)) => {
            set_curve_key(attrs, hsm_crypto::X448Key::OID_DER, &key.private()[..]);
        }
        (kt::ML_DSA, PrivateKey::MlDsa(key)) => {
            let value = key.expanded().map_err(fault)?;
            set_of_parameters(attrs, key.set() as u64 + 1, key.seed().ok(), &value);
        }
        (kt::ML_KEM, PrivateKey::MlKem(key)) => {
            let value = key.expanded().map_err(fault)?;
            set_of_parameters(attrs, key.set() as u64 + 1, key.seed().ok(), &value);
        }
        (kt::SLH_DSA, PrivateKey::Slh(key)) => {
            let value = key.private().map_err(fault)?;
            set_of_parameters(attrs, key.set() as u64 + 1, None, value);
        }
        _ => {
            return Err(Error::new(
                Rv::TEMPLATE_INCONSISTENT,
                "the wrapped key is not of the type that the template names",
            ));
        }
    }
    Ok(())
}

fn set_curve_key(attrs: &mut Attrs, params: &[u8], value: &[u8]) {
    attrs.set(attr::EC_PARAMS, Value::Bytes(params.to_vec()));
    attrs.set(attr::VALUE, Value::Bytes(value.to_vec()));
}

fn set_of_parameters(attrs: &mut Attrs, set: u64, seed: Option<Zeroizing<Vec<u8>>>, value: &[u8]) {
    attrs.set(attr::PARAMETER_SET, Value::Ulong(set));
    attrs.set(attr::VALUE, Value::Bytes(value.to_vec()));
    if let Some(seed) = seed {
        attrs.set(attr::SEED, Value::Bytes(seed.to_vec()));
    }
}

/// Block modes without padding leave zeros behind the structure, whose own header says where it ends.
fn unpadded(plain: &[u8]) -> &[u8] {
    let mut rest = plain;
    match crate::der::take(0x30, &mut rest) {
        Some(_) => &plain[..plain.len() - rest.len()],
        None => plain,
    }
}

/// The SubjectPublicKeyInfo of either half of a pair; empty where it has none.
pub(crate) fn public_key_info(material: Material, attrs: &Attrs) -> Vec<u8> {
    let key = match material {
        Material::Rsa(key) => PublicKey::Rsa(key),
        Material::Dsa(key) => PublicKey::Dsa(key),
        Material::Dh(key) => PublicKey::Dh(key),
        Material::Ec(key) => PublicKey::Ec(key),
        Material::Ed { key, .. } => PublicKey::Ed(key),
        Material::Ed448(key) => PublicKey::Ed448(key),
        Material::X(key) => PublicKey::X(*key.public()),
        Material::X448(key) => PublicKey::X448(*key.public()),
        Material::MlDsa(key) => PublicKey::MlDsa(key),
        Material::MlKem(key) => PublicKey::MlKem(key),
        Material::Slh(key) => PublicKey::Slh(key),
        _ if attrs.key_type() == kt::EC_MONTGOMERY => {
            let point = crate::der::point(attrs.bytes(attr::EC_POINT).unwrap_or_default());
            if let Ok(point) = point.try_into() {
                PublicKey::X(point)
            } else if let Ok(point) = point.try_into() {
                PublicKey::X448(point)
            } else {
                return Vec::new();
            }
        }
        _ => return Vec::new(),
    };
    key.to_spki().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_secret_never_moved() {
        let value = vec![vec![7u8; 1000]; 9];
        let encoded = secret(&value).unwrap();
        assert_eq!(encoded[..], postcard::to_allocvec(&value).unwrap());
        assert_eq!(encoded.capacity(), encoded.len(), "taken at once");
    }
}
