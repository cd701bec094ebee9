//! HMAC, whole and truncated (PKCS#11 3.2, "HMAC").

use hsm_api::{Error, KeyType, MechId, Params, Result, Rv};
use hsm_crypto::Hash;

use super::{Call, Mech, Output, Shape, Unit, fault};
use crate::code::key_type as kt;

/// How many bytes of the MAC the caller wants, or the mechanism has.
pub(super) fn wanted(call: &Call<'_>, whole: usize) -> usize {
    match (call.params, call.mech.output) {
        (Params::MacLen(n), _) => usize::try_from(*n).unwrap_or(whole).min(whole),
        (_, Output::Fixed(n)) => n.min(whole),
        _ => whole,
    }
}

/// The primitives compare what they are given: a caller must not get away with a shorter MAC.
pub(super) fn check_len(signature: &[u8], wanted: usize) -> Result<()> {
    if signature.len() == wanted {
        return Ok(());
    }
    Err(Error::new(
        Rv::SIGNATURE_LEN_RANGE,
        format!("the MAC has {wanted} bytes"),
    ))
}

fn sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let mac = call
        .key
        .secret()?
        .hmac(call.mech.hash, |key| key.mac(data))?;
    let len = wanted(call, mac.len());
    out[..len].copy_from_slice(&mac[..len]);
    Ok(len)
}

fn verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    check_len(signature, wanted(call, call.mech.hash.map_or(0, Hash::len)))?;
    let mut mac = call
        .key
        .secret()?
        .hmac(call.mech.hash, hsm_crypto::HmacKey::start)?;
    mac.update(data);
    mac.verify(signature).map_err(fault::signature)
}

const fn whole(code: u64, name: &'static str, hash: Hash, keys: &'static [KeyType]) -> Mech {
    Mech {
        id: MechId(code),
        name,
        keys,
        sizes: (1, 4096),
        unit: Unit::Bytes,
        legacy: matches!(hash, Hash::Md5),
        hash: Some(hash),
        output: Output::Fixed(hash.len()),
        sign: Some(sign),
        verify: Some(verify),
        stream: Some(|call, _op| {
            let mac = call
                .key
                .secret()?
                .hmac(call.mech.hash, hsm_crypto::HmacKey::start)?;
            Ok(Box::new(mac))
        }),
        ..Mech::REFUSES
    }
}

const fn general(code: u64, name: &'static str, hash: Hash, keys: &'static [KeyType]) -> Mech {
    Mech {
        params: Shape::MacLen,
        output: Output::MacLen,
        ..whole(code, name, hash, keys)
    }
}

macro_rules! rows {
    ($($id:ident $gen_id:ident $code:literal $hash:ident $key:ident;)*) => {
        $(
            static $id: Mech = whole(
                $code, concat!("CKM_", stringify!($id)), Hash::$hash, &[kt::GENERIC_SECRET, kt::$key]);
            static $gen_id: Mech = general(
                $code + 1, concat!("CKM_", stringify!($gen_id)), Hash::$hash, &[kt::GENERIC_SECRET, kt::$key]);
        )*
        pub(super) static ALL: &[&Mech] = &[$(&$id, &$gen_id),*];
    };
}

rows! {
    MD5_HMAC MD5_HMAC_GENERAL 0x211 Md5 MD5_HMAC;
    SHA_1_HMAC SHA_1_HMAC_GENERAL 0x221 Sha1 SHA_1_HMAC;
    SHA256_HMAC SHA256_HMAC_GENERAL 0x251 Sha256 SHA256_HMAC;
    SHA224_HMAC SHA224_HMAC_GENERAL 0x256 Sha224 SHA224_HMAC;
    SHA512_224_HMAC SHA512_224_HMAC_GENERAL 0x49 Sha512_224 SHA512_224_HMAC;
    SHA512_256_HMAC SHA512_256_HMAC_GENERAL 0x4D Sha512_256 SHA512_256_HMAC;
    SHA384_HMAC SHA384_HMAC_GENERAL 0x261 Sha384 SHA384_HMAC;
    SHA512_HMAC SHA512_HMAC_GENERAL 0x271 Sha512 SHA512_HMAC;
    SHA3_256_HMAC SHA3_256_HMAC_GENERAL 0x2B1 Sha3_256 SHA3_256_HMAC;
    SHA3_224_HMAC SHA3_224_HMAC_GENERAL 0x2B6 Sha3_224 SHA3_224_HMAC;
    SHA3_384_HMAC SHA3_384_HMAC_GENERAL 0x2C1 Sha3_384 SHA3_384_HMAC;
    SHA3_512_HMAC SHA3_512_HMAC_GENERAL 0x2D1 Sha3_512 SHA3_512_HMAC;
}
