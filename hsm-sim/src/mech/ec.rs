//! Elliptic curves (PKCS#11 3.2, "Elliptic Curve").

use hsm_api::{Error, MechId, Op, Params, Result, Rv, Secret, Value};
use hsm_crypto::{Curve, EcKey, EdKey, EdMode, Hash, XKey};

use super::stream::HashThen;
use super::{Call, Mech, Output, Shape, Unit, fault};
use crate::attr;
use crate::code::key_type as kt;
use crate::der;
use crate::material::Material;
use crate::object::Attrs;

fn sign(call: &Call<'_>, digest: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key.ec()?.sign(digest, out).map_err(fault::data)
}

fn verify(call: &Call<'_>, digest: &[u8], signature: &[u8]) -> Result<()> {
    call.key
        .ec()?
        .verify(digest, signature)
        .map_err(fault::signature)
}

fn hash(call: &Call<'_>) -> Result<Hash> {
    call.mech.hash.ok_or_else(|| Rv::MECHANISM_INVALID.into())
}

fn generate_pair(
    _mech: &'static Mech,
    _params: &Params<'_>,
    public: &mut Attrs,
    private: &mut Attrs,
) -> Result<()> {
    let params = public.bytes(attr::EC_PARAMS).unwrap_or_default().to_vec();
    let curve = Curve::from_ec_params(&params).map_err(fault::template)?;
    let key = EcKey::generate(curve).map_err(fault::template)?;
    let point = key.point().map_err(fault::template)?;
    let scalar = key.scalar().map_err(fault::template)?;
    public.set(attr::EC_POINT, Value::Bytes(der::octet_string(&point)));
    private.set(attr::EC_PARAMS, Value::Bytes(params));
    private.set(attr::VALUE, Value::Bytes(scalar.to_vec()));
    Ok(())
}

/// CKD_NULL and the X9.63 derivations with SHA-1 and SHA-2 (ANSI X9.63, 5.6.3).
fn ecdh(call: &Call<'_>, want: Option<usize>) -> Result<Secret> {
    let Params::Ecdh {
        kdf,
        shared,
        public,
    } = call.params
    else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let z = agree(call.key, public)?;
    let hash = match kdf {
        1 if shared.is_empty() => return Ok(z),
        1 => {
            return Err(Error::new(
                Rv::MECHANISM_PARAM_INVALID,
                "CKD_NULL takes no shared data",
            ));
        }
        2 => Hash::Sha1,
        5 => Hash::Sha224,
        6 => Hash::Sha256,
        7 => Hash::Sha384,
        8 => Hash::Sha512,
        _ => {
            return Err(Error::new(
                Rv::MECHANISM_PARAM_INVALID,
                format!("unknown KDF {kdf:#x}"),
            ));
        }
    };
    let want = want.ok_or_else(|| {
        Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "a key derivation function needs CKA_VALUE_LEN",
        )
    })?;
    x963(hash, z.expose(), shared, want)
}

/// Clients send the point bare or in an octet string; the specification asks for both to be taken.
fn agree(key: &Material, public: &[u8]) -> Result<Secret> {
    let point = der::point(public);
    let shared = match key {
        Material::X(key) => key.agree(point).map(|z| z.to_vec()),
        key => {
            let key = key.ec()?;
            let mut z = vec![0; key.curve().field_len()];
            key.ecdh(point, &mut z)
                .or_else(|_| key.ecdh(public, &mut z))
                .map(|_| z)
        }
    };
    shared.map(Secret::new).map_err(|_| {
        Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "the other side's point is not on this key's curve",
        )
    })
}

fn x963(hash: Hash, z: &[u8], shared: &[u8], want: usize) -> Result<Secret> {
    if want > 4096 {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            "no more than 4096 bytes are derived",
        ));
    }
    let mut key = Vec::with_capacity(want + hash.len());
    for counter in 1u32.. {
        if key.len() >= want {
            break;
        }
        let mut digest = hsm_crypto::Digest::new(hash);
        digest.update(z);
        digest.update(&counter.to_be_bytes());
        digest.update(shared);
        key.extend_from_slice(&digest.finish());
    }
    key.truncate(want);
    Ok(Secret::new(key))
}

const EC: Mech = Mech {
    keys: &[kt::EC],
    sizes: (224, 521),
    unit: Unit::Bits,
    output: Output::Signature,
    ..Mech::REFUSES
};

static KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x1040),
    name: "CKM_EC_KEY_PAIR_GEN",
    generate_pair: Some(generate_pair),
    ..EC
};

/// The caller has hashed already.
static ECDSA: Mech = Mech {
    id: MechId(0x1041),
    name: "CKM_ECDSA",
    sign: Some(sign),
    verify: Some(verify),
    ..EC
};

