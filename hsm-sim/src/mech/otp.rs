//! One-time passwords of RFC 4226 (PKCS#11 3.2, "OATH HOTP"). The functions here need counter and length in the parameters;
//! `op/otp.rs` puts them there from the key's attributes.

use hsm_api::{Error, MechId, Params, Result, Rv};
use hsm_crypto::{Hash, HmacKey, hotp};

use super::{Call, Mech, Output, Shape, Unit, fault, secret};
use crate::code::{class, key_type as kt};

/// What comes out: the counter, and then the password.
pub(crate) const COUNTER: usize = 8;
/// The longest output.
pub(crate) const MOST: usize = COUNTER + *hotp::DIGITS.end();

/// Counter and number of digits.
fn settled(call: &Call<'_>) -> Result<(u64, usize)> {
    match call.params {
        Params::Otp {
            counter: Some(counter),
            digits: Some(digits),
            ..
        } => Ok((*counter, *digits as usize)),
        _ => Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "the counter and the length are not settled",
        )),
    }
}

/// The specification wants no data (pData is NULL).
fn nothing(data: &[u8]) -> Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Rv::DATA_LEN_RANGE,
        "CKM_HOTP takes no data: the counter is what is signed",
    ))
}

fn keyed<T>(call: &Call<'_>, work: impl FnOnce(&HmacKey) -> T) -> Result<T> {
    call.key.secret()?.hmac(Some(Hash::Sha1), work)
}

fn sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    nothing(data)?;
    let (counter, digits) = settled(call)?;
    let (head, rest) = out.split_at_mut(COUNTER);
    head.copy_from_slice(&counter.to_be_bytes());
    keyed(call, |key| {
        hotp::password(key, counter, &mut rest[..digits])
    })?
    .map_err(fault::data)?;
    Ok(COUNTER + digits)
}

fn verify(call: &Call<'_>, data: &[u8], password: &[u8]) -> Result<()> {
    nothing(data)?;
    let (counter, digits) = settled(call)?;
    keyed(call, |key| hotp::verify(key, counter, digits, password))?.map_err(fault::signature)
}

const HOTP: Mech = Mech {
    keys: &[kt::HOTP],
    unit: Unit::Bytes,
    ..Mech::REFUSES
};

/// RFC 4226, R6: a secret has 128 bits or more.
static HOTP_KEY_GEN: Mech = Mech {
    id: MechId(0x290),
    name: "CKM_HOTP_KEY_GEN",
    sizes: (16, 64),
    makes: class::OTP,
    generate: Some(secret::generate),
    ..HOTP
};

static HOTP_MECH: Mech = Mech {
    id: MechId(0x291),
    name: "CKM_HOTP",
    sizes: (1, 4096),
    params: Shape::MaybeOtp,
    output: Output::Otp,
    hash: Some(Hash::Sha1),
    sign: Some(sign),
    verify: Some(verify),
    ..HOTP
};

pub(super) static ALL: &[&Mech] = &[&HOTP_KEY_GEN, &HOTP_MECH];
