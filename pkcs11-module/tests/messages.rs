//! Message-based functions of 3.0 and the authenticated wrapping of 3.2.

use std::ptr::null_mut;

use pkcs11_sys::*;

use crate::raw::{Raw, attr, p11, p11_3_2, plain, with};

const AAD: &[u8] = b"associated";

/// GCM message parameters over these bytes.
fn gcm(
    iv: &mut [u8],
    tag: &mut [u8],
    fixed: CK_ULONG,
    generator: CK_ULONG,
) -> CK_GCM_MESSAGE_PARAMS {
    CK_GCM_MESSAGE_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: iv.len() as CK_ULONG,
        ulIvFixedBits: fixed,
        ivGenerator: generator,
        pTag: tag.as_mut_ptr(),
        ulTagBits: tag.len() as CK_ULONG * 8,
    }
}

const PARAM: CK_ULONG = size_of::<CK_GCM_MESSAGE_PARAMS>() as CK_ULONG;

fn at(bytes: &[u8]) -> (CK_BYTE_PTR, CK_ULONG) {
    (bytes.as_ptr().cast_mut(), bytes.len() as CK_ULONG)
}

/// C_EncryptMessage.
fn seal(raw: &Raw, p: &mut CK_GCM_MESSAGE_PARAMS, data: &[u8]) -> Result<Vec<u8>, CK_RV> {
    let ((a, a_len), (d, d_len)) = (at(AAD), at(data));
    let p = (&raw mut *p).cast();
    let mut out = vec![0; data.len()];
    let mut len = out.len() as CK_ULONG;
    let to = out.as_mut_ptr();
    match p11!(
        raw,
        C_EncryptMessage,
        raw.h,
        p,
        PARAM,
        a,
        a_len,
        d,
        d_len,
        to,
        &mut len
    ) {
        CKR_OK => Ok(out),
        rv => Err(rv),
    }
}

/// C_DecryptMessage.
fn open(raw: &Raw, p: &mut CK_GCM_MESSAGE_PARAMS, data: &[u8]) -> Result<Vec<u8>, CK_RV> {
    let ((a, a_len), (d, d_len)) = (at(AAD), at(data));
    let p = (&raw mut *p).cast();
    let mut out = vec![0; data.len()];
    let mut len = out.len() as CK_ULONG;
    let to = out.as_mut_ptr();
    match p11!(
        raw,
        C_DecryptMessage,
        raw.h,
        p,
        PARAM,
        a,
        a_len,
        d,
        d_len,
        to,
        &mut len
    ) {
        CKR_OK => Ok(out[..len as usize].to_vec()),
        rv => Err(rv),
    }
}

/// C_Encrypt with the same IV and associated data: ciphertext and tag.
fn in_one(raw: &Raw, key: CK_OBJECT_HANDLE, iv: &[u8], data: &[u8]) -> Vec<u8> {
    let ((iv, iv_len), (a, a_len), (d, d_len)) = (at(iv), at(AAD), at(data));
    let mut p = CK_GCM_PARAMS {
        pIv: iv,
        ulIvLen: iv_len,
        ulIvBits: iv_len * 8,
        pAAD: a,
        ulAADLen: a_len,
        ulTagBits: 128,
    };
    let mut mech = with(CKM_AES_GCM, &mut p);
    assert_eq!(p11!(raw, C_EncryptInit, raw.h, &mut mech, key), CKR_OK);
    let mut out = vec![0; data.len() + 16];
    let mut len = out.len() as CK_ULONG;
    let rv = p11!(raw, C_Encrypt, raw.h, d, d_len, out.as_mut_ptr(), &mut len);
    assert_eq!(rv, CKR_OK);
    out
}

