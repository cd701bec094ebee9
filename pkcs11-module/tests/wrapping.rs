//! C_WrapKey and C_UnwrapKey with the parameters that PKCS#11 3.2 has for AEAD mechanisms there (CK_GCM_WRAP_PARAMS,
//! CK_CCM_WRAP_PARAMS; "AES-GCM Authenticated Wrap / Unwrap").

use std::ptr::null_mut;

use keystead_pkcs11::ck::v3_2::{CK_CCM_WRAP_PARAMS, CK_GCM_WRAP_PARAMS};
use pkcs11_sys::*;

use crate::raw::{Raw, attr, p11, with};
use crate::rig::Rig;

const AAD: &[u8] = b"whose key this is";

fn gcm(iv: &mut [u8], fixed: CK_ULONG, generator: CK_ULONG, aad: &[u8]) -> CK_GCM_WRAP_PARAMS {
    CK_GCM_WRAP_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: iv.len() as CK_ULONG,
        ulIvFixedBits: fixed,
        ivGenerator: generator,
        pAAD: aad.as_ptr().cast_mut(),
        ulAADLen: aad.len() as CK_ULONG,
        ulTagBits: 128,
    }
}

fn ccm(nonce: &mut [u8], fixed: CK_ULONG, generator: CK_ULONG, aad: &[u8]) -> CK_CCM_WRAP_PARAMS {
    CK_CCM_WRAP_PARAMS {
        ulDataLen: 32,
        pNonce: nonce.as_mut_ptr(),
        ulNonceLen: nonce.len() as CK_ULONG,
        ulNonceFixedBits: fixed,
        nonceGenerator: generator,
        pAAD: aad.as_ptr().cast_mut(),
        ulAADLen: aad.len() as CK_ULONG,
        ulMACLen: 16,
    }
}

/// The value of the key that comes back.
fn unwrap(raw: &Raw, mech: CK_MECHANISM, key: CK_ULONG, wrapped: &[u8]) -> Result<Vec<u8>, CK_RV> {
    let template = vec![
        attr(CKA_CLASS, &CKO_SECRET_KEY),
        attr(CKA_KEY_TYPE, &CKK_AES),
        attr(CKA_EXTRACTABLE, &CK_TRUE),
        attr(CKA_SENSITIVE, &CK_FALSE),
    ];
    let made = raw.unwrap(mech, key, wrapped, template)?;
    Ok(raw.get(made, CKA_VALUE).unwrap())
}

fn goes_out_and_in(raw: &Raw) {
    let keys = [raw.aes(), raw.aes()];
    let value = raw.get(keys[1], CKA_VALUE).unwrap();
    for (fixed, generator) in [
        (0, CKG_GENERATE),
        (32, CKG_GENERATE_RANDOM),
        (0, CKG_NO_GENERATE),
    ] {
        for is_gcm in [true, false] {
            let given = [7u8; 12];
            let mut iv = given;
            let mech = |iv: &mut [u8], aad| match is_gcm {
                true => Either::Gcm(gcm(iv, fixed, generator, aad)),
                false => Either::Ccm(ccm(iv, fixed, generator, aad)),
            };
            let wrapped = raw
                .wrap(mech(&mut iv, AAD).mech(), keys[0], keys[1])
                .unwrap();
            assert_eq!(wrapped.len(), 48, "the tag stands behind the key");
            assert_eq!(iv[..fixed as usize / 8], given[..fixed as usize / 8]);
            assert_eq!(iv == given, generator == CKG_NO_GENERATE, "{iv:?}");
            // How the IV was made is ignored when the key comes back.
            let mut same = iv;
            let mut back = mech(&mut same, AAD);
            back.says_nonsense();
            assert_eq!(
                unwrap(raw, back.mech(), keys[0], &wrapped),
                Ok(value.clone())
            );
            let other = unwrap(raw, mech(&mut same, b"another's").mech(), keys[0], &wrapped);
            assert_eq!(other, Err(CKR_WRAPPED_KEY_INVALID));
            let mut short = wrapped.clone();
            short[47] ^= 1;
            let other = unwrap(raw, mech(&mut same, AAD).mech(), keys[0], &short);
            assert_eq!(other, Err(CKR_WRAPPED_KEY_INVALID));
            // The parameters of C_EncryptInit say the same, as in earlier versions of the specification.
            if is_gcm {
                let mut old = CK_GCM_PARAMS {
                    pIv: same.as_mut_ptr(),
                    ulIvLen: 12,
                    ulIvBits: 96,
                    pAAD: AAD.as_ptr().cast_mut(),
                    ulAADLen: AAD.len() as CK_ULONG,
                    ulTagBits: 128,
                };
                let came = unwrap(raw, with(CKM_AES_GCM, &mut old), keys[0], &wrapped);
                assert_eq!(came, Ok(value.clone()));
            }
        }
    }
}

