//! The personality `cloudhsm`: what the real library refuses fails here too, and the log says by which
//! rule. What needs a cluster is in `cluster.rs`.

use std::ptr::null_mut;

use pkcs11_sys::*;

use crate::raw::{CLOUDHSM, Raw, attr, bytes, p11, plain, with};

fn cloudhsm() -> Raw {
    Raw::new().configured("log = \"log\"\n", CLOUDHSM)
}

fn log(raw: &Raw) -> String {
    std::fs::read_to_string(raw.copy.dir().join("log")).unwrap_or_default()
}

/// C_GenerateKey for AES.
fn aes(raw: &Raw, more: &[CK_ATTRIBUTE]) -> (CK_RV, CK_OBJECT_HANDLE) {
    let len: CK_ULONG = 32;
    let mut template = [&[attr(CKA_VALUE_LEN, &len)], more].concat();
    let (t, n) = (template.as_mut_ptr(), template.len() as CK_ULONG);
    let (mut mech, mut key) = (plain(CKM_AES_KEY_GEN), 0);
    let rv = p11!(raw, C_GenerateKey, raw.h, &mut mech, t, n, &mut key);
    (rv, key)
}

#[test]
fn functions_that_are_not_there() {
    let raw = cloudhsm();
    let (h, none) = (raw.h, null_mut());
    let (_, key) = aes(&raw, &[attr(CKA_ENCRYPT, &CK_TRUE)]);
    let (mut pin, mut made, mut size, mut byte) = (*b"1234", 0, 0, 0u8);
    let (pin, b) = (pin.as_mut_ptr(), &raw mut byte);
    let mut rsa = plain(CKM_RSA_PKCS);
    let mut gcm = plain(CKM_AES_GCM);
    let refused = [
        (
            "C_CopyObject",
            p11!(raw, C_CopyObject, h, key, null_mut(), 0, &mut made),
        ),
        (
            "C_GetObjectSize",
            p11!(raw, C_GetObjectSize, h, key, &mut size),
        ),
        (
            "C_SetAttributeValue",
            p11!(raw, C_SetAttributeValue, h, key, null_mut(), 0),
        ),
        ("C_SetPIN", p11!(raw, C_SetPIN, h, pin, 4, pin, 4)),
        ("C_InitPIN", p11!(raw, C_InitPIN, h, pin, 4)),
        ("C_SeedRandom", p11!(raw, C_SeedRandom, h, pin, 4)),
        ("C_DigestKey", p11!(raw, C_DigestKey, h, key)),
        (
            "C_SignRecoverInit",
            p11!(raw, C_SignRecoverInit, h, &mut rsa, key),
        ),
        (
            "C_VerifyRecoverInit",
            p11!(raw, C_VerifyRecoverInit, h, &mut rsa, key),
        ),
        (
            "C_DigestEncryptUpdate",
            p11!(raw, C_DigestEncryptUpdate, h, b, 1, b, &mut size),
        ),
        (
            "C_GetOperationState",
            p11!(raw, C_GetOperationState, h, b, &mut size),
        ),
        (
            "C_SetOperationState",
            p11!(raw, C_SetOperationState, h, b, 1, 0, 0),
        ),
        (
            "C_MessageEncryptInit",
            p11!(raw, C_MessageEncryptInit, h, &mut gcm, key),
        ),
        (
            "C_LoginUser",
            p11!(raw, C_LoginUser, h, CKU_USER, pin, 4, pin, 4),
        ),
    ];
    for (name, rv) in refused {
        assert_eq!(rv, CKR_FUNCTION_NOT_SUPPORTED, "{name}");
        let log = log(&raw);
        let line = log.lines().rfind(|l| l.contains(name)).expect(name);
        assert!(line.contains("personality cloudhsm: "), "{line}");
    }
    let flags = CKF_SERIAL_SESSION;
    let rv = p11!(raw, C_OpenSession, raw.slot, flags, none, None, &mut made);
    assert_eq!(rv, CKR_FUNCTION_FAILED);
    let rw = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    for _ in 1..1024 {
        raw.open();
    }
    let rv = p11!(raw, C_OpenSession, raw.slot, rw, none, None, &mut made);
    assert_eq!(rv, CKR_SESSION_COUNT);
}

