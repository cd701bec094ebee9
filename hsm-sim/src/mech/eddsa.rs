//! Edwards and Montgomery curves: EdDSA, and key pairs of both kinds (PKCS#11 3.2, "Elliptic Curve").

use hsm_api::{MechId, Params, Result, Rv, Value};
use hsm_crypto::{Ed448Key, EdKey, EdMode, X448Key, XKey};

use super::{Call, Mech, Output, Shape, Unit, fault};
use crate::attr;
use crate::code::key_type as kt;
use crate::der;
use crate::material::Material;
use crate::object::Attrs;

/// Whether the message is hashed first, and the context.
fn mode<'a>(call: &'a Call<'_>) -> (bool, &'a [u8]) {
    match call.params {
        Params::EdDsa { prehash, context } => (*prehash, context),
        _ => (false, &[]),
    }
}

/// Ed25519 without a context is another algorithm than with an empty one; Ed448 always has one.
fn ed25519<'a>((prehash, context): (bool, &'a [u8])) -> EdMode<'a> {
    match (prehash, context) {
        (true, context) => EdMode::Prehash(context),
        (false, []) => EdMode::Pure,
        (false, context) => EdMode::Context(context),
    }
}

fn sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let (prehash, context) = mode(call);
    if let Material::Ed448(key) = call.key {
        let signature = key.sign(prehash, context, data).map_err(fault::data)?;
        out[..signature.len()].copy_from_slice(&signature);
        return Ok(signature.len());
    }
    let signature = call.key.ed()?.sign(ed25519((prehash, context)), data);
    let signature = signature.map_err(fault::data)?;
    out[..signature.len()].copy_from_slice(&signature);
    Ok(signature.len())
}

fn verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    let (prehash, context) = mode(call);
    if let Material::Ed448(key) = call.key {
        key.verify(prehash, context, data, signature)
    } else {
        let mode = ed25519((prehash, context));
        call.key.ed()?.verify(mode, data, signature)
    }
    .map_err(fault::signature)
}

fn set_pair(public: &mut Attrs, private: &mut Attrs, params: Vec<u8>, point: &[u8], value: &[u8]) {
    public.set(attr::EC_POINT, Value::Bytes(der::octet_string(point)));
    private.set(attr::EC_PARAMS, Value::Bytes(params));
    private.set(attr::VALUE, Value::Bytes(value.to_vec()));
}

fn unknown() -> hsm_api::Error {
    hsm_api::Error::new(
        Rv::CURVE_NOT_SUPPORTED,
        "CKA_EC_PARAMS names no curve of this key type here",
    )
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
        return Err(unknown());
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
        return Err(unknown());
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
