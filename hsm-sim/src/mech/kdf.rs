//! Key derivation functions: HKDF, SP 800-108, PBKDF2 (PKCS#11 3.2, "HKDF Mechanisms", "SP800-108 Key
//! Derivation", "PKCS #5 and PKCS #5-style password-based encryption").

use std::sync::Arc;

use hsm_api::mech::{HkdfSalt, Kbkdf, KbkdfField};
use hsm_api::{Error, MechId, Params, Result, Rv, Secret, Value};
use hsm_crypto::kdf::{self, Chain, Field, Prf};
use hsm_crypto::{Hash, HmacKey};
use zeroize::Zeroizing;

use super::{Call, Mech, Shape, Unit, Wanted, fault, find, hash_of};
use crate::attr;
use crate::code::{class, key_type as kt};
use crate::object::Attrs;

/// No key is longer; it also bounds the work of one call.
const MOST: usize = 4096;

fn bad(why: &'static str) -> Error {
    Error::new(Rv::MECHANISM_PARAM_INVALID, why)
}

fn too_long() -> Error {
    Error::new(
        Rv::KEY_SIZE_RANGE,
        format!("no more than {MOST} bytes are derived"),
    )
}

fn needs_len() -> Error {
    Error::new(
        Rv::TEMPLATE_INCOMPLETE,
        "a key derivation function needs CKA_VALUE_LEN",
    )
}

fn hkdf(call: &Call<'_>, wanted: &Wanted<'_>) -> Result<Secret> {
    let Params::Hkdf {
        extract,
        expand,
        prf,
        salt,
        info,
    } = call.params
    else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let hash = hash_of(*prf).ok_or_else(|| bad("unknown hash function"))?;
    let fault = |_| Error::from(Rv::FUNCTION_FAILED);
    let mut secret = Zeroizing::new(call.key.secret()?.value().to_vec());
    if *extract {
        let found;
        let salt: &[u8] = match salt {
            HkdfSalt::Null => &[],
            HkdfSalt::Data(salt) => salt,
            HkdfSalt::Key(id) => {
                found = (wanted.key)(*id)?;
                found.material()?.secret()?.value()
            }
        };
        let key = kdf::hkdf_extract(hash, salt, &secret).map_err(fault)?;
        secret = Zeroizing::new(key.to_vec());
    }
    if *expand {
        // Without a length: as much as a step of the expansion gives.
        let len = wanted.len.unwrap_or(hash.len());
        if len > 255 * hash.len() {
            return Err(Error::new(
                Rv::KEY_SIZE_RANGE,
                "HKDF gives at most 255 times the hash's length",
            ));
        }
        let mut out = vec![0; len];
        kdf::hkdf_expand(hash, &secret, info, &mut out).map_err(fault)?;
        return Ok(Secret::new(out));
    }
    Ok(Secret::from(&secret[..]))
}

const HKDF: Mech = Mech {
    keys: &[kt::HKDF, kt::GENERIC_SECRET],
    sizes: (1, MOST as u32),
    unit: Unit::Bytes,
    params: Shape::Hkdf,
    derive: Some(hkdf),
    ..Mech::REFUSES
};

static HKDF_DERIVE: Mech = Mech {
    id: MechId(0x402A),
    name: "CKM_HKDF_DERIVE",
    ..HKDF
};

static HKDF_DATA: Mech = Mech {
    id: MechId(0x402B),
    name: "CKM_HKDF_DATA",
    makes: class::DATA,
    ..HKDF
};

