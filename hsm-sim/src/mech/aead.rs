//! AES-CCM, GMAC, CTS and XTS (PKCS#11 3.2, "Additional AES mechanisms", "AES CBC with CTS", "AES XTS").

use hsm_api::{Error, MechId, Op, Params, Result, Rv};
use hsm_crypto::{GcmEncryptor, ccm, cts};

use super::stream::Gather;
use super::{Call, Mech, Output, Shape, Stream, Transform, fault};
use crate::code::key_type as kt;

struct Ccm<'a> {
    len: u64,
    nonce: &'a [u8],
    aad: &'a [u8],
    tag: usize,
}

fn ccm<'a>(call: &'a Call<'_>) -> Result<Ccm<'a>> {
    match call.params {
        Params::Ccm {
            data_len,
            nonce,
            aad,
            mac_len,
        } => Ok(Ccm {
            len: *data_len,
            nonce,
            aad,
            tag: *mac_len as usize,
        }),
        _ => Err(Rv::MECHANISM_PARAM_INVALID.into()),
    }
}

/// The length is announced in the parameters, and the announcement must be true.
fn announced(ccm: &Ccm<'_>, len: usize, rv: Rv) -> Result<()> {
    if ccm.len == len as u64 {
        return Ok(());
    }
    Err(Error::new(
        rv,
        format!("ulDataLen announces {} bytes, and these are {len}", ccm.len),
    ))
}

fn ccm_encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    announced(&ccm(call)?, data.len(), Rv::DATA_LEN_RANGE)?;
    ccm_wrap(call, data, out)
}

fn ccm_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let params = ccm(call)?;
    let len = data.len().saturating_sub(params.tag);
    announced(&params, len, Rv::ENCRYPTED_DATA_LEN_RANGE)?;
    ccm_unwrap(call, data, out)
}

/// Who wraps a key does not know how long its encoding is, so nothing is to be announced.
fn ccm_wrap(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let Ccm {
        nonce, aad, tag, ..
    } = ccm(call)?;
    let key = call.key.secret()?.aes()?;
    ccm::seal(key, nonce, aad, data, out, tag).map_err(fault::data)
}

fn ccm_unwrap(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let Ccm {
        nonce, aad, tag, ..
    } = ccm(call)?;
    let key = call.key.secret()?.aes()?;
    ccm::open(key, nonce, aad, data, out, tag).map_err(fault::cipher)
}

fn iv(call: &Call<'_>) -> Result<[u8; 16]> {
    match call.params {
        Params::Iv(iv) => iv.as_ref().try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| Error::new(Rv::MECHANISM_PARAM_INVALID, "the parameter has 16 bytes"))
}

fn cts_encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    cts::encrypt(call.key.secret()?.aes()?, &iv(call)?, data, out).map_err(fault::data)
}

fn cts_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    cts::decrypt(call.key.secret()?.aes()?, &iv(call)?, data, out).map_err(fault::cipher)
}

fn xts_encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.secret()?.xts()?;
    key.encrypt(&iv(call)?, data, out).map_err(fault::data)
}

fn xts_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.secret()?.xts()?;
    key.decrypt(&iv(call)?, data, out).map_err(fault::cipher)
}

/// A cipher that must see all of its input before it puts anything out.
pub(super) const fn late(
    code: u64,
    name: &'static str,
    (params, output): (Shape, Output),
    (there, back): (Transform, Transform),
) -> Mech {
    Mech {
        id: MechId(code),
        name,
        params,
        output,
        encrypt: Some(there),
        decrypt: Some(back),
        stream: Some(|call, op| {
            let then = match op {
                Op::Decrypt => call.mech.decrypt,
                _ => call.mech.encrypt,
            };
            Ok(Box::new(Gather::then(then.ok_or(Rv::MECHANISM_INVALID)?)))
        }),
        wrap: Some(there),
        unwrap: Some(back),
        ..Mech::AES
    }
}

static CCM: Mech = Mech {
    wrap: Some(ccm_wrap),
    unwrap: Some(ccm_unwrap),
    ..late(
        0x1088,
        "CKM_AES_CCM",
        (Shape::Ccm, Output::Sealed),
        (ccm_encrypt, ccm_decrypt),
    )
};

/// The variant CS1 of NIST's paper.
static CTS: Mech = late(
    0x1089,
    "CKM_AES_CTS",
    (Shape::Iv(16), Output::Late),
    (cts_encrypt, cts_decrypt),
);

static XTS: Mech = Mech {
    keys: &[kt::AES_XTS],
    sizes: (32, 64),
    ..late(
        0x1071,
        "CKM_AES_XTS",
        (Shape::Iv(16), Output::Late),
        (xts_encrypt, xts_decrypt),
    )
};

/// GCM over additional data alone.
struct Gmac(GcmEncryptor);

impl Gmac {
    fn open(call: &Call<'_>) -> Result<Box<Gmac>> {
        let Params::Gcm { iv, .. } = call.params else {
            return Err(Rv::MECHANISM_PARAM_INVALID.into());
        };
        let state = call.key.secret()?.gcm()?.encryptor(iv);
        Ok(Box::new(Gmac(state.map_err(fault::data)?)))
    }
}

fn tag_len(call: &Call<'_>) -> usize {
    match call.params {
        Params::Gcm { tag_bits, .. } => *tag_bits as usize / 8,
        _ => 16,
    }
}

impl Stream for Gmac {
    fn update(&mut self, data: &[u8], _out: &mut [u8]) -> Result<usize> {
        self.0.aad(data).map_err(fault::data)?;
        Ok(0)
    }
    fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        let tag = self.0.finish().map_err(fault::data)?;
        let len = tag_len(call);
        out[..len].copy_from_slice(&tag[..len]);
        Ok(len)
    }
    fn verify(self: Box<Self>, call: &Call<'_>, signature: &[u8]) -> Result<()> {
        let len = tag_len(call);
        super::mac::check_len(signature, len)?;
        let tag = self.0.finish().map_err(fault::data)?;
        if subtle::ConstantTimeEq::ct_eq(&tag[..len], signature).into() {
            return Ok(());
        }
        Err(fault::signature(hsm_crypto::Error::Mismatch))
    }
}

static GMAC: Mech = Mech {
    id: MechId(0x108E),
    name: "CKM_AES_GMAC",
    params: Shape::Gcm,
    output: Output::Tag,
    sign: Some(|call, data, out| {
        let mut mac = Gmac::open(call)?;
        mac.update(data, &mut [])?;
        mac.finish(call, out)
    }),
    verify: Some(|call, data, signature| {
        let mut mac = Gmac::open(call)?;
        mac.update(data, &mut [])?;
        mac.verify(call, signature)
    }),
    stream: Some(|call, _op| Ok(Gmac::open(call)?)),
    ..Mech::AES
};

pub(super) static ALL: &[&Mech] = &[&CCM, &CTS, &XTS, &GMAC];
