//! RSA (PKCS#11 3.2, "RSA").

use hsm_api::{Error, MechId, Op, Params, Result, Rv, Value};
use hsm_crypto::{Hash, Oaep, Pss, RsaKey};

use super::stream::HashThen;
use super::{Call, Mech, Output, Shape, Unit, fault, hash_of, mgf_hash};
use crate::attr;
use crate::code::key_type as kt;
use crate::object::Attrs;

fn bad_params() -> Error {
    Error::new(
        Rv::MECHANISM_PARAM_INVALID,
        "unknown hash, mask generation function or salt length",
    )
}

fn oaep<'a>(call: &'a Call<'_>) -> Result<Oaep<'a>> {
    match call.params {
        Params::Oaep { hash, mgf, label } => Ok(Oaep {
            hash: hash_of(*hash).ok_or_else(bad_params)?,
            mgf: mgf_hash(*mgf).ok_or_else(bad_params)?,
            label,
        }),
        _ => Err(bad_params()),
    }
}

fn pss(call: &Call<'_>) -> Result<Pss> {
    match call.params {
        Params::Pss {
            hash,
            mgf,
            salt_len,
        } => Ok(Pss {
            hash: hash_of(*hash).ok_or_else(bad_params)?,
            mgf: mgf_hash(*mgf).ok_or_else(bad_params)?,
            salt_len: usize::try_from(*salt_len).map_err(|_| bad_params())?,
        }),
        _ => Err(bad_params()),
    }
}

fn pkcs_encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key
        .rsa()?
        .encrypt_pkcs1(data, out)
        .map_err(fault::data)
}

fn pkcs_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key
        .rsa()?
        .decrypt_pkcs1(data, out)
        .map_err(fault::cipher)
}

fn pkcs_sign(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key
        .rsa()?
        .sign_pkcs1_raw(data, out)
        .map_err(fault::data)
}

fn pkcs_verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    call.key
        .rsa()?
        .verify_pkcs1_raw(data, signature)
        .map_err(fault::signature)
}

fn pkcs_recover(call: &Call<'_>, signature: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key
        .rsa()?
        .recover_pkcs1(signature, out)
        .map_err(fault::signature)
}

fn raw_private(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key.rsa()?.private_raw(data, out).map_err(fault::data)
}

fn raw_public(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key.rsa()?.public_raw(data, out).map_err(fault::data)
}

fn raw_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.rsa()?;
    if data.len() != key.size() {
        return Err(Error::new(
            Rv::ENCRYPTED_DATA_LEN_RANGE,
            "the ciphertext is as long as the modulus",
        ));
    }
    key.private_raw(data, out).map_err(fault::cipher)
}

fn raw_verify(call: &Call<'_>, data: &[u8], signature: &[u8]) -> Result<()> {
    let key = call.key.rsa()?;
    if signature.len() != key.size() || data.len() > key.size() {
        return Err(fault::signature(hsm_crypto::Error::BadLength));
    }
    let mut seen = vec![0; key.size()];
    key.public_raw(signature, &mut seen)
        .map_err(fault::signature)?;
    let (zeros, tail) = seen.split_at(key.size() - data.len());
    if zeros.iter().all(|&b| b == 0) && tail == data {
        return Ok(());
    }
    Err(fault::signature(hsm_crypto::Error::Mismatch))
}

fn raw_recover(call: &Call<'_>, signature: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.rsa()?;
    if signature.len() != key.size() {
        return Err(fault::signature(hsm_crypto::Error::BadLength));
    }
    key.public_raw(signature, out).map_err(fault::signature)
}

fn oaep_encrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key
        .rsa()?
        .encrypt_oaep(&oaep(call)?, data, out)
        .map_err(fault::data)
}

fn oaep_decrypt(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key
        .rsa()?
        .decrypt_oaep(&oaep(call)?, data, out)
        .map_err(fault::cipher)
}

