//! DES and triple DES, for old data (PKCS#11 3.2, "Double and Triple-length DES"; 2.40, "DES"). All
//! rows are legacy.

use hsm_api::{Error, MechId, Op, Params, Result, Rv, Secret};
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

/// The same rows for keys of one DES key.
const fn single(of: Mech) -> Mech {
    Mech {
        keys: &[kt::DES],
        sizes: (8, 8),
        ..of
    }
}

static DES_ECB: Mech = single(cipher(0x121, "CKM_DES_ECB", Shape::Nothing, Output::Block8));
static DES_CBC: Mech = single(cipher(0x122, "CKM_DES_CBC", Shape::Iv(8), Output::Block8));
static DES_CBC_PAD: Mech = single(cipher(
    0x125,
    "CKM_DES_CBC_PAD",
    Shape::Iv(8),
    Output::Padded8,
));

/// A key that is data encrypted.
fn encrypt_data(call: &Call<'_>) -> Result<Secret> {
    let key = call.key.secret()?.des()?;
    let (iv, data) = match call.params {
        Params::CbcEncryptData { iv, data } => (iv.as_ref().try_into().ok(), data),
        Params::Data(data) => (None, data),
        _ => return Err(Rv::MECHANISM_PARAM_INVALID.into()),
    };
    if data.is_empty() || !data.len().is_multiple_of(8) {
        return Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "the data to encrypt is whole blocks of 8 bytes",
        ));
    }
    let mut out = vec![0; data.len()];
    key.encrypt(iv.as_ref(), data, &mut out)
        .map_err(fault::data)?;
    Ok(Secret::new(out))
}

const fn deriving(code: u64, name: &'static str, params: Shape) -> Mech {
    Mech {
        derive: Some(|call, _| encrypt_data(call)),
        ..row(code, name, params, Output::Nothing)
    }
}

static DES_ECB_DATA: Mech = single(deriving(0x1100, "CKM_DES_ECB_ENCRYPT_DATA", Shape::Data));
static DES_CBC_DATA: Mech = single(deriving(
    0x1101,
    "CKM_DES_CBC_ENCRYPT_DATA",
    Shape::CbcEncryptData(8),
));
static ECB_DATA: Mech = deriving(0x1102, "CKM_DES3_ECB_ENCRYPT_DATA", Shape::Data);
static CBC_DATA: Mech = deriving(
    0x1103,
    "CKM_DES3_CBC_ENCRYPT_DATA",
    Shape::CbcEncryptData(8),
);

fn cmac(call: &Call<'_>) -> Result<DesCmac> {
    Ok(DesCmac::new(call.key.secret()?.des()?.clone()))
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

pub(super) static ALL: &[&Mech] = &[
    &ECB,
    &CBC,
    &CBC_PAD,
    &CMAC,
    &CMAC_GENERAL,
    &DES_ECB,
    &DES_CBC,
    &DES_CBC_PAD,
    &DES_ECB_DATA,
    &DES_CBC_DATA,
    &ECB_DATA,
    &CBC_DATA,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr;
    use crate::code::class;
    use crate::material::Material;
    use crate::object::Attrs;

    /// The worked example that textbooks of DES print, with a key of one part and of three.
    #[test]
    fn derived_by_encryption() {
        let one = 0x1334_5779_9BBC_DFF1_u64.to_be_bytes();
        let plain = 0x0123_4567_89AB_CDEF_u64.to_be_bytes();
        let cipher = 0x85E8_1354_0F0A_B405_u64.to_be_bytes();
        let iv = [0x5A_u8; 8];
        let masked: Vec<u8> = plain.iter().zip(iv).map(|(p, i)| p ^ i).collect();
        let data = Params::Data((&plain[..]).into());
        let chained = Params::CbcEncryptData {
            iv: (&iv[..]).into(),
            data: masked.into(),
        };
        for (mech, key_type, value, params) in [
            (&DES_ECB_DATA, kt::DES, one.to_vec(), &data),
            (&DES_CBC_DATA, kt::DES, one.to_vec(), &chained),
            (&ECB_DATA, kt::DES3, one.repeat(3), &data),
            (&CBC_DATA, kt::DES3, one.repeat(3), &chained),
        ] {
            let mut attrs = Attrs::default();
            attrs.set(attr::VALUE, hsm_api::Value::Bytes(value));
            let key = Material::parse(class::SECRET, key_type, &attrs).unwrap();
            let call = Call {
                mech,
                key: &key,
                params,
            };
            let derived = encrypt_data(&call).unwrap();
            assert_eq!(derived.expose(), cipher, "{}", mech.name);
        }
    }
}
