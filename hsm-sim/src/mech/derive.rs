//! Derivations without a key derivation function: concatenation, XOR, extraction, hashing, encryption
//! (PKCS#11 3.2, "Miscellaneous simple key derivation mechanisms", "Hash-based Key Derivation", "Key
//! derivation by data encryption").

use hsm_api::{Error, MechId, Params, Result, Rv, Secret};
use hsm_crypto::{Hash, PreHash, Xof};

use super::{Call, Mech, Shape, Unit, Wanted, fault};
use crate::code::key_type as kt;

fn data<'a>(call: &'a Call<'_>) -> Result<&'a [u8]> {
    match call.params {
        Params::Data(data) => Ok(data),
        _ => Err(Rv::MECHANISM_PARAM_INVALID.into()),
    }
}

const SIMPLE: Mech = Mech {
    keys: kt::SECRETS,
    sizes: (1, 8 * 4096),
    unit: Unit::Bits,
    inherits: true,
    ..Mech::REFUSES
};

static BASE_AND_KEY: Mech = Mech {
    id: MechId(0x360),
    name: "CKM_CONCATENATE_BASE_AND_KEY",
    params: Shape::Key,
    derive: Some(|call, wanted| {
        let Params::Key(other) = call.params else {
            return Err(Rv::MECHANISM_PARAM_INVALID.into());
        };
        let other = (wanted.key)(*other)?;
        let parts = [
            call.key.secret()?.value(),
            other.material()?.secret()?.value(),
        ];
        Ok(Secret::new(parts.concat()))
    }),
    ..SIMPLE
};

static BASE_AND_DATA: Mech = Mech {
    id: MechId(0x362),
    name: "CKM_CONCATENATE_BASE_AND_DATA",
    params: Shape::Data,
    derive: Some(|call, _| {
        Ok(Secret::new(
            [call.key.secret()?.value(), data(call)?].concat(),
        ))
    }),
    ..SIMPLE
};

/// CKM_CONCATENATE_DATA_AND_BASE.
pub(crate) const DATA_FIRST: MechId = MechId(0x363);

static DATA_AND_BASE: Mech = Mech {
    id: DATA_FIRST,
    name: "CKM_CONCATENATE_DATA_AND_BASE",
    params: Shape::Data,
    derive: Some(|call, _| {
        Ok(Secret::new(
            [data(call)?, call.key.secret()?.value()].concat(),
        ))
    }),
    ..SIMPLE
};

static XOR: Mech = Mech {
    id: MechId(0x364),
    name: "CKM_XOR_BASE_AND_DATA",
    params: Shape::Data,
    derive: Some(|call, _| {
        let pairs = call.key.secret()?.value().iter().zip(data(call)?);
        Ok(Secret::new(pairs.map(|(a, b)| a ^ b).collect()))
    }),
    ..SIMPLE
};

static EXTRACT: Mech = Mech {
    id: MechId(0x365),
    name: "CKM_EXTRACT_KEY_FROM_KEY",
    params: Shape::Bit,
    derive: Some(extract),
    ..SIMPLE
};

/// Bits from some place on, round the end to the beginning.
fn extract(call: &Call<'_>, wanted: &Wanted<'_>) -> Result<Secret> {
    let (Params::Bit(first), key) = (call.params, call.key.secret()?.value()) else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let bits = key.len() as u64 * 8;
    if *first >= bits {
        return Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            format!("the key has only {bits} bits"),
        ));
    }
    let len = wanted.len.ok_or_else(|| {
        Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "CKM_EXTRACT_KEY_FROM_KEY needs CKA_VALUE_LEN",
        )
    })?;
    if len > key.len() {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            "the base key has fewer bytes than that",
        ));
    }
    let (byte, shift) = ((*first / 8) as usize, *first % 8);
    let at = |i: usize| u16::from(key[(byte + i) % key.len()]);
    let taken = (0..len).map(|i| ((at(i) << 8 | at(i + 1)) << shift >> 8) as u8);
    Ok(Secret::new(taken.collect()))
}

/// AES over whole blocks of the caller's data, the base key being the cipher's.
fn encrypt_data(call: &Call<'_>, wanted: &Wanted<'_>) -> Result<Secret> {
    let key = call.key.secret()?.aes()?;
    let (iv, data) = match call.params {
        Params::CbcEncryptData { iv, data } => (Some(iv), data),
        Params::Data(data) => (None, data),
        _ => return Err(Rv::MECHANISM_PARAM_INVALID.into()),
    };
    if data.is_empty() || !data.len().is_multiple_of(16) {
        return Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "the data to encrypt is whole blocks of 16 bytes",
        ));
    }
    // Here it is the parameter that is too short for the key, not the base key.
    if wanted.len.is_some_and(|len| len > data.len()) {
        return Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            format!("{} bytes of data are too few for the key", data.len()),
        ));
    }
    let mut out = vec![0; data.len()];
    match iv {
        Some(iv) => {
            let iv = iv.as_ref().try_into();
            let mut iv: [u8; 16] = iv.map_err(|_| Rv::MECHANISM_PARAM_INVALID)?;
            key.cbc_encrypt(&mut iv, data, &mut out)
        }
        None => key.ecb_encrypt(data, &mut out),
    }
    .map_err(fault::data)?;
    Ok(Secret::new(out))
}