/// Signs a digest as the row's parameter shape says: PSS or PKCS#1 v1.5.
fn sign_digest(call: &Call<'_>, digest: &[u8], out: &mut [u8]) -> Result<usize> {
    let key = call.key.rsa()?;
    match (call.mech.params, call.mech.hash) {
        (Shape::Pss, _) => {
            let pss = pss(call)?;
            if !key.has_room_for(&pss).map_err(fault::data)? {
                return Err(Error::new(
                    Rv::MECHANISM_PARAM_INVALID,
                    "the salt is too long for the key",
                ));
            }
            key.sign_pss(&pss, digest, out)
        }
        (_, Some(hash)) => key.sign_pkcs1(hash, digest, out),
        _ => return Err(Rv::MECHANISM_INVALID.into()),
    }
    .map_err(fault::data)
}

fn verify_digest(call: &Call<'_>, digest: &[u8], signature: &[u8]) -> Result<()> {
    let key = call.key.rsa()?;
    match (call.mech.params, call.mech.hash) {
        (Shape::Pss, _) => key.verify_pss(&pss(call)?, digest, signature),
        (_, Some(hash)) => key.verify_pkcs1(hash, digest, signature),
        _ => return Err(Rv::MECHANISM_INVALID.into()),
    }
    .map_err(fault::signature)
}

fn hash(call: &Call<'_>) -> Result<Hash> {
    call.mech.hash.ok_or_else(|| Rv::MECHANISM_INVALID.into())
}

/// RSA takes any exponent that is odd and not 1; 65537 unless the template says.
fn generate_pair(
    mech: &'static Mech,
    _params: &Params<'_>,
    public: &mut Attrs,
    private: &mut Attrs,
) -> Result<()> {
    let bits = public.ulong(attr::MODULUS_BITS).unwrap_or(0);
    let fits = u32::try_from(bits).is_ok_and(|b| (mech.sizes.0..=mech.sizes.1).contains(&b));
    if !fits {
        return Err(Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            format!("no RSA keys of {bits} bits here"),
        ));
    }
    let exponent = public
        .bytes(attr::PUBLIC_EXPONENT)
        .filter(|e| !e.is_empty());
    let exponent = exponent.unwrap_or(&[1, 0, 1]).to_vec();
    let key = RsaKey::generate(bits as usize, &exponent).map_err(|e| match e {
        hsm_crypto::Error::BadLength => Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            "the modulus is a multiple of 128 bits",
        ),
        e => fault::template(e),
    })?;
    fill_private(&key, private)?;
    public.set(
        attr::MODULUS,
        Value::Bytes(key.n().map_err(fault::template)?),
    );
    public.set(
        attr::PUBLIC_EXPONENT,
        Value::Bytes(key.e().map_err(fault::template)?),
    );
    Ok(())
}

/// All numbers of a private key, into its attributes.
pub(crate) fn fill_private(key: &RsaKey, private: &mut Attrs) -> Result<()> {
    let parts = key.parts().map_err(fault::template)?;
    private.set(attr::MODULUS, Value::Bytes(parts.n));
    private.set(attr::PUBLIC_EXPONENT, Value::Bytes(parts.e));
    private.set(attr::PRIVATE_EXPONENT, Value::Bytes(parts.d.to_vec()));
    if let Some(crt) = parts.crt {
        for (ty, number) in [
            (attr::PRIME_1, crt.p),
            (attr::PRIME_2, crt.q),
            (attr::EXPONENT_1, crt.dp),
            (attr::EXPONENT_2, crt.dq),
            (attr::COEFFICIENT, crt.qinv),
        ] {
            private.set(ty, Value::Bytes(number.to_vec()));
        }
    }
    Ok(())
}

const RSA: Mech = Mech {
    keys: &[kt::RSA],
    sizes: (1024, 8192),
    unit: Unit::Bits,
    output: Output::Modulus,
    ..Mech::REFUSES
};

static KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x0),
    name: "CKM_RSA_PKCS_KEY_PAIR_GEN",
    generate_pair: Some(generate_pair),
    ..RSA
};

/// X9.31 asks for primes whose neighbours have large factors, against factoring methods that no key
/// of today's sizes need fear: its own successor dropped that for random primes, which these are.
static X9_31_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0xA),
    name: "CKM_RSA_X9_31_KEY_PAIR_GEN",
    sizes: (2048, 8192),
    generate_pair: Some(generate_pair),
    ..RSA
};

