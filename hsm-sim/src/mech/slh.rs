//! SLH-DSA (PKCS#11 3.2, "SLH-DSA").

use hsm_api::{Error, MechId, Result, Rv};
use hsm_crypto::{Hash, PreHash, SlhKey, SlhSet, Xof};

use super::pq::{context, gathered, set_pair, unknown_set, with_message};
use super::{Call, Mech, Output, Shape, Unit, fault};
use crate::attr;
use crate::code::key_type as kt;

fn sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let (deterministic, context) = context(call);
    let key = call.key.slh()?;
    with_message(call, data, |message| {
        key.sign(message, context, deterministic, out)
            .map_err(fault::data)
    })
}

fn verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    let (_, context) = context(call);
    let key = call.key.slh()?;
    with_message(call, data, |message| {
        key.verify(message, context, signature)
            .map_err(fault::signature)
    })
}

/// The parameter set that a number stands for.
pub(crate) fn slh_set(set: u64) -> Result<SlhSet> {
    let at = usize::try_from(set).ok().and_then(|n| n.checked_sub(1));
    at.and_then(|n| SlhSet::ALL.get(n).copied())
        .ok_or_else(unknown_set)
}

/// Sizes count the bytes of a public key.
const SLH: Mech = Mech {
    keys: &[kt::SLH_DSA],
    sizes: (32, 64),
    unit: Unit::Nothing,
    output: Output::OfSet,
    ..Mech::REFUSES
};

static SLH_DSA_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x2D),
    name: "CKM_SLH_DSA_KEY_PAIR_GEN",
    generate_pair: Some(|_, _, public, private| {
        let number = public.ulong(attr::PARAMETER_SET).ok_or_else(|| {
            Error::new(
                Rv::TEMPLATE_INCOMPLETE,
                "the public key's template needs CKA_PARAMETER_SET",
            )
        })?;
        let key = SlhKey::generate(slh_set(number)?).map_err(fault::template)?;
        let value = key.private().map_err(fault::template)?;
        set_pair(
            public,
            private,
            number,
            (key.public().to_vec(), None, value),
        );
        Ok(())
    }),
    ..SLH
};

static SLH_DSA: Mech = Mech {
    id: MechId(0x2E),
    name: "CKM_SLH_DSA",
    params: Shape::MaybeSignContext,
    sign: Some(sign),
    verify: Some(verify),
    stream: Some(gathered),
    ..SLH
};

static HASH_SLH_DSA: Mech = Mech {
    id: MechId(0x34),
    name: "CKM_HASH_SLH_DSA",
    params: Shape::HashSignContext,
    sign: Some(sign),
    verify: Some(verify),
    ..SLH
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
        ..SLH
    }
}

macro_rules! rows {
    ($($id:ident $code:literal $hash:expr;)*) => {
        $(static $id: Mech = hashed($code, concat!("CKM_", stringify!($id)), $hash);)*
        pub(super) static ALL: &[&Mech] =
            &[&SLH_DSA_KEY_PAIR_GEN, &SLH_DSA, &HASH_SLH_DSA, $(&$id),*];
    };
}

rows! {
    HASH_SLH_DSA_SHA224 0x36 PreHash::Hash(Hash::Sha224);
    HASH_SLH_DSA_SHA256 0x37 PreHash::Hash(Hash::Sha256);
    HASH_SLH_DSA_SHA384 0x38 PreHash::Hash(Hash::Sha384);
    HASH_SLH_DSA_SHA512 0x39 PreHash::Hash(Hash::Sha512);
    HASH_SLH_DSA_SHA3_224 0x3A PreHash::Hash(Hash::Sha3_224);
    HASH_SLH_DSA_SHA3_256 0x3B PreHash::Hash(Hash::Sha3_256);
    HASH_SLH_DSA_SHA3_384 0x3C PreHash::Hash(Hash::Sha3_384);
    HASH_SLH_DSA_SHA3_512 0x3D PreHash::Hash(Hash::Sha3_512);
    HASH_SLH_DSA_SHAKE128 0x3E PreHash::Xof(Xof::Shake128);
    HASH_SLH_DSA_SHAKE256 0x3F PreHash::Xof(Xof::Shake256);
}
