//! What PKCS#11 2.40 has beside the usual: operation state, seeds, keys in digests, two operations at
//! once, recovery, sizes, copies, slot events, and how errors end operations.

use std::ptr::null_mut;

use pkcs11_sys::*;

use crate::raw::{EmbeddedOnly, Raw, attr, p11, plain, with};

fn at(bytes: &[u8]) -> (CK_BYTE_PTR, CK_ULONG) {
    (bytes.as_ptr().cast_mut(), bytes.len() as CK_ULONG)
}

fn digest(raw: &Raw, h: CK_SESSION_HANDLE) -> Vec<u8> {
    let mut out = [0; 64];
    let mut len = 64;
    let rv = p11!(raw, C_DigestFinal, h, out.as_mut_ptr(), &mut len);
    assert_eq!(rv, CKR_OK);
    out[..len as usize].to_vec()
}

fn whole(raw: &Raw, id: CK_MECHANISM_TYPE, data: &[u8]) -> Vec<u8> {
    let h = raw.open();
    assert_eq!(p11!(raw, C_DigestInit, h, &mut plain(id)), CKR_OK);
    let (d, len) = at(data);
    assert_eq!(p11!(raw, C_DigestUpdate, h, d, len), CKR_OK);
    let value = digest(raw, h);
    assert_eq!(p11!(raw, C_CloseSession, h), CKR_OK);
    value
}

#[test]
fn the_state_of_a_digest() {
    let raw = Raw::new();
    let (h, other) = (raw.h, raw.open());
    let update = |h, data| {
        let (d, len) = at(data);
        p11!(raw, C_DigestUpdate, h, d, len)
    };
    let save =
        |h, out: CK_BYTE_PTR, len: &mut CK_ULONG| p11!(raw, C_GetOperationState, h, out, len);
    let restore = |h, state: &[u8], key| {
        let (s, len) = at(state);
        p11!(raw, C_SetOperationState, h, s, len, key, 0)
    };
    let mut len = 0;
    assert_eq!(save(h, null_mut(), &mut len), CKR_OPERATION_NOT_INITIALIZED);
    for id in [CKM_SHA_1, CKM_SHA256, CKM_SHA3_384, CKM_SHA512] {
        assert_eq!(p11!(raw, C_DigestInit, h, &mut plain(id)), CKR_OK);
        assert_eq!(update(h, b"one "), CKR_OK);
        assert_eq!(save(h, null_mut(), &mut len), CKR_OK);
        let mut state = vec![0; len as usize];
        len -= 1;
        let to = state.as_mut_ptr();
        assert_eq!(save(h, to, &mut len), CKR_BUFFER_TOO_SMALL);
        assert_eq!(save(h, to, &mut len), CKR_OK);
        assert_eq!(update(h, b"two"), CKR_OK);
        assert_eq!(digest(&raw, h), whole(&raw, id, b"one two"));
        for (h, rest) in [(h, &b"three"[..]), (other, b"four")] {
            // Whatever is active there gives way.
            p11!(raw, C_DigestInit, h, &mut plain(CKM_SHA256));
            assert_eq!(restore(h, &state, 0), CKR_OK);
            assert_eq!(update(h, rest), CKR_OK);
            let wanted = whole(&raw, id, &[b"one ", rest].concat());
            assert_eq!(digest(&raw, h), wanted, "{id:#x}");
        }
        assert_eq!(restore(h, &state, 7), CKR_KEY_NOT_NEEDED);
        state[20] ^= 1;
        assert_eq!(restore(h, &state, 0), CKR_SAVED_STATE_INVALID);
        assert_eq!(restore(h, &state[..9], 0), CKR_SAVED_STATE_INVALID);
    }
    let key = raw.generate(CKM_GENERIC_SECRET_KEY_GEN, 32);
    let mut hmac = plain(CKM_SHA256_HMAC);
    assert_eq!(p11!(raw, C_SignInit, h, &mut hmac, key), CKR_OK);
    assert_eq!(save(h, null_mut(), &mut len), CKR_STATE_UNSAVEABLE);
}