#[test]
fn mechanisms_that_are_not_there() {
    let raw = cloudhsm();
    let listed = raw.mechanisms();
    assert!(listed.contains(&CKM_AES_GCM) && !listed.contains(&CKM_SHA3_256));
    let mut info = CK_MECHANISM_INFO {
        ulMinKeySize: 0,
        ulMaxKeySize: 0,
        flags: 0,
    };
    let rv = p11!(raw, C_GetMechanismInfo, raw.slot, CKM_RSA_PKCS, &mut info);
    assert_eq!((rv, info.flags & CKF_SIGN_RECOVER), (CKR_OK, 0));
    assert_ne!(info.flags & CKF_WRAP, 0);
    let rv = p11!(raw, C_GetMechanismInfo, raw.slot, CKM_SHA3_256, &mut info);
    assert_eq!(rv, CKR_MECHANISM_INVALID);
    let mut sha3 = plain(CKM_SHA3_256);
    assert_eq!(
        p11!(raw, C_DigestInit, raw.h, &mut sha3),
        CKR_MECHANISM_INVALID
    );
    let yes = [CKA_WRAP, CKA_ENCRYPT, CKA_DECRYPT].map(|usage| attr(usage, &CK_TRUE));
    let (_, key) = aes(&raw, &yes);
    let mut iv = [0u8; 16];
    let mut cbc = with(CKM_AES_CBC, &mut iv);
    let mut len = 0;
    let rv = p11!(
        raw,
        C_WrapKey,
        raw.h,
        &mut cbc,
        key,
        key,
        null_mut(),
        &mut len
    );
    assert_eq!(rv, CKR_MECHANISM_INVALID, "CBC encrypts, but wraps nothing");
    assert_eq!(p11!(raw, C_EncryptInit, raw.h, &mut cbc, key), CKR_OK);
    let data = vec![0u8; 16_288];
    let d = data.as_ptr().cast_mut();
    let rv = p11!(raw, C_Encrypt, raw.h, d, 16_288, null_mut(), &mut len);
    assert_eq!(rv, CKR_DATA_LEN_RANGE);
    assert!(log(&raw).contains("takes at most 16272 bytes"));
    assert_eq!(p11!(raw, C_DecryptInit, raw.h, &mut cbc, key), CKR_OK);
    let rv = p11!(raw, C_Decrypt, raw.h, d, 16_288, null_mut(), &mut len);
    assert_eq!(rv, CKR_ENCRYPTED_DATA_LEN_RANGE);
    assert_eq!(p11!(raw, C_EncryptInit, raw.h, &mut cbc, key), CKR_OK);
    let rv = p11!(raw, C_Encrypt, raw.h, d, 16_272, null_mut(), &mut len);
    assert_eq!((rv, len), (CKR_OK, 16_272));
}

