//! Triple DES, for old data (PKCS#11 3.2, "Double and Triple-length DES"). All rows are legacy.

use hsm_api::{Error, MechId, Op, Params, Result, Rv};
use hsm_crypto::DesCmac;

use super::stream::Gather;
use super::{Call, Mech, Output, Shape, Stream, Unit, fault};
use crate::code::key_type as kt;

fn iv(call: &Call<'_>) -> Result<Option<[u8; 8]>> {
    match call.params {
        Params::None => Ok(None),
        Params::Iv(iv) => Ok(iv.as_ref().try_into().ok()),
        _ => Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "the IV has 8 bytes",
        )),
    }
}

fn encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.secret()?.des()?;
    match (iv(call)?, call.mech.output) {
        (Some(iv), Output::Padded8) => key.encrypt_pad(&iv, data, out),
        (iv, _) => key.encrypt(iv.as_ref(), data, out),
    }
    .map_err(fault::data)
}

fn decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.secret()?.des()?;
    match (iv(call)?, call.mech.output) {
        (Some(iv), Output::Padded8) => key.decrypt_pad(&iv, data, out),
        (iv, _) => key.decrypt(iv.as_ref(), data, out),
    }
    .map_err(fault::cipher)
}

const fn row(code: u64, name: &'static str, params: Shape, output: Output) -> Mech {
    Mech {
        id: MechId(code),
        name,
        legacy: true,
        keys: &[kt::DES3, kt::DES2],
        sizes: (16, 24),
        unit: Unit::Bytes,
        params,
        output,
        ..Mech::REFUSES
    }
}

/// Old data comes in small pieces: it is kept until the end, so that no second set of block modes is
/// needed.
const fn cipher(code: u64, name: &'static str, params: Shape, output: Output) -> Mech {
    Mech {
        encrypt: Some(encrypt),
        decrypt: Some(decrypt),
        stream: Some(|_call, op| {
            Ok(Box::new(Gather::then(match op {
                Op::Decrypt => decrypt,
                _ => encrypt,
            })))
        }),
        wrap: Some(encrypt),
        unwrap: Some(decrypt),
        ..row(code, name, params, output)
    }
}

static ECB: Mech = cipher(0x132, "CKM_DES3_ECB", Shape::Nothing, Output::Block8);
static CBC: Mech = cipher(0x133, "CKM_DES3_CBC", Shape::Iv(8), Output::Block8);
static CBC_PAD: Mech = cipher(0x136, "CKM_DES3_CBC_PAD", Shape::Iv(8), Output::Padded8);

fn cmac(call: &Call<'_>) -> Result<DesCmac> {
    Ok(DesCmac::new(call.key.secret()?.des()?.clone()))
}

impl Stream for DesCmac {
    fn update(&mut self, data: &[u8], _out: &mut [u8]) -> Result<usize> {
        DesCmac::update(self, data);
        Ok(0)
    }
    fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        let mac = DesCmac::finish(*self);
        let len = super::mac::wanted(call, mac.len());
        out[..len].copy_from_slice(&mac[..len]);
        Ok(len)
    }
    fn verify(self: Box<Self>, call: &Call<'_>, signature: &[u8]) -> Result<()> {
        super::mac::check_len(signature, super::mac::wanted(call, 8))?;
        DesCmac::verify(*self, signature).map_err(fault::signature)
    }
}

const fn mac(code: u64, name: &'static str, params: Shape, output: Output) -> Mech {
    Mech {
        sign: Some(|call, data, out| {
            let mut mac = cmac(call)?;
            mac.update(data);
            Stream::finish(Box::new(mac), call, out)
        }),
        verify: Some(|call, data, signature| {
            let mut mac = cmac(call)?;
            mac.update(data);
            Stream::verify(Box::new(mac), call, signature)
        }),
        stream: Some(|call, _op| Ok(Box::new(cmac(call)?))),
        ..row(code, name, params, output)
    }
}

static CMAC: Mech = mac(0x138, "CKM_DES3_CMAC", Shape::Nothing, Output::Fixed(8));
static CMAC_GENERAL: Mech = mac(
    0x137,
    "CKM_DES3_CMAC_GENERAL",
    Shape::MacLen,
    Output::MacLen,
);

pub(super) static ALL: &[&Mech] = &[&ECB, &CBC, &CBC_PAD, &CMAC, &CMAC_GENERAL];