#[test]
fn keys_are_digested_by_value() {
    let raw = Raw::new();
    let key = raw.aes();
    let (_, ec) = raw.ec();
    let value = raw.get(key, CKA_VALUE).unwrap();
    let begin = || {
        assert_eq!(
            p11!(raw, C_DigestInit, raw.h, &mut plain(CKM_SHA256)),
            CKR_OK
        )
    };
    assert_eq!(
        p11!(raw, C_DigestKey, raw.h, key),
        CKR_OPERATION_NOT_INITIALIZED
    );
    begin();
    let (d, len) = at(b"head");
    assert_eq!(p11!(raw, C_DigestUpdate, raw.h, d, len), CKR_OK);
    assert_eq!(p11!(raw, C_DigestKey, raw.h, key), CKR_OK);
    let wanted = whole(&raw, CKM_SHA256, &[b"head", &value[..]].concat());
    assert_eq!(digest(&raw, raw.h), wanted);
    for (object, rv) in [(ec, CKR_KEY_INDIGESTIBLE), (9999, CKR_KEY_HANDLE_INVALID)] {
        p11!(raw, C_DigestInit, raw.h, &mut plain(CKM_SHA256));
        assert_eq!(p11!(raw, C_DigestKey, raw.h, object), rv);
        p11!(raw, C_DigestInit, raw.h, null_mut());
    }
}

#[test]
fn seeds_are_taken_and_numbers_stay_random() {
    let raw = Raw::new();
    let numbers = || {
        let mut out = [0u8; 64];
        let rv = p11!(raw, C_GenerateRandom, raw.h, out.as_mut_ptr(), 64);
        assert_eq!(rv, CKR_OK);
        out
    };
    let mut seen = std::collections::HashSet::new();
    assert!(seen.insert(numbers()));
    for seed in [&b"seed"[..], b"seed", b""] {
        let (s, len) = at(seed);
        assert_eq!(p11!(raw, C_SeedRandom, raw.h, s, len), CKR_OK);
        assert!(seen.insert(numbers()) && seen.insert(numbers()));
    }
    assert_eq!(
        p11!(raw, C_SeedRandom, raw.h, null_mut(), 5),
        CKR_ARGUMENTS_BAD
    );
}

#[test]
fn two_operations_at_once() {
    let raw = Raw::new();
    let (key, mac) = (raw.aes(), raw.generate(CKM_GENERIC_SECRET_KEY_GEN, 32));
    let mut iv = [3u8; 16];
    let mut cbc = with(CKM_AES_CBC_PAD, &mut iv);
    let text: Vec<u8> = (0..100).collect();
    let (t, t_len) = at(&text);
    let mut out = [0u8; 128];
    let mut len;
    let mut init = |encrypt| {
        let rv = match encrypt {
            true => p11!(raw, C_EncryptInit, raw.h, &mut cbc, key),
            false => p11!(raw, C_DecryptInit, raw.h, &mut cbc, key),
        };
        assert_eq!(rv, CKR_OK);
    };
    let mut sealed = Vec::new();
    for sign in [false, true] {
        init(true);
        len = 128;
        let o = out.as_mut_ptr();
        let both = |len: &mut CK_ULONG| match sign {
            true => p11!(raw, C_SignEncryptUpdate, raw.h, t, t_len, o, len),
            false => p11!(raw, C_DigestEncryptUpdate, raw.h, t, t_len, o, len),
        };
        assert_eq!(both(&mut len), CKR_OPERATION_NOT_INITIALIZED);
        let rv = match sign {
            true => p11!(raw, C_SignInit, raw.h, &mut plain(CKM_SHA256_HMAC), mac),
            false => p11!(raw, C_DigestInit, raw.h, &mut plain(CKM_SHA256)),
        };
        assert_eq!(rv, CKR_OK);
        len = 95;
        assert_eq!((both(&mut len), len), (CKR_BUFFER_TOO_SMALL, 96));
        len = 128;
        assert_eq!((both(&mut len), len), (CKR_OK, 96));
        sealed = out[..96].to_vec();
        len = 32;
        let rv = p11!(raw, C_EncryptFinal, raw.h, out.as_mut_ptr(), &mut len);
        assert_eq!((rv, len), (CKR_OK, 16));
        sealed.extend_from_slice(&out[..16]);
        if !sign {
            assert_eq!(digest(&raw, raw.h), whole(&raw, CKM_SHA256, &text));
        }
    }
    let mut tag = [0u8; 32];
    len = 32;
    let rv = p11!(raw, C_SignFinal, raw.h, tag.as_mut_ptr(), &mut len);
    assert_eq!((rv, len), (CKR_OK, 32));

    let (s, s_len) = at(&sealed);
    for verify in [false, true] {
        init(false);
        let rv = match verify {
            true => p11!(raw, C_VerifyInit, raw.h, &mut plain(CKM_SHA256_HMAC), mac),
            false => p11!(raw, C_DigestInit, raw.h, &mut plain(CKM_SHA256)),
        };
        assert_eq!(rv, CKR_OK);
        len = 128;
        let o = out.as_mut_ptr();
        let rv = match verify {
            true => p11!(raw, C_DecryptVerifyUpdate, raw.h, s, s_len, o, &mut len),
            false => p11!(raw, C_DecryptDigestUpdate, raw.h, s, s_len, o, &mut len),
        };
        assert_eq!((rv, len), (CKR_OK, 96));
        assert_eq!(out[..96], text[..96]);
        let mut last = 16;
        let rv = p11!(raw, C_DecryptFinal, raw.h, out.as_mut_ptr(), &mut last);
        assert_eq!((rv, &out[..last as usize]), (CKR_OK, &text[96..]));
        // What the last call gave is for the caller to hash: the dual function saw 96 bytes.
        let (rest, rest_len) = at(&text[96..]);
        match verify {
            true => {
                let rv = p11!(raw, C_VerifyUpdate, raw.h, rest, rest_len);
                assert_eq!(rv, CKR_OK);
                let rv = p11!(raw, C_VerifyFinal, raw.h, tag.as_mut_ptr(), 32);
                assert_eq!(rv, CKR_OK);
            }
            false => {
                let rv = p11!(raw, C_DigestUpdate, raw.h, rest, rest_len);
                assert_eq!(rv, CKR_OK);
                assert_eq!(digest(&raw, raw.h), whole(&raw, CKM_SHA256, &text));
            }
        }
    }
}

