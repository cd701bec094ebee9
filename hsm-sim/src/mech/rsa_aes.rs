//! CKM_RSA_AES_KEY_WRAP: a key under a fresh AES key, and that under RSA-OAEP (PKCS#11 3.2, "RSA").
//! So keys of any length travel under an RSA key.

use hsm_api::{Error, MechId, Params, Result, Rv};
use hsm_crypto::{AesKey, Oaep, keywrap};
use zeroize::Zeroizing;

use super::{Call, Mech, Output, Shape, Unit, fault, hash_of, mgf_hash};
use crate::code::key_type as kt;

fn parts<'a>(call: &'a Call<'_>) -> Result<(usize, Oaep<'a>)> {
    let Params::RsaAesKeyWrap {
        aes_bits,
        hash,
        mgf,
        label,
    } = call.params
    else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let unknown = || Error::new(Rv::MECHANISM_PARAM_INVALID, "unknown hash or mask function");
    let oaep = Oaep {
        hash: hash_of(*hash).ok_or_else(unknown)?,
        mgf: mgf_hash(*mgf).ok_or_else(unknown)?,
        label,
    };
    Ok((*aes_bits as usize / 8, oaep))
}

fn wrap(call: &Call<'_>, key: &[u8], out: &mut [u8]) -> Result<usize> {
    let (len, oaep) = parts(call)?;
    let rsa = call.key.rsa()?;
    let mut fresh = Zeroizing::new([0; 32]);
    let fresh = &mut fresh[..len];
    hsm_crypto::rng::fill(fresh).map_err(|e| Error::new(Rv::RANDOM_NO_RNG, e.to_string()))?;
    let (head, tail) = out
        .split_at_mut_checked(rsa.size())
        .ok_or(Rv::BUFFER_TOO_SMALL)?;
    let first = rsa.encrypt_oaep(&oaep, fresh, head).map_err(fault::data)?;
    let kek = AesKey::new(fresh).map_err(fault::data)?;
    let second = keywrap::wrap_pad(&kek, &keywrap::KWP_IV, key, tail).map_err(fault::data)?;
    Ok(first + second)
}

fn unwrap(call: &Call<'_>, wrapped: &[u8], out: &mut [u8]) -> Result<usize> {
    let (len, oaep) = parts(call)?;
    let rsa = call.key.rsa()?;
    let (head, tail) = wrapped
        .split_at_checked(rsa.size())
        .ok_or(Rv::ENCRYPTED_DATA_LEN_RANGE)?;
    let mut fresh = Zeroizing::new(vec![0; rsa.size()]);
    let got = rsa
        .decrypt_oaep(&oaep, head, &mut fresh)
        .map_err(fault::cipher)?;
    if got != len {
        return Err(fault::cipher(hsm_crypto::Error::Mismatch));
    }
    let kek = AesKey::new(&fresh[..got]).map_err(fault::cipher)?;
    keywrap::unwrap_pad(&kek, &keywrap::KWP_IV, tail, out).map_err(fault::cipher)
}

static RSA_AES_KEY_WRAP: Mech = Mech {
    id: MechId(0x1054),
    name: "CKM_RSA_AES_KEY_WRAP",
    keys: &[kt::RSA],
    sizes: (1024, 8192),
    unit: Unit::Bits,
    params: Shape::RsaAesKeyWrap,
    output: Output::RsaAes,
    wrap: Some(wrap),
    unwrap: Some(unwrap),
    ..Mech::REFUSES
};

pub(super) static ALL: &[&Mech] = &[&RSA_AES_KEY_WRAP];
