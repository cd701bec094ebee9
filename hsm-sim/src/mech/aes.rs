//! AES (PKCS#11 3.2, "AES" to "AES Key Wrap"); its feedback modes and MACs are in `feedback.rs` and `aes_mac.rs`.

use hsm_api::{Error, MechId, Op, Params, Result, Rv};
use hsm_crypto::{AesStream, Mode, keywrap};

use super::stream::{Blocks, Gather, GcmSeal};
use super::{Call, Mech, Output, Shape, Stream, Transform, fault};

pub(super) fn iv(call: &Call<'_>) -> Result<[u8; 16]> {
    match call.params {
        Params::Iv(iv) => iv.as_ref().try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| Error::new(Rv::MECHANISM_PARAM_INVALID, "the IV has 16 bytes"))
}

fn mode(call: &Call<'_>) -> Result<Mode> {
    Ok(match (call.mech.output, call.params) {
        (_, Params::Ctr { bits, block }) => Mode::Ctr {
            counter: *block,
            counter_bits: *bits,
        },
        (Output::Padded, _) => Mode::CbcPad { iv: iv(call)? },
        (_, Params::None) => Mode::Ecb,
        _ => Mode::Cbc { iv: iv(call)? },
    })
}

fn encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.secret()?.aes()?;
    match mode(call)? {
        Mode::Ecb => key.ecb_encrypt(data, out).map(|()| data.len()),
        Mode::Cbc { mut iv } => key.cbc_encrypt(&mut iv, data, out).map(|()| data.len()),
        Mode::CbcPad { iv } => key.cbc_pad_encrypt(&iv, data, out),
        Mode::Ctr {
            mut counter,
            counter_bits,
        } => key
            .ctr(&mut counter, counter_bits, data, out)
            .map(|()| data.len()),
    }
    .map_err(fault::data)
}

fn decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.secret()?.aes()?;
    match mode(call)? {
        Mode::Ecb => key.ecb_decrypt(data, out).map(|()| data.len()),
        Mode::Cbc { mut iv } => key.cbc_decrypt(&mut iv, data, out).map(|()| data.len()),
        Mode::CbcPad { iv } => key.cbc_pad_decrypt(&iv, data, out),
        Mode::Ctr {
            mut counter,
            counter_bits,
        } => key
            .ctr(&mut counter, counter_bits, data, out)
            .map(|()| data.len()),
    }
    .map_err(fault::cipher)
}

fn stream(call: &Call<'_>, op: Op) -> Result<Box<dyn Stream>> {
    let key = call.key.secret()?.aes()?.clone();
    let decrypt = op == Op::Decrypt;
    let stream = AesStream::new(key, mode(call)?, !decrypt).map_err(fault::data)?;
    Ok(Box::new(Blocks { stream, decrypt }))
}

struct Gcm<'a> {
    iv: &'a [u8],
    aad: &'a [u8],
    tag: usize,
}

fn gcm<'a>(call: &'a Call<'_>) -> Result<Gcm<'a>> {
    match call.params {
        Params::Gcm { iv, aad, tag_bits } => Ok(Gcm {
            iv,
            aad,
            tag: *tag_bits as usize / 8,
        }),
        _ => Err(Rv::MECHANISM_PARAM_INVALID.into()),
    }
}

fn made_iv() -> Result<[u8; 12]> {
    let mut iv = [0; 12];
    hsm_crypto::rng::fill(&mut iv).map_err(|e| Error::new(Rv::RANDOM_NO_RNG, e.to_string()))?;
    Ok(iv)
}

pub(super) fn gcm_encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let Gcm { iv, aad, tag } = gcm(call)?;
    let key = call.key.secret()?.gcm()?;
    if !iv.is_empty() {
        return key.seal(iv, aad, data, out, tag).map_err(fault::data);
    }
    let iv = made_iv()?;
    let (head, rest) = out.split_at_mut(iv.len());
    head.copy_from_slice(&iv);
    Ok(iv.len() + key.seal(&iv, aad, data, rest, tag).map_err(fault::data)?)
}

/// Without an IV in the parameters, it stands before the ciphertext, where encryption put it.
pub(super) fn gcm_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let Gcm { iv, aad, tag } = gcm(call)?;
    let key = call.key.secret()?.gcm()?;
    let (iv, data) = if iv.is_empty() {
        data.split_at_checked(12)
            .ok_or(Rv::ENCRYPTED_DATA_LEN_RANGE)?
    } else {
        (iv, data)
    };
    key.open(iv, aad, data, out, tag).map_err(fault::cipher)
}

fn gcm_stream(call: &Call<'_>, op: Op) -> Result<Box<dyn Stream>> {
    if op == Op::Decrypt {
        return Ok(Box::new(Gather::then(gcm_decrypt)));
    }
    let Gcm { iv, aad, .. } = gcm(call)?;
    let own = if iv.is_empty() {
        Some(made_iv()?)
    } else {
        None
    };
    let iv = own.as_ref().map_or(iv, |own| own);
    let mut state = call
        .key
        .secret()?
        .gcm()?
        .encryptor(iv)
        .map_err(fault::data)?;
    state.aad(aad).map_err(fault::data)?;
    Ok(Box::new(GcmSeal { state, iv: own }))
}