#[test]
fn signatures_that_hold_their_data() {
    let raw = Raw::new();
    let bits: CK_ULONG = 2048;
    let public = vec![
        attr(CKA_MODULUS_BITS, &bits),
        attr(CKA_VERIFY_RECOVER, &CK_TRUE),
    ];
    let private = vec![attr(CKA_SIGN_RECOVER, &CK_TRUE)];
    let pairs = plain(CKM_RSA_PKCS_KEY_PAIR_GEN);
    let [a, b] = raw.pair(pairs, public, private).unwrap();
    let mut mech = plain(CKM_RSA_PKCS);
    let (d, d_len) = at(b"data");
    let mut sig = [0u8; 256];
    let mut len = 0;
    assert_eq!(p11!(raw, C_SignRecoverInit, raw.h, &mut mech, b), CKR_OK);
    let rv = p11!(raw, C_SignRecover, raw.h, d, d_len, null_mut(), &mut len);
    assert_eq!((rv, len), (CKR_OK, 256));
    let rv = p11!(
        raw,
        C_SignRecover,
        raw.h,
        d,
        d_len,
        sig.as_mut_ptr(),
        &mut len
    );
    assert_eq!((rv, len), (CKR_OK, 256));
    let recover = |sig: &[u8], room: CK_ULONG| {
        let mut v = plain(CKM_RSA_PKCS);
        assert_eq!(p11!(raw, C_VerifyRecoverInit, raw.h, &mut v, a), CKR_OK);
        let mut out = [0u8; 256];
        let (mut len, (s, s_len)) = (room, at(sig));
        let to = out.as_mut_ptr();
        let rv = p11!(raw, C_VerifyRecover, raw.h, s, s_len, to, &mut len);
        if rv == CKR_BUFFER_TOO_SMALL {
            let rv = p11!(raw, C_VerifyRecover, raw.h, s, s_len, to, &mut len);
            return (rv, out[..len as usize].to_vec());
        }
        (rv, out[..len as usize * usize::from(rv == CKR_OK)].to_vec())
    };
    assert_eq!(recover(&sig, 256), (CKR_OK, b"data".to_vec()));
    assert_eq!(recover(&sig, 2), (CKR_OK, b"data".to_vec()));
    assert_eq!(recover(&sig[1..], 256).0, CKR_SIGNATURE_LEN_RANGE);
    sig[100] ^= 1;
    assert_eq!(
        recover(&sig, 0).0,
        CKR_SIGNATURE_INVALID,
        "before any word of the buffer"
    );
}