/// Whichever way they come: the rule is in the log.
#[test]
fn keys_that_are_not_there() {
    const CHACHA20: CK_KEY_TYPE = 0x33;
    const EDWARDS: CK_KEY_TYPE = 0x40;
    let raw = cloudhsm();
    let (secret, private) = (CKO_SECRET_KEY, CKO_PRIVATE_KEY);
    let typed = |class: &CK_OBJECT_CLASS, ty: &CK_KEY_TYPE, more: &[CK_ATTRIBUTE]| {
        let own = [attr(CKA_CLASS, class), attr(CKA_KEY_TYPE, ty)];
        [&own[..], more].concat()
    };
    let value = [5u8; 1000];
    let of = |len: usize| bytes(CKA_VALUE, &value[..len]);
    let brainpool = [6u8, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7];
    let ed25519 = [6u8, 3, 0x2b, 0x65, 0x70];
    let (params, ed) = (
        bytes(CKA_EC_PARAMS, &brainpool),
        bytes(CKA_EC_PARAMS, &ed25519),
    );
    let short = [0xC3u8; 128];
    let rsa = [
        bytes(CKA_MODULUS, &short),
        bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1]),
    ];
    let invalid = CKR_ATTRIBUTE_VALUE_INVALID;
    for (template, rv, rule) in [
        (
            typed(&secret, &CHACHA20, &[of(32)]),
            invalid,
            "the library's keys are",
        ),
        (
            typed(&private, &EDWARDS, &[ed, of(32)]),
            invalid,
            "the library's keys are",
        ),
        (
            typed(&secret, &CKK_GENERIC_SECRET, &[of(801)]),
            invalid,
            "1 to 800 bytes",
        ),
        (
            typed(&private, &CKK_EC, &[params, of(32)]),
            CKR_CURVE_NOT_SUPPORTED,
            "the curves are",
        ),
        (
            typed(&CKO_PUBLIC_KEY, &CKK_RSA, &rsa),
            invalid,
            "2048 to 4096 bits",
        ),
    ] {
        assert_eq!(raw.create(template), Err(rv), "{rule}");
        assert!(
            log(&raw)
                .lines()
                .last()
                .is_some_and(|line| line.contains(rule)),
            "{rule}"
        );
    }
    assert!(
        raw.create(typed(&secret, &CKK_GENERIC_SECRET, &[of(800)]))
            .is_ok()
    );
    // Unwrapped, and derived.
    let usages = [CKA_WRAP, CKA_UNWRAP].map(|usage| attr(usage, &CK_TRUE));
    let (_, by) = aes(&raw, &usages);
    let (_, key) = aes(&raw, &[]);
    let wrapped = raw.wrap(plain(0x8000_2109), by, key).unwrap();
    let back =
        |ty: &CK_KEY_TYPE| raw.unwrap(plain(0x8000_2109), by, &wrapped, typed(&secret, ty, &[]));
    assert_eq!(back(&CHACHA20), Err(invalid));
    assert!(back(&CKK_AES).is_ok());
    let p256 = [6u8, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    let public = vec![bytes(CKA_EC_PARAMS, &p256)];
    let [public, private] = raw
        .pair(
            plain(CKM_EC_KEY_PAIR_GEN),
            public,
            vec![attr(CKA_DERIVE, &CK_TRUE)],
        )
        .unwrap();
    let mut point = raw.get(public, CKA_EC_POINT).unwrap();
    let mut agree = |kdf, ty: &CK_KEY_TYPE| {
        let mut params = CK_ECDH1_DERIVE_PARAMS {
            kdf,
            ulSharedDataLen: 0,
            pSharedData: null_mut(),
            ulPublicDataLen: point.len() as CK_ULONG,
            pPublicData: point.as_mut_ptr(),
        };
        let (len, mut made): (CK_ULONG, _) = (32, 0);
        let mut template = typed(&secret, ty, &[attr(CKA_VALUE_LEN, &len)]);
        let (t, n) = (template.as_mut_ptr(), template.len() as CK_ULONG);
        let mut mech = with(CKM_ECDH1_DERIVE, &mut params);
        p11!(raw, C_DeriveKey, raw.h, &mut mech, private, t, n, &mut made)
    };
    const SHA256: CK_EC_KDF_TYPE = 6;
    const SHA3_256: CK_EC_KDF_TYPE = 11;
    for kdf in [CKD_NULL, SHA3_256] {
        assert_eq!(agree(kdf, &CKK_AES), CKR_MECHANISM_PARAM_INVALID);
        assert!(log(&raw).contains("ECDH derives by X9.63"));
    }
    assert_eq!(agree(SHA256, &CHACHA20), invalid);
    assert_eq!(agree(SHA256, &CKK_AES), CKR_OK);
}

#[test]
fn gcm_as_the_hsm_wants_it() {
    let raw = cloudhsm();
    let (_, key) = aes(
        &raw,
        &[attr(CKA_ENCRYPT, &CK_TRUE), attr(CKA_DECRYPT, &CK_TRUE)],
    );
    let mut iv = [0u8; 12];
    let init = |iv: &mut [u8], key| {
        let mut p = CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: iv.len() as CK_ULONG,
            ulIvBits: iv.len() as CK_ULONG * 8,
            pAAD: null_mut(),
            ulAADLen: 0,
            ulTagBits: 128,
        };
        p11!(
            raw,
            C_EncryptInit,
            raw.h,
            &mut with(CKM_AES_GCM, &mut p),
            key
        )
    };
    assert_eq!(init(&mut [1; 12], key), CKR_MECHANISM_PARAM_INVALID);
    assert_eq!(init(&mut [0; 16], key), CKR_MECHANISM_PARAM_INVALID);
    assert_eq!(init(&mut iv, key), CKR_OK);
    assert_ne!(iv, [0; 12], "written back");
    let (mut byte, mut out, mut len) = (7u8, [0u8; 64], 64);
    let rv = p11!(
        raw,
        C_EncryptUpdate,
        raw.h,
        &mut byte,
        1,
        out.as_mut_ptr(),
        &mut len
    );
    assert_eq!(rv, CKR_MECHANISM_INVALID, "no parts");
    assert!(log(&raw).contains("AES-GCM works in one part only"));
}