/// The function that a field of SP 800-108's parameters names: an HMAC mechanism, its bare hash, or a
/// CMAC.
fn prf(call: &Call<'_>, id: MechId) -> Result<Prf> {
    let key = call.key.secret()?;
    let row = find(id).ok_or_else(|| bad("unknown pseudo-random function"))?;
    match row.hash {
        Some(hash)
            if row.sign.is_some() && row.params == Shape::Nothing || hash_of(id).is_some() =>
        {
            let key = HmacKey::new(hash, key.value()).map_err(fault::data)?;
            Ok(Prf::Hmac(Arc::new(key)))
        }
        _ if row.name == "CKM_AES_CMAC" => Ok(Prf::Cmac(Arc::clone(key.aes()?))),
        _ => Err(bad("unknown pseudo-random function")),
    }
}

/// A number as the caller wants it written.
fn number(value: u64, bits: u32, little_endian: bool) -> Result<Vec<u8>> {
    let bytes = (bits / 8) as usize;
    if !bits.is_multiple_of(8) || !(1..=8).contains(&bytes) {
        return Err(bad("a length has 8, 16, ... 64 bits"));
    }
    if bytes < 8 && value >> bits != 0 {
        return Err(bad("the length does not fit into its field"));
    }
    Ok(if little_endian {
        value.to_le_bytes()[..bytes].to_vec()
    } else {
        value.to_be_bytes()[8 - bytes..].to_vec()
    })
}

fn counter(bits: u32, little_endian: bool) -> Result<Field<'static>> {
    if !matches!(bits, 8 | 16 | 24 | 32) {
        return Err(bad("a counter has 8, 16, 24 or 32 bits"));
    }
    Ok(Field::Counter {
        bytes: (bits / 8) as usize,
        little_endian,
    })
}

fn kbkdf(call: &Call<'_>, wanted: &Wanted<'_>) -> Result<Secret> {
    let Params::Kbkdf(params) = call.params else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let Kbkdf { data, iv, .. } = &**params;
    let prf = prf(call, params.prf)?;
    let chain = match call.mech.id.0 {
        FEEDBACK => Chain::Feedback(iv),
        DOUBLE_PIPELINE => Chain::DoublePipeline,
        _ => Chain::Counter,
    };
    let first = wanted.len.ok_or_else(needs_len)?;
    let lens: Vec<usize> = std::iter::once(first)
        .chain(wanted.more.iter().copied())
        .collect();
    if lens.iter().any(|len| *len > MOST) || lens.len() > 64 {
        return Err(too_long());
    }
    // No two keys share a segment of the function's output.
    let spans: Vec<usize> = lens
        .iter()
        .map(|len| len.next_multiple_of(prf.len()))
        .collect();
    let bits = |lens: &[usize]| lens.iter().sum::<usize>() as u64 * 8;

    let mut kept: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let mut lengths = 0;
    for field in data {
        kept.push(Zeroizing::new(match field {
            KbkdfField::Length {
                little_endian,
                bits: width,
                segments,
            } => {
                lengths += 1;
                let total = if *segments { bits(&spans) } else { bits(&lens) };
                number(total, *width, *little_endian)?
            }
            KbkdfField::Bytes(bytes) => bytes.to_vec(),
            KbkdfField::Key(id) => (wanted.key)(*id)?.material()?.secret()?.value().to_vec(),
            KbkdfField::Iteration { .. } | KbkdfField::Counter { .. } => Vec::new(),
        }));
    }
    if lengths > 1 {
        return Err(bad("the length stands once at most"));
    }
    let mut fields = Vec::with_capacity(data.len());
    for (field, bytes) in data.iter().zip(&kept) {
        fields.push(match field {
            KbkdfField::Iteration {
                little_endian,
                bits,
            } if chain == Chain::Counter => counter(*bits, *little_endian)?,
            KbkdfField::Iteration { bits: 0, .. } => Field::Chain,
            KbkdfField::Counter {
                little_endian,
                bits,
            } if chain != Chain::Counter => counter(*bits, *little_endian)?,
            KbkdfField::Iteration { .. } | KbkdfField::Counter { .. } => {
                return Err(bad("this mode has no such counter"));
            }
            _ => Field::Fixed(bytes),
        });
    }
    let mut out = Zeroizing::new(vec![0; spans.iter().sum()]);
    kdf::sp800_108(&prf, chain, &fields, &mut out).map_err(|e| match e {
        hsm_crypto::Error::TooLarge => Error::new(Rv::KEY_SIZE_RANGE, "the counter is too narrow"),
        _ => bad("the fields do not suit the mode"),
    })?;
    let mut at = 0;
    let mut keys = Vec::with_capacity(lens.iter().sum());
    for (len, span) in lens.iter().zip(&spans) {
        keys.extend_from_slice(&out[at..at + len]);
        at += span;
    }
    Ok(Secret::new(keys))
}