#[test]
fn messages_are_what_encryption_makes_of_them() {
    let raw = Raw::new();
    let key = raw.aes();
    let mut mech = plain(CKM_AES_GCM);
    assert_eq!(
        seal(&raw, &mut gcm(&mut [0; 12], &mut [0; 16], 0, 0), b"x"),
        Err(CKR_OPERATION_NOT_INITIALIZED)
    );
    assert_eq!(
        p11!(raw, C_MessageEncryptInit, raw.h, &mut mech, key),
        CKR_OK
    );
    assert_eq!(
        p11!(raw, C_MessageEncryptInit, raw.h, &mut mech, key),
        CKR_OPERATION_ACTIVE
    );
    assert_eq!(
        p11!(raw, C_MessageDecryptInit, raw.h, &mut mech, key),
        CKR_OK
    );
    let fixed = [0xF0, 1, 2, 3];
    for (name, bits, generator) in [
        ("caller's", 0, CKG_NO_GENERATE),
        ("generate", 0, CKG_GENERATE),
        ("random", 32, CKG_GENERATE_RANDOM),
        ("counter", 32, CKG_GENERATE_COUNTER),
    ] {
        let mut seen = std::collections::HashSet::new();
        for n in 0..3u8 {
            let (mut iv, mut tag) = ([0u8; 12], [0u8; 16]);
            iv[..4].copy_from_slice(&fixed);
            iv[11] = n;
            let data = vec![n; 100 + n as usize];
            let mut p = gcm(&mut iv, &mut tag, bits, generator);
            let sealed = seal(&raw, &mut p, &data).expect(name);
            assert_eq!(open(&raw, &mut p, &sealed).expect(name), data);
            assert_eq!(in_one(&raw, key, &iv, &data), [&sealed[..], &tag].concat());
            assert!(seen.insert(iv), "{name}: an IV came twice");
            if bits != 0 {
                assert_eq!(iv[..4], fixed, "{name}");
            }
            if generator == CKG_GENERATE_COUNTER {
                assert_eq!(iv[4..], u64::from(n).to_be_bytes(), "from zero");
            }
            tag[15] ^= 1;
            let forged = open(&raw, &mut gcm(&mut iv, &mut tag, 0, 0), &sealed);
            assert_eq!(forged, Err(CKR_AEAD_DECRYPT_FAILED), "{name}");
        }
    }
    for (bits, generator) in [(96, CKG_GENERATE), (97, CKG_NO_GENERATE), (0, 9)] {
        let (mut iv, mut tag) = ([0; 12], [0; 16]);
        let mut p = gcm(&mut iv, &mut tag, bits, generator);
        assert_eq!(seal(&raw, &mut p, b"x"), Err(CKR_MECHANISM_PARAM_INVALID));
    }
    assert_eq!(p11!(raw, C_MessageEncryptFinal, raw.h), CKR_OK);
    assert_eq!(
        p11!(raw, C_MessageEncryptFinal, raw.h),
        CKR_OPERATION_NOT_INITIALIZED
    );
    assert_eq!(p11!(raw, C_MessageDecryptFinal, raw.h), CKR_OK);
}

#[test]
fn a_length_query_uses_no_iv_up() {
    let raw = Raw::new();
    let key = raw.aes();
    let mut mech = plain(CKM_AES_GCM);
    assert_eq!(
        p11!(raw, C_MessageEncryptInit, raw.h, &mut mech, key),
        CKR_OK
    );
    let (mut iv, mut tag, data) = ([0xAAu8; 12], [0u8; 16], [1u8; 20]);
    let mut p = gcm(&mut iv, &mut tag, 32, CKG_GENERATE_COUNTER);
    let (d, d_len) = at(&data);
    let ask = |p: &mut CK_GCM_MESSAGE_PARAMS, out: CK_BYTE_PTR, mut len: CK_ULONG| {
        let p = (&raw mut *p).cast();
        let rv = p11!(
            raw,
            C_EncryptMessage,
            raw.h,
            p,
            PARAM,
            null_mut(),
            0,
            d,
            d_len,
            out,
            &mut len
        );
        (rv, len)
    };
    let mut out = [0u8; 20];
    assert_eq!(ask(&mut p, null_mut(), 0), (CKR_OK, 20));
    assert_eq!(
        ask(&mut p, out.as_mut_ptr(), 19),
        (CKR_BUFFER_TOO_SMALL, 20)
    );
    assert_eq!(iv, [0xAA; 12], "untouched");
    assert_eq!(ask(&mut p, out.as_mut_ptr(), 20), (CKR_OK, 20));
    assert_eq!(iv[4..], [0; 8], "the first of the counter");
}

