//! AES (PKCS#11 3.2, "AES" to "AES Key Wrap").

use hsm_api::{Error, MechId, Op, Params, Result, Rv};
use hsm_crypto::{AesStream, Mode};
use zeroize::Zeroizing;

use super::stream::{Blocks, Gather, GcmSeal};
use super::{Call, Mech, Output, Shape, Stream, Unit, fault};
use crate::code::key_type as kt;

fn iv(call: &Call<'_>) -> Result<[u8; 16]> {
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

fn gcm_encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
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
fn gcm_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
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
        return Ok(Box::new(Gather {
            input: Zeroizing::default(),
            then: gcm_decrypt,
        }));
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

const fn cipher(code: u64, name: &'static str, params: Shape, output: Output) -> Mech {
    Mech {
        id: MechId(code),
        name,
        keys: &[kt::AES],
        sizes: (16, 32),
        unit: Unit::Bytes,
        params,
        output,
        encrypt: Some(encrypt),
        decrypt: Some(decrypt),
        stream: Some(stream),
        wrap: Some(encrypt),
        unwrap: Some(decrypt),
        ..Mech::REFUSES
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

pub(super) static ALL: &[&Mech] = &[&ECB, &CBC, &CBC_PAD, &CTR, &GCM];
