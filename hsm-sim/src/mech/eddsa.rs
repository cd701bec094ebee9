//! Edwards and Montgomery curves: EdDSA, and key pairs of both kinds (PKCS#11 3.2, "Elliptic Curve").

use hsm_api::{MechId, Params, Result, Value};
use hsm_crypto::{Ed448Key, EdKey, EdMode, X448Key, XKey};

use super::{Call, Mech, Output, Shape, Unit, fault};
use crate::attr;
use crate::code::key_type as kt;
use crate::der;
use crate::material::{Material, mismatch};
use crate::object::Attrs;

/// Ed448's two schemes: whether the message is hashed first, and the context; without one it is empty.
fn ed448<'a>(params: &'a Params<'_>) -> (bool, &'a [u8]) {
    match params {
        Params::EdDsa { prehash, context } => (*prehash, context),
        _ => (false, &[]),
    }
}

/// Ed25519's three schemes (6.3, "Mapping to RFC 8032 Signature Schemes"). Where the curve is named, a parameter without a
/// context is Ed25519ctx with an empty one, which makes other signatures than Ed25519; where RFC 8410's identifier stands for
/// the curve, EdDSA is pure unless the parameter asks for more.
fn ed25519<'a>(params: &'a Params<'_>, named: bool) -> EdMode<'a> {
    match params {
        Params::EdDsa {
            prehash: true,
            context,
        } => EdMode::Prehash(context),
        Params::EdDsa { context, .. } if named || !context.is_empty() => EdMode::Context(context),
        _ => EdMode::Pure,
    }
}

fn sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let written = match call.key {
        Material::Ed { key, named } => {
            let signature = key.sign(ed25519(call.params, *named), data);
            fill(out, &signature.map_err(fault::data)?)
        }
        Material::Ed448(key) => {
            let (prehash, context) = ed448(call.params);
            let signature = key.sign(prehash, context, data);
            fill(out, &signature.map_err(fault::data)?)
        }
        _ => return Err(mismatch()),
    };
    Ok(written)
}

fn fill(out: &mut [u8], signature: &[u8]) -> usize {
    out[..signature.len()].copy_from_slice(signature);
    signature.len()
}

fn verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    match call.key {
        Material::Ed { key, named } => key.verify(ed25519(call.params, *named), data, signature),
        Material::Ed448(key) => {
            let (prehash, context) = ed448(call.params);
            key.verify(prehash, context, data, signature)
        }
        _ => return Err(mismatch()),
    }
    .map_err(fault::signature)
}

fn set_pair(public: &mut Attrs, private: &mut Attrs, params: Vec<u8>, point: &[u8], value: &[u8]) {
    public.set(attr::EC_POINT, Value::Bytes(der::octet_string(point)));
    private.set(attr::EC_PARAMS, Value::Bytes(params));
    private.set(attr::VALUE, Value::Bytes(value.to_vec()));
}

fn edwards(
    _: &'static Mech,
    _: &Params<'_>,
    public: &mut Attrs,
    private: &mut Attrs,
) -> Result<()> {
    let params = public.bytes(attr::EC_PARAMS).unwrap_or_default().to_vec();
    if EdKey::is_params(&params) {
        let key = EdKey::generate().map_err(fault::template)?;
        let seed = key.seed().map_err(fault::template)?;
        set_pair(public, private, params, key.public(), &seed[..]);
    } else if Ed448Key::is_params(&params) {
        let key = Ed448Key::generate().map_err(fault::template)?;
        let seed = key.seed().map_err(fault::template)?;
        set_pair(public, private, params, key.public(), seed);
    } else {
        return Err(der::no_curve(&params));
    }
    Ok(())
}

fn montgomery(
    _: &'static Mech,
    _: &Params<'_>,
    public: &mut Attrs,
    private: &mut Attrs,
) -> Result<()> {
    let params = public.bytes(attr::EC_PARAMS).unwrap_or_default().to_vec();
    if XKey::is_params(&params) {
        let key = XKey::generate().map_err(fault::template)?;
        set_pair(public, private, params, key.public(), &key.private()[..]);
    } else if X448Key::is_params(&params) {
        let key = X448Key::generate().map_err(fault::template)?;
        set_pair(public, private, params, key.public(), &key.private()[..]);
    } else {
        return Err(der::no_curve(&params));
    }
    Ok(())
}

const ED: Mech = Mech {
    keys: &[kt::EC_EDWARDS],
    sizes: (255, 448),
    unit: Unit::Bits,
    ..Mech::REFUSES
};

static EDWARDS_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x1055),
    name: "CKM_EC_EDWARDS_KEY_PAIR_GEN",
    generate_pair: Some(edwards),
    ..ED
};

static MONTGOMERY_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x1056),
    name: "CKM_EC_MONTGOMERY_KEY_PAIR_GEN",
    keys: &[kt::EC_MONTGOMERY],
    generate_pair: Some(montgomery),
    ..ED
};

static EDDSA: Mech = Mech {
    id: MechId(0x1057),
    name: "CKM_EDDSA",
    params: Shape::MaybeEdDsa,
    output: Output::Signature,
    sign: Some(sign),
    verify: Some(verify),
    ..ED
};

pub(super) static ALL: &[&Mech] = &[&EDWARDS_KEY_PAIR_GEN, &MONTGOMERY_KEY_PAIR_GEN, &EDDSA];
