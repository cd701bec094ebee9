//! Elliptic curves (PKCS#11 3.2, "Elliptic Curve").

use std::borrow::Cow;

use hsm_api::{Error, MechId, Op, Params, Result, Rv, Secret, Value};
use hsm_crypto::{EcKey, Hash};

use super::stream::HashThen;
use super::{Call, Cut, Mech, Output, Shape, Unit, Wanted, fault};
use crate::attr;
use crate::code::key_type as kt;
use crate::der;
use crate::material::{Material, curve};
use crate::object::Attrs;

fn sign(call: &Call<'_>, digest: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key.ec()?.sign(digest, out).map_err(fault::data)
}

fn verify(call: &Call<'_>, digest: &[u8], signature: &[u8]) -> Result<()> {
    let key = call.key.ec()?;
    key.verify(digest, &at_full_length(signature, key.curve().scalar_len()))
        .map_err(fault::signature)
}

/// A signature to be verified may be shorter than two scalars: r and s without leading zeros that neither needs, of one
/// length ("EC signatures"). Java's provider makes such ones. What is not of that form stays as it is, to be refused.
fn at_full_length(signature: &[u8], scalar: usize) -> Cow<'_, [u8]> {
    let half = signature.len() / 2;
    if signature.is_empty() || !signature.len().is_multiple_of(2) || half >= scalar {
        return Cow::Borrowed(signature);
    }
    let mut full = vec![0; 2 * scalar];
    full[scalar - half..scalar].copy_from_slice(&signature[..half]);
    full[2 * scalar - half..].copy_from_slice(&signature[half..]);
    Cow::Owned(full)
}

fn hash(call: &Call<'_>) -> Result<Hash> {
    call.mech.hash.ok_or_else(|| Rv::MECHANISM_INVALID.into())
}

fn generate_pair(
    _mech: &'static Mech,
    _params: &Params<'_>,
    public: &mut Attrs,
    private: &mut Attrs,
) -> Result<()> {
    let params = public.bytes(attr::EC_PARAMS).unwrap_or_default().to_vec();
    let curve = curve(&params)?;
    let key = EcKey::generate(curve).map_err(fault::template)?;
    let point = key.point().map_err(fault::template)?;
    let scalar = key.scalar().map_err(fault::template)?;
    public.set(attr::EC_POINT, Value::Bytes(der::octet_string(&point)));
    private.set(attr::EC_PARAMS, Value::Bytes(params));
    private.set(attr::VALUE, Value::Bytes(scalar.to_vec()));
    Ok(())
}

/// CK_EC_KDF_TYPE: the hash, and whether the counter goes first (SP 800-56C instead of X9.63).
fn kdf_of(kdf: u64) -> Option<(Hash, bool)> {
    let (hash, counter_first) = match kdf {
        2 => (Hash::Sha1, false),
        5 => (Hash::Sha224, false),
        6 => (Hash::Sha256, false),
        7 => (Hash::Sha384, false),
        8 => (Hash::Sha512, false),
        10 => (Hash::Sha3_224, false),
        11 => (Hash::Sha3_256, false),
        12 => (Hash::Sha3_384, false),
        13 => (Hash::Sha3_512, false),
        14 => (Hash::Sha1, true),
        15 => (Hash::Sha224, true),
        16 => (Hash::Sha256, true),
        17 => (Hash::Sha384, true),
        18 => (Hash::Sha512, true),
        19 => (Hash::Sha3_224, true),
        20 => (Hash::Sha3_256, true),
        21 => (Hash::Sha3_384, true),
        22 => (Hash::Sha3_512, true),
        _ => return None,
    };
    Some((hash, counter_first))
}

fn ecdh(call: &Call<'_>, wanted: &Wanted<'_>) -> Result<Secret> {
    let Params::Ecdh {
        kdf,
        shared,
        public,
    } = call.params
    else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let bad = |why: String| Error::new(Rv::MECHANISM_PARAM_INVALID, why);
    const NULL: u64 = 1;
    if *kdf == NULL && !shared.is_empty() {
        return Err(bad("CKD_NULL takes no shared data".to_owned()));
    }
    let function = kdf_of(*kdf);
    if *kdf != NULL && function.is_none() {
        return Err(bad(format!("unknown KDF {kdf:#x}")));
    }
    let z = agree(call.key, public)?;
    let Some((hash, counter_first)) = function else {
        return Ok(z);
    };
    let want = wanted.len.ok_or_else(|| {
        Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "a key derivation function needs CKA_VALUE_LEN",
        )
    })?;
    if want > 4096 {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            "no more than 4096 bytes are derived",
        ));
    }
    let mut key = vec![0; want];
    let derive = if counter_first {
        hsm_crypto::kdf::sp800_56c
    } else {
        hsm_crypto::kdf::x963
    };
    derive(hash, z.expose(), shared, &mut key).map_err(fault::data)?;
    Ok(Secret::new(key))
}