#[test]
fn messages_in_parts() {
    let raw = Raw::new();
    let key = raw.aes();
    let data: Vec<u8> = (0..200).collect();
    let mut mech = plain(CKM_AES_GCM);
    let (mut iv, mut tag) = ([5u8; 12], [0u8; 16]);
    let whole = in_one(&raw, key, &iv, &data);
    let mut p = gcm(&mut iv, &mut tag, 0, CKG_NO_GENERATE);
    let p = (&raw mut p).cast();
    let (a, a_len) = at(AAD);
    let next = |encrypt: bool, data: &[u8], flags, room: usize| {
        let (d, d_len) = at(data);
        let mut out = vec![0u8; room];
        let mut len = room as CK_ULONG;
        let to = out.as_mut_ptr();
        let rv = match encrypt {
            true => p11!(
                raw,
                C_EncryptMessageNext,
                raw.h,
                p,
                PARAM,
                d,
                d_len,
                to,
                &mut len,
                flags
            ),
            false => p11!(
                raw,
                C_DecryptMessageNext,
                raw.h,
                p,
                PARAM,
                d,
                d_len,
                to,
                &mut len,
                flags
            ),
        };
        out.truncate(len as usize);
        (rv, out)
    };
    assert_eq!(
        p11!(raw, C_MessageEncryptInit, raw.h, &mut mech, key),
        CKR_OK
    );
    assert_eq!(next(true, &data, 0, 300).0, CKR_OPERATION_NOT_INITIALIZED);
    for _ in 0..2 {
        assert_eq!(
            p11!(raw, C_EncryptMessageBegin, raw.h, p, PARAM, a, a_len),
            CKR_OK
        );
        assert_eq!(
            p11!(raw, C_EncryptMessageBegin, raw.h, p, PARAM, a, a_len),
            CKR_OPERATION_ACTIVE
        );
        assert_eq!(
            p11!(raw, C_MessageEncryptFinal, raw.h),
            CKR_OPERATION_ACTIVE
        );
        let mut sealed = Vec::new();
        let (rv, part) = next(true, &data[..33], 0, 33);
        assert_eq!(rv, CKR_OK);
        sealed.extend(part);
        assert_eq!(
            next(true, &data[33..], CKF_END_OF_MESSAGE, 100).0,
            CKR_BUFFER_TOO_SMALL,
            "which ends nothing"
        );
        let (rv, part) = next(true, &data[33..], CKF_END_OF_MESSAGE, 167);
        assert_eq!(rv, CKR_OK);
        sealed.extend(part);
        assert_eq!([&sealed[..], &tag].concat(), whole);
    }
    assert_eq!(
        p11!(raw, C_MessageDecryptInit, raw.h, &mut mech, key),
        CKR_OK
    );
    let sealed = &whole[..200];
    for wrong in [false, true] {
        assert_eq!(
            p11!(raw, C_DecryptMessageBegin, raw.h, p, PARAM, a, a_len),
            CKR_OK
        );
        let (rv, none) = next(false, &sealed[..60], 0, 300);
        assert_eq!((rv, none.len()), (CKR_OK, 0), "no plaintext before the tag");
        tag[0] ^= u8::from(wrong);
        let (rv, plain) = next(false, &sealed[60..], CKF_END_OF_MESSAGE, 300);
        match wrong {
            false => assert_eq!((rv, plain), (CKR_OK, data.clone())),
            true => assert_eq!(rv, CKR_AEAD_DECRYPT_FAILED),
        }
        assert_eq!(
            next(false, &[], CKF_END_OF_MESSAGE, 300).0,
            CKR_OPERATION_NOT_INITIALIZED
        );
    }
    let both = CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT;
    assert_eq!(p11!(raw, C_SessionCancel, raw.h, both), CKR_OK);
    assert_eq!(
        p11!(raw, C_MessageDecryptFinal, raw.h),
        CKR_OPERATION_NOT_INITIALIZED
    );
}

