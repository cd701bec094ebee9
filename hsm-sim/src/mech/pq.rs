//! ML-DSA and ML-KEM (PKCS#11 3.2, "ML-DSA", "ML-KEM").

use hsm_api::{Error, MechId, Params, Result, Rv, Secret, Value};
use hsm_crypto::pq::{KemSet, MlDsaKey, MlDsaSet, MlKemKey};
use hsm_crypto::{Hash, Message, PreHash, Xof};

use super::stream::{Gather, GatherVerify};
use super::{Call, Check, Mech, Output, Shape, Stream, Transform, Unit, fault, prehash_of};
use crate::attr;
use crate::code::key_type as kt;
use crate::object::Attrs;

/// CKH_DETERMINISTIC_REQUIRED.
const DETERMINISTIC: u64 = 2;

/// What the parameter says of a signature: whether it must be deterministic, and its context.
pub(super) fn context<'a>(call: &'a Call<'_>) -> (bool, &'a [u8]) {
    match call.params {
        Params::SignContext { hedge, context, .. } => (*hedge == DETERMINISTIC, context),
        _ => (false, &[]),
    }
}

/// The message as the row has it signed: itself, hashed here, or hashed by the caller.
pub(super) fn with_message<T>(
    call: &Call<'_>,
    data: &[u8],
    work: impl FnOnce(&Message<'_>) -> Result<T>,
) -> Result<T> {
    if let Some(by) = call.mech.prehash {
        return work(&Message::Hashed(by, &by.digest(data)));
    }
    match call.params {
        Params::SignContext { hash: Some(by), .. } => {
            let by = prehash_of(*by).ok_or(Rv::MECHANISM_PARAM_INVALID)?;
            work(&Message::Hashed(by, data))
        }
        _ => work(&Message::Pure(data)),
    }
}

fn sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let (deterministic, context) = context(call);
    let key = call.key.ml_dsa()?;
    with_message(call, data, |message| {
        let done = key.sign_message(message, context, deterministic, out);
        done.map_err(|e| match e {
            hsm_crypto::Error::Unsupported if deterministic => Error::new(
                Rv::FUNCTION_FAILED,
                "a deterministic signature needs a key with its seed",
            ),
            e => fault::data(e),
        })
    })
}

fn verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    let (_, context) = context(call);
    let key = call.key.ml_dsa()?;
    with_message(call, data, |message| {
        key.verify_message(message, context, signature)
            .map_err(fault::signature)
    })
}

fn set_of(attrs: &Attrs) -> Result<u64> {
    attrs.ulong(attr::PARAMETER_SET).ok_or_else(|| {
        Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "the public key's template needs CKA_PARAMETER_SET",
        )
    })
}

pub(super) fn unknown_set() -> Error {
    Error::new(
        Rv::PARAMETER_SET_NOT_SUPPORTED,
        "CKA_PARAMETER_SET has no such value for this key type",
    )
}

/// The parameter set that a number stands for.
pub(crate) fn dsa_set(set: u64) -> Result<MlDsaSet> {
    let at = usize::try_from(set).ok().and_then(|n| n.checked_sub(1));
    at.and_then(|n| MlDsaSet::ALL.get(n).copied())
        .ok_or_else(unknown_set)
}

/// The parameter set that a number stands for.
pub(crate) fn kem_set(set: u64) -> Result<KemSet> {
    let at = usize::try_from(set).ok().and_then(|n| n.checked_sub(1));
    at.and_then(|n| KemSet::ALL.get(n).copied())
        .ok_or_else(unknown_set)
}

/// Fills in both halves of a pair.
pub(super) fn set_pair(
    public: &mut Attrs,
    private: &mut Attrs,
    set: u64,
    (point, seed, value): (Vec<u8>, Option<&[u8]>, &[u8]),
) {
    public.set(attr::VALUE, Value::Bytes(point));
    private.set(attr::PARAMETER_SET, Value::Ulong(set));
    private.set(attr::VALUE, Value::Bytes(value.to_vec()));
    if let Some(seed) = seed {
        private.set(attr::SEED, Value::Bytes(seed.to_vec()));
    }
}

static ML_DSA_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x1C),
    name: "CKM_ML_DSA_KEY_PAIR_GEN",
    generate_pair: Some(|_, _, public, private| {
        let number = set_of(public)?;
        let key = MlDsaKey::generate(dsa_set(number)?).map_err(fault::template)?;
        let (seed, value) = (key.seed(), key.expanded().map_err(fault::template)?);
        let seed = seed.map_err(fault::template)?;
        let point = key.public().map_err(fault::template)?;
        set_pair(
            public,
            private,
            number,
            (point, Some(&seed[..]), &value[..]),
        );
        Ok(())
    }),
    ..DSA
};