static ECB_ENCRYPT_DATA: Mech = Mech {
    id: MechId(0x1104),
    name: "CKM_AES_ECB_ENCRYPT_DATA",
    params: Shape::Data,
    derive: Some(encrypt_data),
    ..Mech::AES
};

static CBC_ENCRYPT_DATA: Mech = Mech {
    id: MechId(0x1105),
    name: "CKM_AES_CBC_ENCRYPT_DATA",
    params: Shape::CbcEncryptData(16),
    ..ECB_ENCRYPT_DATA_LIKE
};
const ECB_ENCRYPT_DATA_LIKE: Mech = Mech {
    derive: Some(encrypt_data),
    ..Mech::AES
};

const fn hashed(code: u64, name: &'static str, hash: PreHash) -> Mech {
    Mech {
        id: MechId(code),
        name,
        prehash: Some(hash),
        inherits: false,
        derive: Some(|call, _| {
            let hash = call.mech.prehash.ok_or(Rv::MECHANISM_INVALID)?;
            Ok(Secret::new(hash.digest(call.key.secret()?.value())))
        }),
        ..SIMPLE
    }
}

macro_rules! rows {
    ($($id:ident $code:literal $hash:expr;)*) => {
        $(static $id: Mech = hashed($code, concat!("CKM_", stringify!($id)), $hash);)*
        pub(super) static ALL: &[&Mech] = &[
            &BASE_AND_KEY, &BASE_AND_DATA, &DATA_AND_BASE, &XOR, &EXTRACT,
            &ECB_ENCRYPT_DATA, &CBC_ENCRYPT_DATA, $(&$id),*
        ];
    };
}

rows! {
    SHA1_KEY_DERIVATION 0x392 PreHash::Hash(Hash::Sha1);
    SHA256_KEY_DERIVATION 0x393 PreHash::Hash(Hash::Sha256);
    SHA384_KEY_DERIVATION 0x394 PreHash::Hash(Hash::Sha384);
    SHA512_KEY_DERIVATION 0x395 PreHash::Hash(Hash::Sha512);
    SHA224_KEY_DERIVATION 0x396 PreHash::Hash(Hash::Sha224);
    SHA512_224_KEY_DERIVATION 0x4B PreHash::Hash(Hash::Sha512_224);
    SHA512_256_KEY_DERIVATION 0x4F PreHash::Hash(Hash::Sha512_256);
    SHA3_256_KEY_DERIVATION 0x397 PreHash::Hash(Hash::Sha3_256);
    SHA3_224_KEY_DERIVATION 0x398 PreHash::Hash(Hash::Sha3_224);
    SHA3_384_KEY_DERIVATION 0x399 PreHash::Hash(Hash::Sha3_384);
    SHA3_512_KEY_DERIVATION 0x39A PreHash::Hash(Hash::Sha3_512);
    SHAKE_128_KEY_DERIVATION 0x39B PreHash::Xof(Xof::Shake128);
    SHAKE_256_KEY_DERIVATION 0x39C PreHash::Xof(Xof::Shake256);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr;
    use crate::code::class;
    use crate::material::Material;
    use crate::object::Attrs;

    fn derive(mech: &'static Mech, key: &[u8], params: &Params<'_>, len: Option<usize>) -> Vec<u8> {
        let mut attrs = Attrs::default();
        attrs.set(attr::VALUE, hsm_api::Value::Bytes(key.to_vec()));
        let key = Material::parse(class::SECRET, kt::GENERIC_SECRET, &attrs).unwrap();
        let call = Call {
            mech,
            key: &key,
            params,
        };
        let wanted = Wanted {
            len,
            more: &[],
            key: &|_| Err(Rv::KEY_HANDLE_INVALID.into()),
        };
        let secret = mech.derive.unwrap()(&call, &wanted).unwrap();
        secret.expose().to_vec()
    }

    #[test]
    fn the_specifications_examples() {
        let (key, data) = ([1, 0x23, 0x45, 0x67], [0x89, 0xAB, 0xCD, 0xEF]);
        let data = Params::Data((&data[..]).into());
        assert_eq!(
            derive(&BASE_AND_DATA, &key, &data, None),
            0x0123_4567_89AB_CDEF_u64.to_be_bytes()
        );
        assert_eq!(
            derive(&DATA_AND_BASE, &key, &data, None),
            0x89AB_CDEF_0123_4567_u64.to_be_bytes()
        );
        assert_eq!(derive(&XOR, &key, &data, None), [0x88; 4]);
        let key = [0x32, 0x9F, 0x84, 0xA9];
        assert_eq!(
            derive(&EXTRACT, &key, &Params::Bit(21), Some(2)),
            [0x95, 0x26]
        );
        assert_eq!(
            derive(&EXTRACT, &key, &Params::Bit(8), Some(4)),
            [0x9F, 0x84, 0xA9, 0x32]
        );
    }

    #[test]
    fn a_hash_is_the_hash_of_the_value() {
        assert_eq!(
            derive(&SHA256_KEY_DERIVATION, b"abc", &Params::None, None),
            &Hash::Sha256.digest(b"abc")[..]
        );
        assert_eq!(
            derive(&SHAKE_256_KEY_DERIVATION, b"abc", &Params::None, None).len(),
            64
        );
    }
}
