//! AES in its feedback modes (PKCS#11 3.2, "AES-OFB", "AES-CFB"). The specification's table ticks wrapping for them, its text
//! knows encryption and decryption only; the text is followed.

use hsm_api::{MechId, Op, Result};
use hsm_crypto::{Feedback, FeedbackMode};

use super::{Call, Mech, Output, Shape, Stream, aes, fault};

const OFB: u64 = 0x2104;
const CFB64: u64 = 0x2105;
const CFB8: u64 = 0x2106;
const CFB128: u64 = 0x2107;
const CFB1: u64 = 0x2108;

fn open(call: &Call<'_>, encrypt: bool) -> Result<Feedback> {
    let mode = match call.mech.id.0 {
        CFB1 => FeedbackMode::Cfb1,
        CFB8 => FeedbackMode::Cfb8,
        CFB64 => FeedbackMode::Cfb64,
        CFB128 => FeedbackMode::Cfb128,
        _ => FeedbackMode::Ofb,
    };
    let key = call.key.secret()?.aes()?.clone();
    Ok(Feedback::new(key, mode, &aes::iv(call)?, encrypt))
}

impl Stream for Feedback {
    fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        Feedback::update(self, data, out).map_err(fault::data)?;
        Ok(data.len())
    }
    fn finish(self: Box<Self>, _call: &Call<'_>, _out: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
}

const fn row(code: u64, name: &'static str) -> Mech {
    Mech {
        id: MechId(code),
        name,
        params: Shape::Iv(16),
        output: Output::Same,
        encrypt: Some(|call, data, out| Stream::update(&mut open(call, true)?, data, out)),
        decrypt: Some(|call, data, out| Stream::update(&mut open(call, false)?, data, out)),
        stream: Some(|call, op| Ok(Box::new(open(call, op != Op::Decrypt)?))),
        ..Mech::AES
    }
}

static AES_OFB: Mech = row(OFB, "CKM_AES_OFB");
static AES_CFB64: Mech = row(CFB64, "CKM_AES_CFB64");
static AES_CFB8: Mech = row(CFB8, "CKM_AES_CFB8");
static AES_CFB128: Mech = row(CFB128, "CKM_AES_CFB128");
static AES_CFB1: Mech = row(CFB1, "CKM_AES_CFB1");

pub(super) static ALL: &[&Mech] = &[&AES_OFB, &AES_CFB64, &AES_CFB8, &AES_CFB128, &AES_CFB1];