static PKCS: Mech = Mech {
    id: MechId(0x1),
    name: "CKM_RSA_PKCS",
    fips_signs_only: true,
    encrypt: Some(pkcs_encrypt),
    decrypt: Some(pkcs_decrypt),
    sign: Some(pkcs_sign),
    verify: Some(pkcs_verify),
    sign_recover: Some(pkcs_sign),
    verify_recover: Some(pkcs_recover),
    wrap: Some(pkcs_encrypt),
    unwrap: Some(pkcs_decrypt),
    ..RSA
};

static X_509: Mech = Mech {
    id: MechId(0x3),
    name: "CKM_RSA_X_509",
    encrypt: Some(raw_public),
    decrypt: Some(raw_decrypt),
    sign: Some(raw_private),
    verify: Some(raw_verify),
    sign_recover: Some(raw_private),
    verify_recover: Some(raw_recover),
    ..RSA
};

static OAEP: Mech = Mech {
    id: MechId(0x9),
    name: "CKM_RSA_PKCS_OAEP",
    params: Shape::Oaep,
    encrypt: Some(oaep_encrypt),
    decrypt: Some(oaep_decrypt),
    wrap: Some(oaep_encrypt),
    unwrap: Some(oaep_decrypt),
    ..RSA
};

/// The caller has hashed already.
static PSS: Mech = Mech {
    id: MechId(0xD),
    name: "CKM_RSA_PKCS_PSS",
    params: Shape::Pss,
    sign: Some(sign_digest),
    verify: Some(verify_digest),
    ..RSA
};

const fn hashed(code: u64, name: &'static str, of: Hash, params: Shape) -> Mech {
    Mech {
        id: MechId(code),
        name,
        params,
        legacy: matches!(of, Hash::Md5),
        hash: Some(of),
        sign: Some(|call, data, out| sign_digest(call, &hash(call)?.digest(data), out)),
        verify: Some(|call, data, sig| verify_digest(call, &hash(call)?.digest(data), sig)),
        stream: Some(|call, _: Op| Ok(HashThen::open(hash(call)?, sign_digest, verify_digest))),
        ..RSA
    }
}

macro_rules! rows {
    ($($id:ident $code:literal $hash:ident $shape:ident;)*) => {
        $(static $id: Mech = hashed($code, concat!("CKM_", stringify!($id)), Hash::$hash, Shape::$shape);)*
        pub(super) static ALL: &[&Mech] = &[&KEY_PAIR_GEN, &X9_31_KEY_PAIR_GEN, &PKCS, &X_509, &OAEP, &PSS, $(&$id),*];
    };
}

rows! {
    MD5_RSA_PKCS 0x5 Md5 Nothing;
    SHA1_RSA_PKCS 0x6 Sha1 Nothing;
    SHA224_RSA_PKCS 0x46 Sha224 Nothing;
    SHA256_RSA_PKCS 0x40 Sha256 Nothing;
    SHA384_RSA_PKCS 0x41 Sha384 Nothing;
    SHA512_RSA_PKCS 0x42 Sha512 Nothing;
    SHA3_256_RSA_PKCS 0x60 Sha3_256 Nothing;
    SHA3_384_RSA_PKCS 0x61 Sha3_384 Nothing;
    SHA3_512_RSA_PKCS 0x62 Sha3_512 Nothing;
    SHA3_224_RSA_PKCS 0x66 Sha3_224 Nothing;
    SHA1_RSA_PKCS_PSS 0xE Sha1 Pss;
    SHA224_RSA_PKCS_PSS 0x47 Sha224 Pss;
    SHA256_RSA_PKCS_PSS 0x43 Sha256 Pss;
    SHA384_RSA_PKCS_PSS 0x44 Sha384 Pss;
    SHA512_RSA_PKCS_PSS 0x45 Sha512 Pss;
    SHA3_256_RSA_PKCS_PSS 0x63 Sha3_256 Pss;
    SHA3_384_RSA_PKCS_PSS 0x64 Sha3_384 Pss;
    SHA3_512_RSA_PKCS_PSS 0x65 Sha3_512 Pss;
    SHA3_224_RSA_PKCS_PSS 0x67 Sha3_224 Pss;
}