/// Sizes count the bytes of a public key.
const DSA: Mech = Mech {
    keys: &[kt::ML_DSA],
    sizes: (1312, 2592),
    unit: Unit::Nothing,
    output: Output::OfSet,
    ..Mech::REFUSES
};

static ML_DSA: Mech = Mech {
    id: MechId(0x1D),
    name: "CKM_ML_DSA",
    params: Shape::MaybeSignContext,
    sign: Some(sign),
    verify: Some(verify),
    stream: Some(gathered),
    ..DSA
};

/// Messages are kept until the end: the hash begins with the context, and a verification's with
/// nothing that the signature does not tell.
pub(super) fn gathered(call: &Call<'_>, _op: hsm_api::Op) -> Result<Box<dyn Stream>> {
    let (Some(sign), Some(verify)): (Option<Transform>, Option<Check>) =
        (call.mech.sign, call.mech.verify)
    else {
        return Err(Rv::MECHANISM_INVALID.into());
    };
    Ok(Box::new(GatherVerify::new(Gather::then(sign), verify)))
}

static HASH_ML_DSA: Mech = Mech {
    id: MechId(0x1F),
    name: "CKM_HASH_ML_DSA",
    params: Shape::HashSignContext,
    sign: Some(sign),
    verify: Some(verify),
    ..DSA
};

const fn hashed(code: u64, name: &'static str, by: PreHash) -> Mech {
    Mech {
        id: MechId(code),
        name,
        prehash: Some(by),
        params: Shape::MaybeSignContext,
        sign: Some(sign),
        verify: Some(verify),
        stream: Some(gathered),
        ..DSA
    }
}

/// Sizes count the bytes of a public key.
const KEM: Mech = Mech {
    keys: &[kt::ML_KEM],
    sizes: (800, 1568),
    unit: Unit::Nothing,
    output: Output::OfSet,
    ..Mech::REFUSES
};

static ML_KEM_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0xF),
    name: "CKM_ML_KEM_KEY_PAIR_GEN",
    generate_pair: Some(|_, _, public, private| {
        let number = set_of(public)?;
        let key = MlKemKey::generate(kem_set(number)?).map_err(fault::template)?;
        let (seed, value) = (key.seed(), key.expanded().map_err(fault::template)?);
        let seed = seed.map_err(fault::template)?;
        let point = key.public().map_err(fault::template)?;
        set_pair(
            public,
            private,
            number,
            (point, Some(&seed[..]), &value[..]),
        );
        Ok(())
    }),
    ..KEM
};

static ML_KEM: Mech = Mech {
    id: MechId(0x17),
    name: "CKM_ML_KEM",
    encapsulate: Some(|call, out| {
        let key = call.key.ml_kem()?;
        if out.len() < key.set().lens().2 {
            return Err(Error::new(
                Rv::BUFFER_TOO_SMALL,
                format!("the ciphertext has {} bytes", key.set().lens().2),
            ));
        }
        let (len, secret) = key.encapsulate(out).map_err(fault::data)?;
        Ok((len, Secret::from(&secret[..])))
    }),
    decapsulate: Some(|call, ciphertext| {
        let secret = call.key.ml_kem()?.decapsulate(ciphertext);
        Ok(Secret::from(&secret.map_err(fault::cipher)?[..]))
    }),
    ..KEM
};

macro_rules! rows {
    ($($id:ident $code:literal $hash:expr;)*) => {
        $(static $id: Mech = hashed($code, concat!("CKM_", stringify!($id)), $hash);)*
        pub(super) static ALL: &[&Mech] = &[
            &ML_DSA_KEY_PAIR_GEN, &ML_DSA, &HASH_ML_DSA, &ML_KEM_KEY_PAIR_GEN, &ML_KEM, $(&$id),*
        ];
    };
}

rows! {
    HASH_ML_DSA_SHA224 0x23 PreHash::Hash(Hash::Sha224);
    HASH_ML_DSA_SHA256 0x24 PreHash::Hash(Hash::Sha256);
    HASH_ML_DSA_SHA384 0x25 PreHash::Hash(Hash::Sha384);
    HASH_ML_DSA_SHA512 0x26 PreHash::Hash(Hash::Sha512);
    HASH_ML_DSA_SHA3_224 0x27 PreHash::Hash(Hash::Sha3_224);
    HASH_ML_DSA_SHA3_256 0x28 PreHash::Hash(Hash::Sha3_256);
    HASH_ML_DSA_SHA3_384 0x29 PreHash::Hash(Hash::Sha3_384);
    HASH_ML_DSA_SHA3_512 0x2A PreHash::Hash(Hash::Sha3_512);
    HASH_ML_DSA_SHAKE128 0x2B PreHash::Xof(Xof::Shake128);
    HASH_ML_DSA_SHAKE256 0x2C PreHash::Xof(Xof::Shake256);
}