#[test]
fn messages_want_a_mechanism_and_a_key_that_suit() {
    let raw = Raw::new();
    let (key, (_, ec)) = (raw.aes(), raw.ec());
    let init = |id, key| p11!(raw, C_MessageEncryptInit, raw.h, &mut plain(id), key);
    assert_eq!(init(CKM_AES_CBC, key), CKR_MECHANISM_INVALID);
    assert_eq!(init(CKM_AES_GCM, ec), CKR_KEY_TYPE_INCONSISTENT);
    assert_eq!(init(CKM_AES_GCM, 99_999), CKR_KEY_HANDLE_INVALID);
    let mut info = CK_MECHANISM_INFO {
        ulMinKeySize: 0,
        ulMaxKeySize: 0,
        flags: 0,
    };
    let mut flags = |id| {
        let rv = p11!(raw, C_GetMechanismInfo, raw.slot, id, &mut info);
        assert_eq!(rv, CKR_OK);
        info.flags & 0x3E
    };
    assert_eq!(flags(CKM_AES_GCM), 0x26, "encrypt, decrypt, multi-message");
    assert_eq!(flags(CKM_ECDSA), 0x18, "sign, verify, one part only");
    assert_eq!(flags(CKM_SHA256), 0);
}

#[test]
fn signatures_of_messages() {
    let raw = Raw::new();
    let (public, private) = raw.ec();
    let mac = raw.generate(CKM_GENERIC_SECRET_KEY_GEN, 32);
    for (id, signs, verifies, len) in [
        (CKM_ECDSA_SHA256, private, public, 64),
        (CKM_SHA256_HMAC, mac, mac, 32),
    ] {
        let mut mech = plain(id);
        let rv = p11!(raw, C_MessageSignInit, raw.h, &mut mech, signs);
        assert_eq!(rv, CKR_OK);
        let rv = p11!(raw, C_MessageVerifyInit, raw.h, &mut mech, verifies);
        assert_eq!(rv, CKR_OK);
        for text in [&b"one"[..], b"another"] {
            let (d, d_len) = at(text);
            let mut sig = [0u8; 64];
            let (s, mut s_len) = (sig.as_mut_ptr(), 0);
            let none = null_mut();
            let rv = p11!(
                raw,
                C_SignMessage,
                raw.h,
                none,
                0,
                d,
                d_len,
                null_mut(),
                &mut s_len
            );
            assert_eq!((rv, s_len), (CKR_OK, len));
            let rv = p11!(raw, C_SignMessage, raw.h, none, 0, d, d_len, s, &mut s_len);
            assert_eq!(rv, CKR_OK);
            let verify = |d, d_len, s| p11!(raw, C_VerifyMessage, raw.h, none, 0, d, d_len, s, len);
            assert_eq!(verify(d, d_len, s), CKR_OK);
            assert_eq!(verify(d, d_len - 1, s), CKR_SIGNATURE_INVALID);

            let part = |d, d_len, s, s_len: *mut CK_ULONG| {
                p11!(raw, C_SignMessageNext, raw.h, none, 0, d, d_len, s, s_len)
            };
            assert_eq!(p11!(raw, C_SignMessageBegin, raw.h, none, 0), CKR_OK);
            assert_eq!(part(d, 1, null_mut(), null_mut()), CKR_OK);
            let rest = d.wrapping_add(1);
            s_len = 5;
            assert_eq!(part(rest, d_len - 1, s, &mut s_len), CKR_BUFFER_TOO_SMALL);
            assert_eq!((part(rest, d_len - 1, s, &mut s_len), s_len), (CKR_OK, len));
            assert_eq!(p11!(raw, C_VerifyMessageBegin, raw.h, none, 0), CKR_OK);
            let part = |d, d_len, s, s_len| {
                p11!(raw, C_VerifyMessageNext, raw.h, none, 0, d, d_len, s, s_len)
            };
            assert_eq!(part(d, 1, null_mut(), 0), CKR_OK);
            assert_eq!(part(rest, d_len - 1, s, len), CKR_OK);
            assert_eq!(part(rest, 1, s, len), CKR_OPERATION_NOT_INITIALIZED);
        }
        assert_eq!(p11!(raw, C_MessageSignFinal, raw.h), CKR_OK);
        assert_eq!(p11!(raw, C_MessageVerifyFinal, raw.h), CKR_OK);
    }
}