const COUNTER: u64 = 0x3AC;
const FEEDBACK: u64 = 0x3AD;
const DOUBLE_PIPELINE: u64 = 0x3AE;

pub(super) const fn kbkdf_row(code: u64, name: &'static str, params: Shape) -> Mech {
    Mech {
        id: MechId(code),
        name,
        keys: kt::SECRETS,
        sizes: (8, 8 * MOST as u32),
        unit: Unit::Bits,
        params,
        derive: Some(kbkdf),
        ..Mech::REFUSES
    }
}

static SP800_108_COUNTER: Mech = kbkdf_row(COUNTER, "CKM_SP800_108_COUNTER_KDF", Shape::Kbkdf);
static SP800_108_FEEDBACK: Mech =
    kbkdf_row(FEEDBACK, "CKM_SP800_108_FEEDBACK_KDF", Shape::KbkdfFeedback);
static SP800_108_DOUBLE_PIPELINE: Mech = kbkdf_row(
    DOUBLE_PIPELINE,
    "CKM_SP800_108_DOUBLE_PIPELINE_KDF",
    Shape::Kbkdf,
);

/// CK_PKCS5_PBKD2_PSEUDO_RANDOM_FUNCTION_TYPE.
fn pbkdf2_hash(prf: u64) -> Option<Hash> {
    Some(match prf {
        1 => Hash::Sha1,
        3 => Hash::Sha224,
        4 => Hash::Sha256,
        5 => Hash::Sha384,
        6 => Hash::Sha512,
        7 => Hash::Sha512_224,
        8 => Hash::Sha512_256,
        _ => return None,
    })
}

fn pbkdf2(mech: &'static Mech, params: &Params<'_>, key: &mut Attrs) -> Result<()> {
    let Params::Pbkdf2 {
        prf,
        salt,
        iterations,
        password,
    } = params
    else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let hash = pbkdf2_hash(*prf).ok_or_else(|| bad("unknown pseudo-random function"))?;
    let iterations = u32::try_from(*iterations)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| bad("the number of iterations is out of range"))?;
    let said = key.ulong(attr::VALUE_LEN).map(usize::try_from);
    let len = match said {
        Some(len) => len.map_err(|_| too_long())?,
        None => kt::fixed_len(key.key_type()).ok_or_else(needs_len)?,
    };
    if len > MOST || !kt::takes_len(key.key_type(), len) {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            format!("{} does not make such a key of {len} bytes", mech.name),
        ));
    }
    let mut value = vec![0; len];
    kdf::pbkdf2(hash, password, salt, iterations, &mut value).map_err(|_| Rv::FUNCTION_FAILED)?;
    key.set(attr::VALUE, Value::Bytes(value));
    Ok(())
}

static PBKDF2: Mech = Mech {
    id: MechId(0x3B0),
    name: "CKM_PKCS5_PBKD2",
    keys: kt::SECRETS,
    params: Shape::Pbkdf2,
    generate: Some(pbkdf2),
    ..Mech::REFUSES
};

pub(super) static ALL: &[&Mech] = &[
    &HKDF_DERIVE,
    &HKDF_DATA,
    &SP800_108_COUNTER,
    &SP800_108_FEEDBACK,
    &SP800_108_DOUBLE_PIPELINE,
    &PBKDF2,
];