static ECDH1_DERIVE: Mech = Mech {
    id: MechId(0x1050),
    name: "CKM_ECDH1_DERIVE",
    keys: &[kt::EC, kt::EC_MONTGOMERY],
    params: Shape::Ecdh,
    output: Output::Nothing,
    derive: Some(ecdh),
    ..EC
};

/// All our curves have cofactor 1, so this is the same.
static ECDH1_COFACTOR_DERIVE: Mech = Mech {
    id: MechId(0x1051),
    name: "CKM_ECDH1_COFACTOR_DERIVE",
    keys: &[kt::EC, kt::EC_MONTGOMERY],
    params: Shape::Ecdh,
    output: Output::Nothing,
    derive: Some(ecdh),
    ..EC
};

fn ed_mode<'a>(call: &'a Call<'_>) -> EdMode<'a> {
    match call.params {
        Params::EdDsa {
            prehash: true,
            context,
        } => EdMode::Prehash(context),
        Params::EdDsa { context, .. } if !context.is_empty() => EdMode::Context(context),
        _ => EdMode::Pure,
    }
}

fn ed_sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let signature = call
        .key
        .ed()?
        .sign(ed_mode(call), data)
        .map_err(fault::data)?;
    out[..signature.len()].copy_from_slice(&signature);
    Ok(signature.len())
}

fn ed_verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    call.key
        .ed()?
        .verify(ed_mode(call), data, signature)
        .map_err(fault::signature)
}

fn set_pair(
    public: &mut Attrs,
    private: &mut Attrs,
    is_params: fn(&[u8]) -> bool,
    (point, value): (&[u8], &[u8]),
) -> Result<()> {
    let params = public.bytes(attr::EC_PARAMS).unwrap_or_default().to_vec();
    if !is_params(&params) {
        return Err(fault::template(hsm_crypto::Error::Unsupported));
    }
    public.set(attr::EC_POINT, Value::Bytes(der::octet_string(point)));
    private.set(attr::EC_PARAMS, Value::Bytes(params));
    private.set(attr::VALUE, Value::Bytes(value.to_vec()));
    Ok(())
}

static EDWARDS_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x1055),
    name: "CKM_EC_EDWARDS_KEY_PAIR_GEN",
    generate_pair: Some(|_, _, public, private| {
        let key = EdKey::generate().map_err(fault::template)?;
        let seed = key.seed().map_err(fault::template)?;
        set_pair(public, private, EdKey::is_params, (key.public(), &seed[..]))
    }),
    ..ED
};

static MONTGOMERY_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x1056),
    name: "CKM_EC_MONTGOMERY_KEY_PAIR_GEN",
    keys: &[kt::EC_MONTGOMERY],
    generate_pair: Some(|_, _, public, private| {
        let key = XKey::generate().map_err(fault::template)?;
        set_pair(
            public,
            private,
            XKey::is_params,
            (key.public(), &key.private()[..]),
        )
    }),
    ..ED
};

const ED: Mech = Mech {
    keys: &[kt::EC_EDWARDS],
    sizes: (255, 255),
    unit: Unit::Bits,
    ..Mech::REFUSES
};

static EDDSA: Mech = Mech {
    id: MechId(0x1057),
    name: "CKM_EDDSA",
    params: Shape::MaybeEdDsa,
    output: Output::Signature,
    sign: Some(ed_sign),
    verify: Some(ed_verify),
    ..ED
};

const fn hashed(code: u64, name: &'static str, of: Hash) -> Mech {
    Mech {
        id: MechId(code),
        name,
        hash: Some(of),
        sign: Some(|call, data, out| sign(call, &hash(call)?.digest(data), out)),
        verify: Some(|call, data, sig| verify(call, &hash(call)?.digest(data), sig)),
        stream: Some(|call, _: Op| Ok(HashThen::open(hash(call)?, sign, verify))),
        ..EC
    }
}

macro_rules! rows {
    ($($id:ident $code:literal $hash:ident;)*) => {
        $(static $id: Mech = hashed($code, concat!("CKM_", stringify!($id)), Hash::$hash);)*
        pub(super) static ALL: &[&Mech] =
            &[&KEY_PAIR_GEN, &EDWARDS_KEY_PAIR_GEN, &MONTGOMERY_KEY_PAIR_GEN, &EDDSA, &ECDSA, &ECDH1_DERIVE, &ECDH1_COFACTOR_DERIVE, $(&$id),*];
    };
}

rows! {
    ECDSA_SHA1 0x1042 Sha1;
    ECDSA_SHA224 0x1043 Sha224;
    ECDSA_SHA256 0x1044 Sha256;
    ECDSA_SHA384 0x1045 Sha384;
    ECDSA_SHA512 0x1046 Sha512;
    ECDSA_SHA3_224 0x1047 Sha3_224;
    ECDSA_SHA3_256 0x1048 Sha3_256;
    ECDSA_SHA3_384 0x1049 Sha3_384;
    ECDSA_SHA3_512 0x104A Sha3_512;
}