enum Either {
    Gcm(CK_GCM_WRAP_PARAMS),
    Ccm(CK_CCM_WRAP_PARAMS),
}

impl Either {
    fn mech(&mut self) -> CK_MECHANISM {
        match self {
            Either::Gcm(p) => with(CKM_AES_GCM, p),
            Either::Ccm(p) => with(CKM_AES_CCM, p),
        }
    }
    fn says_nonsense(&mut self) {
        match self {
            Either::Gcm(p) => (p.ulIvFixedBits, p.ivGenerator) = (9999, 77),
            Either::Ccm(p) => (p.ulNonceFixedBits, p.nonceGenerator) = (9999, 77),
        }
    }
}

#[test]
fn keys_wrapped_with_parameters_of_their_own() {
    goes_out_and_in(&Raw::new());
}

#[test]
fn keys_wrapped_so_on_a_cluster() {
    goes_out_and_in(&Rig::new("standard").raw());
}

#[test]
fn a_query_makes_no_iv_and_lies_are_refused() {
    let raw = Raw::new();
    let keys = [raw.aes(), raw.aes()];
    let mut iv = [7u8; 12];
    let mut p = gcm(&mut iv, 0, CKG_GENERATE, AAD);
    let (mut mech, mut len) = (with(CKM_AES_GCM, &mut p), 0);
    let rv = p11!(
        raw,
        C_WrapKey,
        raw.h,
        &mut mech,
        keys[0],
        keys[1],
        null_mut(),
        &mut len
    );
    assert_eq!((rv, len, iv), (CKR_OK, 48, [7; 12]));
    let mut short = [0u8; 47];
    len = 47;
    let rv = p11!(
        raw,
        C_WrapKey,
        raw.h,
        &mut mech,
        keys[0],
        keys[1],
        short.as_mut_ptr(),
        &mut len
    );
    assert_eq!((rv, len), (CKR_BUFFER_TOO_SMALL, 48));
    type Lie = fn(&mut CK_GCM_WRAP_PARAMS);
    let lies: [Lie; 9] = [
        |p| p.pIv = null_mut(),
        |p| p.ulIvLen = 0,
        |p| p.ulIvLen = CK_ULONG::MAX,
        |p| p.ulTagBits = 136,
        |p| p.ulTagBits = 0,
        |p| p.ulIvFixedBits = 97,
        |p| p.ivGenerator = CKG_GENERATE_COUNTER,
        |p| p.pAAD = null_mut(),
        |p| p.ulAADLen = CK_ULONG::MAX,
    ];
    for (i, lie) in lies.iter().enumerate() {
        let mut p = gcm(&mut iv, 0, CKG_GENERATE, AAD);
        lie(&mut p);
        let rv = raw.wrap(with(CKM_AES_GCM, &mut p), keys[0], keys[1]);
        assert_eq!(rv, Err(CKR_MECHANISM_PARAM_INVALID), "lie {i}");
    }
    let mut p = gcm(&mut iv, 0, CKG_GENERATE, &[]);
    p.pAAD = null_mut();
    assert!(
        raw.wrap(with(CKM_AES_GCM, &mut p), keys[0], keys[1])
            .is_ok()
    );
    // CloudHSM's library knows no such parameters.
    let on = Rig::new("cloudhsm").raw();
    let keys = [on.aes(), on.aes()];
    let mut p = gcm(&mut iv, 0, CKG_GENERATE, AAD);
    let refused = on.wrap(with(CKM_AES_GCM, &mut p), keys[0], keys[1]);
    assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID));
}