#[test]
fn attributes_by_the_librarys_table() {
    let raw = cloudhsm();
    let (rv, key) = aes(&raw, &[]);
    assert_eq!(rv, CKR_OK);
    for (ty, wanted) in [
        (CKA_TOKEN, 0),
        (CKA_PRIVATE, 1),
        (CKA_ENCRYPT, 0),
        (CKA_DECRYPT, 0),
        (CKA_SIGN, 1),
        (CKA_VERIFY, 1),
        (CKA_WRAP, 0),
        (CKA_UNWRAP, 0),
        (CKA_DERIVE, 0),
        (CKA_SENSITIVE, 1),
        (CKA_EXTRACTABLE, 1),
        (CKA_NEVER_EXTRACTABLE, 0),
        (CKA_LOCAL, 1),
    ] {
        assert_eq!(raw.get(key, ty), Ok(vec![wanted]), "{ty:#x}");
    }
    assert_eq!(raw.get(key, CKA_COPYABLE), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    let day = *b"20260101";
    for (more, rv) in [
        (attr(CKA_START_DATE, &day), CKR_TEMPLATE_INCONSISTENT),
        (attr(CKA_COPYABLE, &CK_TRUE), CKR_TEMPLATE_INCONSISTENT),
        (attr(CKA_PRIVATE, &CK_FALSE), CKR_TEMPLATE_INCONSISTENT),
        (attr(CKA_MODIFIABLE, &CK_FALSE), CKR_TEMPLATE_INCONSISTENT),
        (attr(CKA_LOCAL, &CK_TRUE), CKR_ATTRIBUTE_READ_ONLY),
        (attr(CKA_VALUE, &day), CKR_ATTRIBUTE_READ_ONLY),
        (attr(CKA_TRUSTED, &CK_TRUE), CKR_ATTRIBUTE_READ_ONLY),
    ] {
        assert_eq!(aes(&raw, &[more]).0, rv, "{:#x}", more.type_);
    }
    let mut made = 0;
    let mut mech = plain(CKM_AES_KEY_GEN);
    let rv = p11!(
        raw,
        C_GenerateKey,
        raw.h,
        &mut mech,
        null_mut(),
        0,
        &mut made
    );
    assert_eq!(rv, CKR_TEMPLATE_INCOMPLETE, "without CKA_VALUE_LEN");

    let (class, kind, value) = (CKO_SECRET_KEY, CKK_AES, [7u8; 16]);
    let mut template = [
        attr(CKA_CLASS, &class),
        attr(CKA_VALUE, &value),
        attr(CKA_KEY_TYPE, &kind),
    ];
    let t = template.as_mut_ptr();
    let rv = p11!(raw, C_CreateObject, raw.h, t, 2, &mut made);
    assert_eq!(rv, CKR_TEMPLATE_INCOMPLETE, "without CKA_KEY_TYPE");
    assert_eq!(p11!(raw, C_CreateObject, raw.h, t, 3, &mut made), CKR_OK);
    assert_eq!(
        raw.get(made, CKA_SIGN),
        Ok(vec![0]),
        "created, not generated"
    );
    assert_eq!(raw.get(made, CKA_LOCAL), Ok(vec![0]));

    let (mut a, mut b) = (0, 0);
    let mut pair = |public: &mut [CK_ATTRIBUTE]| {
        let mut mech = plain(CKM_RSA_PKCS_KEY_PAIR_GEN);
        let (p, n) = (public.as_mut_ptr(), public.len() as CK_ULONG);
        let none = null_mut();
        p11!(
            raw,
            C_GenerateKeyPair,
            raw.h,
            &mut mech,
            p,
            n,
            none,
            0,
            &mut a,
            &mut b
        )
    };
    let (bits, odd): (CK_ULONG, CK_ULONG) = (2048, 2049);
    let exponent = [1u8, 0, 1];
    let exponent = attr(CKA_PUBLIC_EXPONENT, &exponent);
    assert_eq!(
        pair(&mut [attr(CKA_MODULUS_BITS, &bits)]),
        CKR_TEMPLATE_INCOMPLETE
    );
    let rv = pair(&mut [attr(CKA_MODULUS_BITS, &odd), exponent]);
    assert_eq!(rv, CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(pair(&mut [attr(CKA_MODULUS_BITS, &bits), exponent]), CKR_OK);
    assert_eq!(raw.get(b, CKA_SIGN), Ok(vec![0]));
    assert_eq!(raw.get(a, CKA_VERIFY), Ok(vec![0]));
}
