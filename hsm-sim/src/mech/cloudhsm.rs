//! The mechanisms that CloudHSM's library has under numbers of its own: GCM whose IV the HSM makes and
//! puts before the ciphertext, key wrapping by its three paddings, the counter-mode derivation.

use hsm_api::{Error, Params, Result, Rv};

use super::{Call, Mech, Output, Shape, aes, kdf};
use hsm_crypto::keywrap;

static AES_GCM: Mech = Mech {
    encrypt: Some(aes::gcm_encrypt),
    decrypt: Some(aes::gcm_decrypt),
    wrap: Some(aes::gcm_encrypt),
    unwrap: Some(aes::gcm_decrypt),
    // Its library feeds no GCM in parts.
    stream: None,
    ..aes::cipher(
        0x8000_1087,
        "CKM_CLOUDHSM_AES_GCM",
        Shape::GcmOwnIv,
        Output::Gcm,
    )
};

/// Its HSMs take the standard's IV only.
fn standard_iv(call: &Call<'_>) -> Result<()> {
    match call.params {
        Params::Iv(iv) if iv[..] != keywrap::KW_IV => Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "the IV is A6A6A6A6A6A6A6A6 or left out",
        )),
        _ => Ok(()),
    }
}

/// Neither encrypts data: they are for keys alone.
const fn wrap_only(row: Mech) -> Mech {
    Mech {
        encrypt: None,
        decrypt: None,
        ..row
    }
}

static NO_PAD: Mech = wrap_only(aes::key_wrap(
    0x8000_2109,
    "CKM_CLOUDHSM_AES_KEY_WRAP_NO_PAD",
    (8, Output::KeyWrap),
    (
        |call, key, out| {
            standard_iv(call)?;
            aes::kw(call, key, out)
        },
        |call, wrapped, out| {
            standard_iv(call)?;
            aes::kw_back(call, wrapped, out)
        },
    ),
));

static PKCS5_PAD: Mech = wrap_only(aes::key_wrap(
    0x8000_210A,
    "CKM_CLOUDHSM_AES_KEY_WRAP_PKCS5_PAD",
    (8, Output::KeyWrapPkcs5),
    (
        |call, key, out| {
            standard_iv(call)?;
            aes::kw_pkcs7(call, key, out)
        },
        |call, wrapped, out| {
            standard_iv(call)?;
            aes::kw_pkcs7_back(call, wrapped, out)
        },
    ),
));

static ZERO_PAD: Mech = Mech {
    params: Shape::Nothing,
    ..wrap_only(aes::key_wrap(
        0x8000_216F,
        "CKM_CLOUDHSM_AES_KEY_WRAP_ZERO_PAD",
        (4, Output::KeyWrapPadded),
        (aes::kwp, aes::kwp_back),
    ))
};

static SP800_108: Mech = kdf::kbkdf_row(
    0x8000_0001,
    "CKM_CLOUDHSM_SP800_108_COUNTER_KDF",
    Shape::Kbkdf,
);

pub(super) static ALL: &[&Mech] = &[&AES_GCM, &NO_PAD, &PKCS5_PAD, &ZERO_PAD, &SP800_108];