#[test]
fn keys_wrapped_with_associated_data() {
    let raw = Raw::new();
    let (with_key, key) = (raw.aes(), raw.aes());
    let (mut iv, mut tag) = ([0u8; 12], [0u8; 16]);
    let mut p = gcm(&mut iv, &mut tag, 0, CKG_GENERATE);
    let mut mech = with(CKM_AES_GCM, &mut p);
    let (a, a_len) = at(AAD);
    let mut wrapped = [0u8; 64];
    let (w, mut w_len) = (wrapped.as_mut_ptr(), 0);
    let wrap = |mech: &mut CK_MECHANISM, w, w_len: &mut CK_ULONG| {
        p11_3_2!(
            raw,
            C_WrapKeyAuthenticated,
            raw.h,
            mech,
            with_key,
            key,
            a,
            a_len,
            w,
            w_len
        )
    };
    assert_eq!(
        (wrap(&mut mech, null_mut(), &mut w_len), w_len),
        (CKR_OK, 32)
    );
    assert_eq!(iv, [0; 12], "a query makes no IV");
    assert_eq!(wrap(&mut mech, w, &mut w_len), CKR_OK);
    assert_ne!((iv, tag), ([0; 12], [0; 16]));
    let (mut other_iv, mut other_tag) = ([0; 12], [0; 16]);
    let mut counted = gcm(&mut other_iv, &mut other_tag, 32, CKG_GENERATE_COUNTER);
    let rv = wrap(&mut with(CKM_AES_GCM, &mut counted), w, &mut w_len);
    assert_eq!(rv, CKR_MECHANISM_PARAM_INVALID, "the same IV each time");

    let unwrap = |mech: &mut CK_MECHANISM, a_len| {
        let (class, kind) = (CKO_SECRET_KEY, CKK_AES);
        let mut template = [
            attr(CKA_CLASS, &class),
            attr(CKA_KEY_TYPE, &kind),
            attr(CKA_EXTRACTABLE, &CK_TRUE),
            attr(CKA_SENSITIVE, &CK_FALSE),
        ];
        let (mut made, t) = (0, template.as_mut_ptr());
        let rv = p11_3_2!(
            raw,
            C_UnwrapKeyAuthenticated,
            raw.h,
            mech,
            with_key,
            w,
            32,
            t,
            4,
            a,
            a_len,
            &mut made
        );
        (rv, made)
    };
    assert_eq!(unwrap(&mut mech, a_len - 1).0, CKR_WRAPPED_KEY_INVALID);
    let (rv, made) = unwrap(&mut mech, a_len);
    assert_eq!(rv, CKR_OK);
    assert_eq!(
        raw.get(made, CKA_CHECK_VALUE),
        raw.get(key, CKA_CHECK_VALUE)
    );
    assert_eq!(raw.get(made, CKA_VALUE).unwrap().len(), 32);
}