/// Clients send the point bare or in an octet string; the specification asks for both to be taken.
fn agree(key: &Material, public: &[u8]) -> Result<Secret> {
    let point = der::point(public);
    let shared = match key {
        Material::X(key) => key.agree(point).map(|z| z.to_vec()),
        Material::X448(key) => key.agree(point).map(|z| z.to_vec()),
        key => {
            let key = key.ec()?;
            let mut z = vec![0; key.curve().field_len()];
            key.ecdh(point, &mut z)
                .or_else(|_| key.ecdh(public, &mut z))
                .map(|_| z)
        }
    };
    shared.map(Secret::new).map_err(|_| {
        Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "the other side's point is not on this key's curve",
        )
    })
}

const EC: Mech = Mech {
    keys: &[kt::EC],
    sizes: (224, 521),
    unit: Unit::Bits,
    output: Output::Signature,
    ..Mech::REFUSES
};

static KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x1040),
    name: "CKM_EC_KEY_PAIR_GEN",
    generate_pair: Some(generate_pair),
    ..EC
};

/// The caller has hashed already.
static ECDSA: Mech = Mech {
    id: MechId(0x1041),
    name: "CKM_ECDSA",
    sign: Some(sign),
    verify: Some(verify),
    ..EC
};

static ECDH1_DERIVE: Mech = Mech {
    id: MechId(0x1050),
    name: "CKM_ECDH1_DERIVE",
    keys: &[kt::EC, kt::EC_MONTGOMERY],
    sizes: (224, 521),
    params: Shape::Ecdh,
    output: Output::Nothing,
    derive: Some(ecdh),
    cut: Cut::Leading,
    ..EC
};

/// All our curves have cofactor 1, so this is the same.
static ECDH1_COFACTOR_DERIVE: Mech = Mech {
    id: MechId(0x1051),
    name: "CKM_ECDH1_COFACTOR_DERIVE",
    keys: &[kt::EC, kt::EC_MONTGOMERY],
    sizes: (224, 521),
    params: Shape::Ecdh,
    output: Output::Nothing,
    derive: Some(ecdh),
    cut: Cut::Leading,
    ..EC
};

const fn hashed(code: u64, name: &'static str, of: Hash) -> Mech {
    Mech {
        id: MechId(code),
        name,
        hash: Some(of),
        sign: Some(|call, data, out| sign(call, &hash(call)?.digest(data), out)),
        verify: Some(|call, data, sig| verify(call, &hash(call)?.digest(data), sig)),
        stream: Some(|call, _: Op| Ok(HashThen::open(hash(call)?, sign, verify))),
        ..EC
    }
}

macro_rules! rows {
    ($($id:ident $code:literal $hash:ident;)*) => {
        $(static $id: Mech = hashed($code, concat!("CKM_", stringify!($id)), Hash::$hash);)*
        pub(super) static ALL: &[&Mech] =
            &[&KEY_PAIR_GEN, &ECDSA, &ECDH1_DERIVE, &ECDH1_COFACTOR_DERIVE, $(&$id),*];
    };
}

rows! {
    ECDSA_SHA1 0x1042 Sha1;
    ECDSA_SHA224 0x1043 Sha224;
    ECDSA_SHA256 0x1044 Sha256;
    ECDSA_SHA384 0x1045 Sha384;
    ECDSA_SHA512 0x1046 Sha512;
    ECDSA_SHA3_224 0x1047 Sha3_224;
    ECDSA_SHA3_256 0x1048 Sha3_256;
    ECDSA_SHA3_384 0x1049 Sha3_384;
    ECDSA_SHA3_512 0x104A Sha3_512;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_signatures_get_their_leading_zeros_back() {
        assert_eq!(*at_full_length(&[1, 2], 3), [0, 0, 1, 0, 0, 2]);
        assert_eq!(*at_full_length(&[1, 2, 3, 4], 3), [0, 1, 2, 0, 3, 4]);
        for whole in [&[][..], &[1], &[1, 2, 3], &[1, 2, 3, 4, 5, 6], &[0; 8]] {
            assert_eq!(*at_full_length(whole, 3), *whole);
        }
    }
}