pub(super) const fn cipher(code: u64, name: &'static str, params: Shape, output: Output) -> Mech {
    Mech {
        id: MechId(code),
        name,
        params,
        output,
        encrypt: Some(encrypt),
        decrypt: Some(decrypt),
        stream: Some(stream),
        wrap: Some(encrypt),
        unwrap: Some(decrypt),
        ..Mech::AES
    }
}

static ECB: Mech = cipher(0x1081, "CKM_AES_ECB", Shape::Nothing, Output::Block);
static CBC: Mech = cipher(0x1082, "CKM_AES_CBC", Shape::Iv(16), Output::Block);
static CBC_PAD: Mech = cipher(0x1085, "CKM_AES_CBC_PAD", Shape::Iv(16), Output::Padded);
static CTR: Mech = cipher(0x1086, "CKM_AES_CTR", Shape::Ctr, Output::Same);
static GCM: Mech = Mech {
    encrypt: Some(gcm_encrypt),
    decrypt: Some(gcm_decrypt),
    stream: Some(gcm_stream),
    wrap: Some(gcm_encrypt),
    unwrap: Some(gcm_decrypt),
    ..cipher(0x1087, "CKM_AES_GCM", Shape::Gcm, Output::Gcm)
};

/// The IV given, or the standard's.
fn wrap_iv<const N: usize>(call: &Call<'_>, standard: [u8; N]) -> [u8; N] {
    match call.params {
        Params::Iv(iv) => iv.as_ref().try_into().unwrap_or(standard),
        _ => standard,
    }
}

pub(super) fn kw(call: &Call<'_>, key: &[u8], out: &mut [u8]) -> Result<usize> {
    let iv = wrap_iv(call, keywrap::KW_IV);
    keywrap::wrap(call.key.secret()?.aes()?, &iv, key, out).map_err(fault::data)
}

pub(super) fn kw_back(call: &Call<'_>, wrapped: &[u8], out: &mut [u8]) -> Result<usize> {
    let iv = wrap_iv(call, keywrap::KW_IV);
    keywrap::unwrap(call.key.secret()?.aes()?, &iv, wrapped, out).map_err(fault::cipher)
}

pub(super) fn kwp(call: &Call<'_>, key: &[u8], out: &mut [u8]) -> Result<usize> {
    let iv = wrap_iv(call, keywrap::KWP_IV);
    keywrap::wrap_pad(call.key.secret()?.aes()?, &iv, key, out).map_err(fault::data)
}

pub(super) fn kwp_back(call: &Call<'_>, wrapped: &[u8], out: &mut [u8]) -> Result<usize> {
    let iv = wrap_iv(call, keywrap::KWP_IV);
    keywrap::unwrap_pad(call.key.secret()?.aes()?, &iv, wrapped, out).map_err(fault::cipher)
}

pub(super) fn kw_pkcs7(call: &Call<'_>, key: &[u8], out: &mut [u8]) -> Result<usize> {
    let iv = wrap_iv(call, keywrap::KW_IV);
    keywrap::wrap_pkcs7(call.key.secret()?.aes()?, &iv, key, out).map_err(fault::data)
}

pub(super) fn kw_pkcs7_back(call: &Call<'_>, wrapped: &[u8], out: &mut [u8]) -> Result<usize> {
    let iv = wrap_iv(call, keywrap::KW_IV);
    keywrap::unwrap_pkcs7(call.key.secret()?.aes()?, &iv, wrapped, out).map_err(fault::cipher)
}

pub(super) const fn key_wrap(
    code: u64,
    name: &'static str,
    (iv, output): (usize, Output),
    (there, back): (Transform, Transform),
) -> Mech {
    Mech {
        encrypt: Some(there),
        decrypt: Some(back),
        wrap: Some(there),
        unwrap: Some(back),
        stream: None,
        ..cipher(code, name, Shape::MaybeIv(iv), output)
    }
}

static KEY_WRAP: Mech = key_wrap(
    0x2109,
    "CKM_AES_KEY_WRAP",
    (8, Output::KeyWrap),
    (kw, kw_back),
);
/// RFC 5649 like KWP: the specification is ambiguous here, and SoftHSM reads it so.
static KEY_WRAP_PAD: Mech = key_wrap(
    0x210A,
    "CKM_AES_KEY_WRAP_PAD",
    (4, Output::KeyWrapPadded),
    (kwp, kwp_back),
);
static KEY_WRAP_KWP: Mech = key_wrap(
    0x210B,
    "CKM_AES_KEY_WRAP_KWP",
    (4, Output::KeyWrapPadded),
    (kwp, kwp_back),
);

static KEY_WRAP_PKCS7: Mech = key_wrap(
    0x210C,
    "CKM_AES_KEY_WRAP_PKCS7",
    (8, Output::KeyWrapPkcs5),
    (kw_pkcs7, kw_pkcs7_back),
);

pub(super) static ALL: &[&Mech] = &[
    &ECB,
    &CBC,
    &CBC_PAD,
    &CTR,
    &GCM,
    &KEY_WRAP,
    &KEY_WRAP_PAD,
    &KEY_WRAP_KWP,
    &KEY_WRAP_PKCS7,
];
