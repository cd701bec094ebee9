//! Keys as bytes to be wrapped: a secret key's value, a private key's PKCS#8 (RFC 5208, 5915, 8017).

use hsm_api::{Error, Result, Rv, Value};
use hsm_crypto::Curve;
use zeroize::Zeroizing;

use crate::attr;
use crate::code::{class, key_type as kt};
use crate::der;
use crate::object::Attrs;

/// AlgorithmIdentifier of rsaEncryption.
pub(crate) const RSA_ALGORITHM: &[u8] =
    b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const RSA_OID: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// id-ecPublicKey, with its header.
pub(crate) const EC_OID: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";

/// What C_WrapKey encrypts.
///
/// # Errors
/// KEY_NOT_WRAPPABLE.
pub(crate) fn encode(attrs: &Attrs) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = |ty| attrs.bytes(ty).unwrap_or_default();
    let whole = match (attrs.class(), attrs.key_type()) {
        (class::SECRET, _) => bytes(attr::VALUE).to_vec(),
        (class::PRIVATE, kt::RSA) => {
            let numbers = RSA_NUMBERS.map(|ty| Zeroizing::new(der::integer(bytes(ty))));
            let mut body = Zeroizing::new(der::integer(&[0]));
            numbers.iter().for_each(|n| body.extend_from_slice(n));
            let key = Zeroizing::new(der::tlv(0x30, &body));
            pkcs8(RSA_ALGORITHM, &key)
        }
        (class::PRIVATE, kt::EC) => {
            let params = bytes(attr::EC_PARAMS);
            let oid = Curve::from_ec_params(params).map_or(params, |c| c.oid_der());
            let key = Zeroizing::new(der::sequence(&[
                &der::integer(&[1]),
                &Zeroizing::new(der::octet_string(bytes(attr::VALUE))),
            ]));
            pkcs8(&der::sequence(&[EC_OID, oid]), &key)
        }
        _ => {
            return Err(Error::new(
                Rv::KEY_NOT_WRAPPABLE,
                "only secret and private keys have an encoding to wrap",
            ));
        }
    };
    Ok(Zeroizing::new(whole))
}

const RSA_NUMBERS: [hsm_api::AttrType; 8] = [
    attr::MODULUS,
    attr::PUBLIC_EXPONENT,
    attr::PRIVATE_EXPONENT,
    attr::PRIME_1,
    attr::PRIME_2,
    attr::EXPONENT_1,
    attr::EXPONENT_2,
    attr::COEFFICIENT,
];

fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let key = Zeroizing::new(der::octet_string(key));
    der::sequence(&[&der::integer(&[0]), algorithm, &key])
}

/// The reverse of [`encode`], into the attributes of a key that is being unwrapped.
///
/// # Errors
/// WRAPPED_KEY_INVALID, TEMPLATE_INCONSISTENT where the key is of another type than the template says.
pub(crate) fn decode(plain: &[u8], attrs: &mut Attrs) -> Result<()> {
    if attrs.class() == class::SECRET {
        let len = attrs
            .ulong(attr::VALUE_LEN)
            .map_or(Ok(plain.len()), usize::try_from);
        let value = len
            .ok()
            .and_then(|len| plain.get(..len))
            .ok_or_else(invalid)?;
        attrs.set(attr::VALUE, Value::Bytes(value.to_vec()));
        return Ok(());
    }
    let input = &mut &plain[..];
    let body = &mut der::take(0x30, input).ok_or_else(invalid)?;
    der::take_integer(body).ok_or_else(invalid)?;
    let algorithm = &mut der::take(0x30, body).ok_or_else(invalid)?;
    let key = der::take(4, body).ok_or_else(invalid)?;
    let oid = der::take(6, algorithm).ok_or_else(invalid)?;
    let fits = match attrs.key_type() {
        kt::RSA => oid == RSA_OID,
        kt::EC => oid == &EC_OID[2..],
        _ => false,
    };
    if !fits {
        return Err(Error::new(
            Rv::TEMPLATE_INCONSISTENT,
            "the wrapped key is not of the type that the template names",
        ));
    }
    let key = &mut der::take(0x30, &mut &key[..]).ok_or_else(invalid)?;
    der::take_integer(key).ok_or_else(invalid)?;
    if attrs.key_type() == kt::RSA {
        for ty in RSA_NUMBERS {
            let number = der::take_integer(key).ok_or_else(invalid)?;
            attrs.set(ty, Value::Bytes(number.to_vec()));
        }
    } else {
        let scalar = der::take(4, key).ok_or_else(invalid)?;
        attrs.set(attr::VALUE, Value::Bytes(scalar.to_vec()));
        attrs.set(attr::EC_PARAMS, Value::Bytes(algorithm.to_vec()));
    }
    Ok(())
}

fn invalid() -> Error {
    Error::new(
        Rv::WRAPPED_KEY_INVALID,
        "what was unwrapped is not a key of this kind",
    )
}
