//! ChaCha20 and ChaCha20-Poly1305 (PKCS#11 3.2, "ChaCha20", "ChaCha20/Poly1305").

use hsm_api::{MechId, Op, Params, Result, Rv};
use hsm_crypto::{ChaCha20, ChaChaPolyKey};

use super::aead::late;
use super::{Call, Mech, Output, Shape, Stream, Unit, fault};
use crate::code::key_type as kt;

fn cipher(call: &Call<'_>) -> Result<ChaCha20> {
    let Params::ChaCha20 { counter, nonce } = call.params else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    ChaCha20::new(call.key.secret()?.value(), nonce, *counter).map_err(fault::data)
}

fn apply(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    cipher(call)?.apply(data, out).map_err(fault::data)?;
    Ok(data.len())
}

impl Stream for ChaCha20 {
    fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.apply(data, out).map_err(fault::data)?;
        Ok(data.len())
    }
    fn finish(self: Box<Self>, _call: &Call<'_>, _out: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
}

static CHACHA20: Mech = Mech {
    id: MechId(0x1226),
    name: "CKM_CHACHA20",
    keys: &[kt::CHACHA20],
    sizes: (256, 256),
    unit: Unit::Bits,
    params: Shape::ChaCha20,
    output: Output::Same,
    encrypt: Some(apply),
    decrypt: Some(apply),
    stream: Some(|call, _: Op| Ok(Box::new(cipher(call)?))),
    wrap: Some(apply),
    unwrap: Some(apply),
    ..Mech::REFUSES
};

fn aead<'a>(call: &'a Call<'_>) -> Result<(ChaChaPolyKey, &'a [u8], &'a [u8])> {
    let Params::ChaCha20Poly1305 { nonce, aad } = call.params else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let key = ChaChaPolyKey::new(call.key.secret()?.value()).map_err(fault::data)?;
    Ok((key, nonce, aad))
}

static CHACHA20_POLY1305: Mech = Mech {
    keys: &[kt::CHACHA20],
    sizes: (256, 256),
    unit: Unit::Bits,
    ..late(
        0x4021,
        "CKM_CHACHA20_POLY1305",
        (Shape::ChaCha20Poly1305, Output::Sealed),
        (
            |call, data, out| {
                let (key, nonce, aad) = aead(call)?;
                key.seal(nonce, aad, data, out).map_err(fault::data)
            },
            |call, data, out| {
                let (key, nonce, aad) = aead(call)?;
                key.open(nonce, aad, data, out).map_err(fault::cipher)
            },
        ),
    )
};

pub(super) static ALL: &[&Mech] = &[&CHACHA20, &CHACHA20_POLY1305];
