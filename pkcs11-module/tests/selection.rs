//! The setting `mechanisms`: what it leaves out is not listed, and no function does it.

use std::ptr::null_mut;

use pkcs11_sys::*;

use crate::raw::{Raw, STANDARD, attr, p11, p11_3_2, plain, with};

const SELECTION: &str =
    "mechanisms = [\"CKM_AES_KEY_GEN\", \"CKM_EC_KEY_PAIR_GEN\", \"CKM_AES_CBC\"]\n";

/// Each way to name a mechanism, with one that [`SELECTION`] leaves out.
fn everything(raw: &Raw) -> Vec<(&'static str, CK_RV)> {
    let h = raw.h;
    let (key, (public, private)) = (raw.aes(), raw.ec());
    let generated = |rv: Result<_, CK_RV>| rv.map_or_else(|rv| rv, |_| CKR_OK);
    let len: CK_ULONG = 32;
    let bits: CK_ULONG = 2048;
    let (mut ecb, mut ecdsa) = (plain(CKM_AES_ECB), plain(CKM_ECDSA_SHA256));
    let (mut x509, mut sha, mut gcm) =
        (plain(CKM_RSA_X_509), plain(CKM_SHA256), plain(CKM_AES_GCM));
    let (mut hash, mut kem) = (plain(CKM_SHA256_KEY_DERIVATION), plain(0x17));
    let mut iv = [0u8; 12];
    let mut params = CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: null_mut(),
        ulAADLen: 0,
        ulTagBits: 128,
    };
    let mut whole_gcm = with(CKM_AES_GCM, &mut params);
    let mut info = CK_MECHANISM_INFO::default();
    let (mut made, mut size) = (0, 0);
    let mut byte = [0u8; 64];
    let b = byte.as_mut_ptr();
    let pair = raw.pair(
        plain(CKM_RSA_PKCS_KEY_PAIR_GEN),
        vec![attr(CKA_MODULUS_BITS, &bits)],
        vec![],
    );
    let wrapped = raw.wrap(plain(CKM_AES_KEY_WRAP), key, key);
    let unwrapped = raw.unwrap(plain(CKM_AES_KEY_WRAP), key, &[0; 24], vec![]);
    let mut authenticated = CK_GCM_MESSAGE_PARAMS {
        pIv: b,
        ulIvLen: 12,
        ulIvFixedBits: 0,
        ivGenerator: CKG_NO_GENERATE,
        pTag: b,
        ulTagBits: 128,
    };
    let mut wraps = with(CKM_AES_GCM, &mut authenticated);
    vec![
        (
            "C_GetMechanismInfo",
            p11!(raw, C_GetMechanismInfo, raw.slot, CKM_AES_ECB, &mut info),
        ),
        (
            "C_EncryptInit",
            p11!(raw, C_EncryptInit, h, &mut whole_gcm, key),
        ),
        ("C_DecryptInit", p11!(raw, C_DecryptInit, h, &mut ecb, key)),
        ("C_SignInit", p11!(raw, C_SignInit, h, &mut ecdsa, private)),
        (
            "C_VerifyInit",
            p11!(raw, C_VerifyInit, h, &mut ecdsa, public),
        ),
        (
            "C_SignRecoverInit",
            p11!(raw, C_SignRecoverInit, h, &mut x509, private),
        ),
        (
            "C_VerifyRecoverInit",
            p11!(raw, C_VerifyRecoverInit, h, &mut x509, public),
        ),
        ("C_DigestInit", p11!(raw, C_DigestInit, h, &mut sha)),
        (
            "C_GenerateKey",
            generated(raw.generated(
                plain(CKM_GENERIC_SECRET_KEY_GEN),
                vec![attr(CKA_VALUE_LEN, &len)],
            )),
        ),
        ("C_GenerateKeyPair", generated(pair.map(|pair| pair[0]))),
        ("C_WrapKey", generated(wrapped.map(|_| 0))),
        ("C_UnwrapKey", generated(unwrapped)),
        (
            "C_DeriveKey",
            p11!(
                raw,
                C_DeriveKey,
                h,
                &mut hash,
                key,
                null_mut(),
                0,
                &mut made
            ),
        ),
        (
            "C_MessageEncryptInit",
            p11!(raw, C_MessageEncryptInit, h, &mut gcm, key),
        ),
        (
            "C_MessageDecryptInit",
            p11!(raw, C_MessageDecryptInit, h, &mut gcm, key),
        ),
        (
            "C_MessageSignInit",
            p11!(raw, C_MessageSignInit, h, &mut ecdsa, private),
        ),
        (
            "C_MessageVerifyInit",
            p11!(raw, C_MessageVerifyInit, h, &mut ecdsa, public),
        ),
        ("C_VerifySignatureInit", {
            // The verification above is under way where it was let in.
            let flags = CKF_VERIFY;
            assert_eq!(p11!(raw, C_SessionCancel, h, flags), CKR_OK);
            p11_3_2!(raw, C_VerifySignatureInit, h, &mut ecdsa, public, b, 64)
        }),
        (
            "C_EncapsulateKey",
            p11_3_2!(
                raw,
                C_EncapsulateKey,
                h,
                &mut kem,
                public,
                null_mut(),
                0,
                null_mut(),
                &mut size,
                &mut made
            ),
        ),
        (
            "C_DecapsulateKey",
            p11_3_2!(
                raw,
                C_DecapsulateKey,
                h,
                &mut kem,
                private,
                null_mut(),
                0,
                b,
                64,
                &mut made
            ),
        ),
        (
            "C_WrapKeyAuthenticated",
            p11_3_2!(
                raw,
                C_WrapKeyAuthenticated,
                h,
                &mut wraps,
                key,
                key,
                null_mut(),
                0,
                null_mut(),
                &mut size
            ),
        ),
        (
            "C_UnwrapKeyAuthenticated",
            p11_3_2!(
                raw,
                C_UnwrapKeyAuthenticated,
                h,
                &mut wraps,
                key,
                b,
                32,
                null_mut(),
                0,
                null_mut(),
                0,
                &mut made
            ),
        ),
    ]
}

#[test]
fn what_is_left_out_is_refused_wherever_it_is_named() {
    let raw = Raw::new();
    for (name, rv) in everything(&raw) {
        assert_ne!(rv, CKR_MECHANISM_INVALID, "{name} knows its mechanism");
    }
    let raw = raw.configured("log = \"log\"\n", &format!("{STANDARD}{SELECTION}"));
    for (name, rv) in everything(&raw) {
        assert_eq!(rv, CKR_MECHANISM_INVALID, "{name}");
        let log = std::fs::read_to_string(raw.copy.dir().join("log")).unwrap();
        let line = log.lines().rfind(|line| line.contains(name)).expect(name);
        // What only asks is answered by the list.
        if name != "C_GetMechanismInfo" {
            assert!(
                line.contains("is not among the slot's `mechanisms`"),
                "{line}"
            );
        }
    }
    let mut listed = raw.mechanisms();
    let found = raw.find(&mut [attr(CKA_CLASS, &CKO_MECHANISM)]);
    assert_eq!(
        found.len(),
        listed.len(),
        "nor is what is left out an object"
    );
    let mut wanted = [CKM_AES_KEY_GEN, CKM_EC_KEY_PAIR_GEN, CKM_AES_CBC];
    wanted.sort();
    listed.sort();
    assert_eq!(listed, wanted);
    let mut iv = [0u8; 16];
    let mut cbc = with(CKM_AES_CBC, &mut iv);
    assert_eq!(p11!(raw, C_EncryptInit, raw.h, &mut cbc, raw.aes()), CKR_OK);
}