#[test]
fn sizes_and_copies() {
    let raw = Raw::new();
    let key = raw.aes();
    let size = |object| {
        let mut size = 0;
        let rv = p11!(raw, C_GetObjectSize, raw.h, object, &mut size);
        (rv, size)
    };
    let (rv, bytes) = size(key);
    assert!(rv == CKR_OK && bytes > 32, "{rv:#x}, {bytes}");
    assert_eq!(size(999).0, CKR_OBJECT_HANDLE_INVALID);
    let copy = |from, template: &mut [CK_ATTRIBUTE]| {
        let mut made = 0;
        let (t, n) = (template.as_mut_ptr(), template.len() as CK_ULONG);
        let rv = p11!(raw, C_CopyObject, raw.h, from, t, n, &mut made);
        (rv, made)
    };
    let label = *b"copy";
    let (rv, made) = copy(
        key,
        &mut [attr(CKA_LABEL, &label), attr(CKA_TOKEN, &CK_TRUE)],
    );
    assert_eq!(rv, CKR_OK);
    assert_eq!(raw.get(made, CKA_VALUE), raw.get(key, CKA_VALUE));
    assert_eq!(raw.get(made, CKA_LABEL), Ok(label.to_vec()));
    assert_ne!(raw.get(made, CKA_UNIQUE_ID), raw.get(key, CKA_UNIQUE_ID));
    let (rv, closed) = copy(
        key,
        &mut [
            attr(CKA_EXTRACTABLE, &CK_FALSE),
            attr(CKA_COPYABLE, &CK_FALSE),
        ],
    );
    assert_eq!(rv, CKR_OK);
    assert_eq!(raw.get(closed, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    assert_eq!(copy(closed, &mut []).0, CKR_ACTION_PROHIBITED);
    let value = [0u8; 32];
    let (rv, _) = copy(key, &mut [attr(CKA_VALUE, &value)]);
    assert_eq!(rv, CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(copy(999, &mut []).0, CKR_OBJECT_HANDLE_INVALID);
}

#[test]
fn one_part_mechanisms_take_no_parts() {
    let raw = Raw::new();
    let (public, private) = raw.ec();
    let (d, len) = at(&[7; 32]);
    let mut mech = plain(CKM_ECDSA);
    assert_eq!(p11!(raw, C_SignInit, raw.h, &mut mech, private), CKR_OK);
    assert_eq!(
        p11!(raw, C_SignUpdate, raw.h, d, len),
        CKR_OPERATION_NOT_INITIALIZED
    );
    // An Update that fails ends the operation.
    assert_eq!(p11!(raw, C_SignInit, raw.h, &mut mech, private), CKR_OK);
    assert_eq!(p11!(raw, C_VerifyInit, raw.h, &mut mech, public), CKR_OK);
    assert_eq!(
        p11!(raw, C_VerifyUpdate, raw.h, d, len),
        CKR_OPERATION_NOT_INITIALIZED
    );
    assert_eq!(p11!(raw, C_VerifyInit, raw.h, &mut mech, public), CKR_OK);
}

#[test]
fn slots_have_no_events_but_the_end() {
    let raw = Raw::new();
    let mut slot = 0;
    let rv = p11!(
        raw,
        C_WaitForSlotEvent,
        CKF_DONT_BLOCK,
        &mut slot,
        null_mut()
    );
    assert_eq!(rv, CKR_NO_EVENT);
    let rv = p11!(
        raw,
        C_WaitForSlotEvent,
        CKF_DONT_BLOCK,
        null_mut(),
        null_mut()
    );
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    let list = raw.list;
    let waits = std::thread::spawn(move || {
        let mut slot = 0;
        // SAFETY: a live slot; null is allowed for what is reserved.
        unsafe { (list.v3_0.C_WaitForSlotEvent.unwrap())(0, &mut slot, null_mut()) }
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!waits.is_finished());
    assert_eq!(p11!(raw, C_Finalize, null_mut()), CKR_OK);
    assert_eq!(waits.join().unwrap(), CKR_CRYPTOKI_NOT_INITIALIZED);
}

#[test]
fn a_mechanism_that_the_token_was_not_told_to_have_is_refused_at_its_init() {
    let raw = Raw::embedded(EmbeddedOnly::Untold);
    assert_eq!(
        p11!(raw, C_DigestInit, raw.h, &mut plain(CKM_MD5)),
        CKR_MECHANISM_INVALID
    );
    assert_eq!(
        p11!(raw, C_DigestInit, raw.h, &mut plain(CKM_SHA256)),
        CKR_OK
    );
}