#[test]
fn signatures_that_come_before_the_data() {
    let raw = Raw::new();
    let (public, private) = raw.ec();
    let mut mech = plain(CKM_ECDSA_SHA256);
    let (mut sig, mut s_len) = ([0u8; 64], 64);
    let (d, d_len) = at(b"message");
    assert_eq!(p11!(raw, C_SignInit, raw.h, &mut mech, private), CKR_OK);
    let s = sig.as_mut_ptr();
    assert_eq!(p11!(raw, C_Sign, raw.h, d, d_len, s, &mut s_len), CKR_OK);
    let init = || {
        p11_3_2!(
            raw,
            C_VerifySignatureInit,
            raw.h,
            &mut mech.clone(),
            public,
            s,
            64
        )
    };
    assert_eq!(init(), CKR_OK);
    assert_eq!(init(), CKR_OPERATION_ACTIVE);
    assert_eq!(
        p11!(raw, C_Verify, raw.h, d, d_len, s, 64),
        CKR_OPERATION_NOT_INITIALIZED,
        "that is another kind of verification"
    );
    let whole = |len| p11_3_2!(raw, C_VerifySignature, raw.h, d, len);
    assert_eq!(whole(d_len), CKR_OK);
    assert_eq!(whole(d_len), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(init(), CKR_OK);
    assert_eq!(whole(d_len - 1), CKR_SIGNATURE_INVALID);
    let part = |at, len| p11_3_2!(raw, C_VerifySignatureUpdate, raw.h, d.wrapping_add(at), len);
    for missing in [0, 1] {
        assert_eq!(init(), CKR_OK);
        assert_eq!(part(0, 3), CKR_OK);
        assert_eq!(part(3, d_len - 3 - missing), CKR_OK);
        let rv = p11_3_2!(raw, C_VerifySignatureFinal, raw.h);
        assert_eq!(rv, [CKR_OK, CKR_SIGNATURE_INVALID][missing as usize]);
    }
    assert_eq!(init(), CKR_OK);
    let cancel = p11_3_2!(
        raw,
        C_VerifySignatureInit,
        raw.h,
        null_mut(),
        0,
        null_mut(),
        0
    );
    assert_eq!(cancel, CKR_OK);
    assert_eq!(whole(d_len), CKR_OPERATION_NOT_INITIALIZED);
    let mut v = plain(CKM_ECDSA_SHA256);
    assert_eq!(p11!(raw, C_VerifyInit, raw.h, &mut v, public), CKR_OK);
    assert_eq!(whole(d_len), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(p11!(raw, C_Verify, raw.h, d, d_len, s, 64), CKR_OK);
}

#[test]
fn what_this_token_has_not() {
    let raw = Raw::new();
    let mut flags = 9;
    let ask =
        |kind, flags: &mut CK_FLAGS| p11_3_2!(raw, C_GetSessionValidationFlags, raw.h, kind, flags);
    assert_eq!((ask(1, &mut flags), flags), (CKR_OK, 0));
    flags = 9;
    assert_eq!((ask(2, &mut flags), flags), (CKR_OK, 0));
    let name = c"C_Sign".as_ptr().cast_mut().cast();
    let rv = p11_3_2!(raw, C_AsyncComplete, raw.h, name, null_mut());
    assert_eq!(rv, 0x205, "CKR_SESSION_ASYNC_NOT_SUPPORTED");
    let rv = p11_3_2!(raw, C_AsyncGetID, 77, name, null_mut());
    assert_eq!(rv, CKR_SESSION_HANDLE_INVALID);
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION | 8;
    let rv = p11!(
        raw,
        C_OpenSession,
        raw.slot,
        flags,
        null_mut(),
        None,
        &mut 0
    );
    assert_eq!(rv, 0x205);
    let (public, private) = raw.ec();
    let (mut len, mut key) = (0, 0);
    let mut mech = plain(CKM_ECDSA);
    // With keys, and without any: the mechanism is looked at first.
    for (public, private) in [(public, private), (0, 0)] {
        let rv = p11_3_2!(
            raw,
            C_DecapsulateKey,
            raw.h,
            &mut mech,
            private,
            null_mut(),
            0,
            null_mut(),
            0,
            &mut key
        );
        assert_eq!(rv, CKR_MECHANISM_INVALID);
        let rv = p11_3_2!(
            raw,
            C_EncapsulateKey,
            raw.h,
            &mut mech,
            public,
            null_mut(),
            0,
            null_mut(),
            &mut len,
            &mut key
        );
        assert_eq!(rv, CKR_MECHANISM_INVALID);
    }
}
