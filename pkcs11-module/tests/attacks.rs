//! The attacks on the API that Clulow and Bortolozzo, Centenaro, Focardi and Steel ("Attacking and fixing
//! PKCS#11 security tokens") describe, played through the C functions: a sensitive key's value must not
//! come out. What the setting `conflicting-roles` decides is played both ways (docs/adr/0007).

use pkcs11_sys::*;

use crate::raw::{EmbeddedOnly, Raw, attr, bytes, p11, plain, with};

const YES: CK_BBOOL = CK_TRUE;
const NO: CK_BBOOL = CK_FALSE;

/// CKM_AES_KEY_WRAP_KWP, by which keys are wrapped under the setting.
const KWP: CK_MECHANISM_TYPE = 0x210B;

fn refusing() -> Raw {
    Raw::embedded(EmbeddedOnly::ConflictingRoles).configured("conflicting-roles = \"refuse\"\n", "")
}

/// An AES-256 key with these attributes.
fn aes(raw: &Raw, said: &[(CK_ATTRIBUTE_TYPE, CK_BBOOL)]) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    let len: CK_ULONG = 32;
    let mut template = vec![attr(CKA_VALUE_LEN, &len)];
    template.extend(said.iter().map(|(ty, value)| attr(*ty, value)));
    raw.generated(plain(CKM_AES_KEY_GEN), template)
}

fn set(raw: &Raw, key: CK_OBJECT_HANDLE, ty: CK_ATTRIBUTE_TYPE, value: CK_BBOOL) -> CK_RV {
    raw.set(key, attr(ty, &value))
}

fn copy(raw: &Raw, key: CK_OBJECT_HANDLE, ty: CK_ATTRIBUTE_TYPE, value: CK_BBOOL) -> CK_RV {
    match raw.copied(key, attr(ty, &value)) {
        Ok(_) => CKR_OK,
        Err(rv) => rv,
    }
}

/// A key wrapped by CBC with padding, which plain decryption could undo.
fn wrap(raw: &Raw, by: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE) -> Result<Vec<u8>, CK_RV> {
    let mut iv = [0u8; 16];
    raw.wrap(with(CKM_AES_CBC_PAD, &mut iv), by, key)
}

fn decrypt(raw: &Raw, by: CK_OBJECT_HANDLE, data: &mut [u8]) -> Result<Vec<u8>, CK_RV> {
    let mut iv = [0u8; 16];
    let mut mech = with(CKM_AES_CBC_PAD, &mut iv);
    let rv = p11!(raw, C_DecryptInit, raw.h, &mut mech, by);
    if rv != CKR_OK {
        return Err(rv);
    }
    let (mut out, mut len) = (vec![0u8; 128], 128);
    let (from, n, at) = (data.as_mut_ptr(), data.len() as CK_ULONG, out.as_mut_ptr());
    match p11!(raw, C_Decrypt, raw.h, from, n, at, &mut len) {
        CKR_OK => {
            out.truncate(len as usize);
            Ok(out)
        }
        rv => Err(rv),
    }
}

/// What an unwrapped key is to be.
fn as_aes(said: &[(CK_ATTRIBUTE_TYPE, CK_BBOOL)]) -> Vec<CK_ATTRIBUTE> {
    let mut template = vec![
        attr(CKA_CLASS, &CKO_SECRET_KEY),
        attr(CKA_KEY_TYPE, &CKK_AES),
    ];
    template.extend(said.iter().map(|(ty, value)| attr(*ty, value)));
    template
}

fn unwrap(
    raw: &Raw,
    by: CK_OBJECT_HANDLE,
    wrapped: &[u8],
    said: &[(CK_ATTRIBUTE_TYPE, CK_BBOOL)],
) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    let mut iv = [0u8; 16];
    raw.unwrap(with(CKM_AES_CBC_PAD, &mut iv), by, wrapped, as_aes(said))
}

/// The same for a key wrapped by [`KWP`].
fn unwrap_kwp(
    raw: &Raw,
    by: CK_OBJECT_HANDLE,
    wrapped: &[u8],
    said: &[(CK_ATTRIBUTE_TYPE, CK_BBOOL)],
) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    raw.unwrap(plain(KWP), by, wrapped, as_aes(said))
}

#[test]
fn secrecy_is_not_taken_back_by_changes_or_copies() {
    let raw = Raw::new();
    let key = aes(&raw, &[(CKA_SENSITIVE, YES), (CKA_EXTRACTABLE, NO)]).unwrap();
    for (ty, value) in [
        (CKA_SENSITIVE, NO),
        (CKA_EXTRACTABLE, YES),
        (CKA_NEVER_EXTRACTABLE, NO),
        (CKA_ALWAYS_SENSITIVE, NO),
        (CKA_LOCAL, NO),
        (CKA_TRUSTED, YES),
    ] {
        let refused = CKR_ATTRIBUTE_READ_ONLY;
        assert_eq!(set(&raw, key, ty, value), refused, "set {ty:#x}");
        assert_eq!(copy(&raw, key, ty, value), refused, "copy with {ty:#x}");
    }
    assert_eq!(copy(&raw, key, CKA_PRIVATE, NO), CKR_TEMPLATE_INCONSISTENT);
    assert_eq!(raw.get(key, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    let by = aes(&raw, &[(CKA_WRAP, YES)]).unwrap();
    assert_eq!(wrap(&raw, by, key), Err(CKR_KEY_UNEXTRACTABLE));
}

#[test]
fn who_asks_for_trusted_wrapping_gets_it() {
    let raw = Raw::new();
    let said = [(CKA_EXTRACTABLE, YES), (CKA_WRAP_WITH_TRUSTED, YES)];
    let key = aes(&raw, &said).unwrap();
    let by = aes(&raw, &[(CKA_WRAP, YES)]).unwrap();
    assert_eq!(wrap(&raw, by, key), Err(CKR_KEY_NOT_WRAPPABLE));
    let refused = CKR_ATTRIBUTE_READ_ONLY;
    assert_eq!(set(&raw, key, CKA_WRAP_WITH_TRUSTED, NO), refused);
    assert_eq!(copy(&raw, key, CKA_WRAP_WITH_TRUSTED, NO), refused);
    assert_eq!(aes(&raw, &[(CKA_TRUSTED, YES)]), Err(refused));
}

#[test]
fn what_comes_back_was_never_guarded() {
    let raw = Raw::new();
    let said = [(CKA_SENSITIVE, YES), (CKA_EXTRACTABLE, YES)];
    let key = aes(&raw, &said).unwrap();
    let by = aes(&raw, &[(CKA_WRAP, YES), (CKA_UNWRAP, YES)]).unwrap();
    let wrapped = wrap(&raw, by, key).unwrap();
    let said = [(CKA_SENSITIVE, YES), (CKA_EXTRACTABLE, NO)];
    let back = unwrap(&raw, by, &wrapped, &said).unwrap();
    for ty in [CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_LOCAL] {
        assert_eq!(raw.get(back, ty), Ok(vec![0]), "{ty:#x}");
    }
    let guarded = [(CKA_SENSITIVE, YES), (CKA_ALWAYS_SENSITIVE, YES)];
    let refused = Err(CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(unwrap(&raw, by, &wrapped, &guarded), refused);
}

/// The default, SoftHSM2's too: whoever makes a key for both gets both.
#[test]
fn wrap_and_decrypt_work_together_by_default() {
    let raw = Raw::new();
    let key = aes(&raw, &[(CKA_EXTRACTABLE, YES)]).unwrap();
    let by = aes(&raw, &[(CKA_WRAP, YES), (CKA_DECRYPT, YES)]).unwrap();
    let mut wrapped = wrap(&raw, by, key).unwrap();
    assert_eq!(decrypt(&raw, by, &mut wrapped).unwrap().len(), 32);
}

#[test]
fn wrap_and_decrypt_are_parted_by_the_setting() {
    let raw = refusing();
    let both = Err(CKR_TEMPLATE_INCONSISTENT);
    for data in [CKA_ENCRYPT, CKA_DECRYPT] {
        for keys in [CKA_WRAP, CKA_UNWRAP] {
            assert_eq!(aes(&raw, &[(data, YES), (keys, YES)]), both);
        }
    }
    let key = aes(&raw, &[(CKA_EXTRACTABLE, YES)]).unwrap();
    assert_eq!(raw.get(key, CKA_DECRYPT), Ok(vec![1]), "data, unless asked");
    assert_eq!(raw.get(key, CKA_WRAP), Ok(vec![0]));
    let by = aes(&raw, &[(CKA_WRAP, YES), (CKA_UNWRAP, YES)]).unwrap();
    let mut wrapped = raw.wrap(plain(KWP), by, key).unwrap();
    let refused = CKR_KEY_FUNCTION_NOT_PERMITTED;
    assert_eq!(decrypt(&raw, by, &mut wrapped), Err(refused));
    for ty in [CKA_ENCRYPT, CKA_DECRYPT] {
        assert_eq!(set(&raw, by, ty, YES), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(copy(&raw, by, ty, YES), CKR_ATTRIBUTE_READ_ONLY);
    }
    // One role after the other, too.
    assert_eq!(set(&raw, by, CKA_WRAP, NO), CKR_OK);
    assert_eq!(set(&raw, by, CKA_WRAP, YES), CKR_ATTRIBUTE_READ_ONLY);
    let back = [(CKA_WRAP, YES), (CKA_DECRYPT, YES)];
    assert_eq!(unwrap_kwp(&raw, by, &wrapped, &back), both);
    assert!(unwrap_kwp(&raw, by, &wrapped, &[(CKA_DECRYPT, YES)]).is_ok());
}

/// Under the setting no way round leads to a hidden key's value: each is one of the papers' attacks.
#[test]
fn no_other_name_brings_a_hidden_key_out() {
    let raw = refusing();
    let refused = CKR_TEMPLATE_INCONSISTENT;
    let key = aes(&raw, &[(CKA_SENSITIVE, YES), (CKA_EXTRACTABLE, YES)]).unwrap();
    let by = aes(&raw, &[(CKA_WRAP, YES), (CKA_UNWRAP, YES)]).unwrap();
    let wrapped = raw.wrap(plain(KWP), by, key).unwrap();
    // Brought back as a key that shows itself.
    let shown = [(CKA_SENSITIVE, NO), (CKA_EXTRACTABLE, YES)];
    assert_eq!(unwrap_kwp(&raw, by, &wrapped, &shown), Err(refused));
    let back = unwrap_kwp(&raw, by, &wrapped, &[(CKA_EXTRACTABLE, YES)]).unwrap();
    assert_eq!(raw.get(back, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    assert_eq!(set(&raw, back, CKA_SENSITIVE, NO), CKR_ATTRIBUTE_READ_ONLY);
    // Brought back twice, once for keys and once for data.
    for usage in [CKA_WRAP, CKA_UNWRAP] {
        assert_eq!(
            unwrap_kwp(&raw, by, &wrapped, &[(usage, YES)]),
            Err(refused)
        );
    }
    // A wrapping key that leaves, to come back as one that decrypts.
    for usage in [CKA_WRAP, CKA_UNWRAP] {
        let leaves = [(usage, YES), (CKA_EXTRACTABLE, YES)];
        assert_eq!(aes(&raw, &leaves), Err(refused));
    }
    // A wrapping key whose value the caller knows, secret or public.
    let value = [7u8; 32];
    let known = |usage: CK_ATTRIBUTE_TYPE| {
        let said = vec![
            attr(CKA_CLASS, &CKO_SECRET_KEY),
            attr(CKA_KEY_TYPE, &CKK_AES),
            bytes(CKA_VALUE, &value),
            attr(usage, &YES),
        ];
        raw.create(said)
    };
    assert_eq!(known(CKA_WRAP), Err(refused));
    assert_eq!(known(CKA_UNWRAP), Err(refused));
    let plain_key = known(CKA_ENCRYPT).unwrap();
    let by_data = raw.wrap(plain(KWP), plain_key, key);
    assert_eq!(by_data, Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    let modulus = [0xC5u8; 256];
    let public = vec![
        attr(CKA_CLASS, &CKO_PUBLIC_KEY),
        attr(CKA_KEY_TYPE, &CKK_RSA),
        bytes(CKA_MODULUS, &modulus),
        bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1]),
        attr(CKA_WRAP, &YES),
    ];
    assert_eq!(raw.create(public), Err(refused));
    // An unwrapping key whose signature is a decryption, or whose MAC or derivation is a key stream.
    let bits: CK_ULONG = 2048;
    let signs = raw.pair(
        plain(CKM_RSA_PKCS_KEY_PAIR_GEN),
        vec![attr(CKA_MODULUS_BITS, &bits), attr(CKA_WRAP, &YES)],
        vec![attr(CKA_UNWRAP, &YES), attr(CKA_SIGN, &YES)],
    );
    assert_eq!(signs, Err(refused));
    for usage in [CKA_SIGN, CKA_DERIVE] {
        assert_eq!(aes(&raw, &[(CKA_WRAP, YES), (usage, YES)]), Err(refused));
        assert_eq!(set(&raw, by, usage, YES), CKR_ATTRIBUTE_READ_ONLY);
    }
    // A wrapping key derived from what the caller knows.
    let said = vec![
        attr(CKA_CLASS, &CKO_SECRET_KEY),
        attr(CKA_KEY_TYPE, &CKK_GENERIC_SECRET),
        bytes(CKA_VALUE, &value),
        attr(CKA_DERIVE, &YES),
    ];
    let base = raw.create(said).unwrap();
    let len: CK_ULONG = 32;
    let mut template = [
        attr(CKA_KEY_TYPE, &CKK_AES),
        attr(CKA_VALUE_LEN, &len),
        attr(CKA_WRAP, &YES),
    ];
    let (mut mech, mut made) = (plain(CKM_SHA256_KEY_DERIVATION), 0);
    let t = template.as_mut_ptr();
    let rv = p11!(raw, C_DeriveKey, raw.h, &mut mech, base, t, 3, &mut made);
    assert_eq!(rv, refused);
    // A wrapping key made of a password.
    let (mut salt, mut password) = ([1u8; 16], *b"known to the caller");
    let mut params = CK_PKCS5_PBKD2_PARAMS2 {
        saltSource: CKZ_SALT_SPECIFIED,
        pSaltSourceData: salt.as_mut_ptr().cast(),
        ulSaltSourceDataLen: 16,
        iterations: 1000,
        prf: CKP_PKCS5_PBKD2_HMAC_SHA256,
        pPrfData: std::ptr::null_mut(),
        ulPrfDataLen: 0,
        pPassword: password.as_mut_ptr(),
        ulPasswordLen: password.len() as CK_ULONG,
    };
    let mut of_password = |usage: CK_ATTRIBUTE_TYPE| {
        let size: CK_ULONG = 32;
        let said = vec![
            attr(CKA_KEY_TYPE, &CKK_AES),
            attr(CKA_VALUE_LEN, &size),
            attr(usage, &YES),
        ];
        raw.generated(with(CKM_PKCS5_PBKD2, &mut params), said)
    };
    assert_eq!(of_password(CKA_WRAP), Err(refused));
    assert!(of_password(CKA_ENCRYPT).is_ok());
    // Mechanisms that show the exclusive-or of two keys, or the padding of one.
    assert_eq!(wrap(&raw, by, key), Err(CKR_MECHANISM_INVALID));
    let padded = unwrap(&raw, by, &[0; 48], &[]);
    assert_eq!(padded, Err(CKR_MECHANISM_INVALID));
    let mut counter = CK_AES_CTR_PARAMS {
        ulCounterBits: 32,
        cb: [0; 16],
    };
    let streamed = raw.wrap(with(CKM_AES_CTR, &mut counter), by, key);
    assert_eq!(streamed, Err(CKR_MECHANISM_INVALID));
    let mut info = CK_MECHANISM_INFO::default();
    for (mech, flags) in [(CKM_AES_CTR, 0), (KWP, CKF_WRAP | CKF_UNWRAP)] {
        assert_eq!(
            p11!(raw, C_GetMechanismInfo, raw.slot, mech, &mut info),
            CKR_OK
        );
        assert_eq!(info.flags & (CKF_WRAP | CKF_UNWRAP), flags, "{mech:#x}");
    }
    // One mechanism's wrapping under another's eyes: by its padding, or by an IV that looks like the other's length.
    const KW_PKCS7: CK_MECHANISM_TYPE = 0x210C;
    let padded = raw.unwrap(plain(KW_PKCS7), by, &wrapped, as_aes(&[]));
    assert_eq!(padded, Err(CKR_MECHANISM_INVALID));
    let mut iv = [0xA6, 0x59, 0x59, 0xA6, 0, 0, 0, 16];
    let odd = raw.wrap(with(CKM_AES_KEY_WRAP, &mut iv), by, key);
    assert_eq!(odd, Err(CKR_MECHANISM_PARAM_INVALID));
    // A wrapped key with its own key before it, which OAEP alone unwraps as one that decrypts.
    let [public, private] = raw
        .pair(
            plain(CKM_RSA_PKCS_KEY_PAIR_GEN),
            vec![attr(CKA_MODULUS_BITS, &bits), attr(CKA_WRAP, &YES)],
            vec![attr(CKA_UNWRAP, &YES)],
        )
        .unwrap();
    let mut oaep = CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: CKM_SHA256,
        mgf: CKG_MGF1_SHA256,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: std::ptr::null_mut(),
        ulSourceDataLen: 0,
    };
    let mut both = CK_RSA_AES_KEY_WRAP_PARAMS {
        ulAESKeyBits: 256,
        pOAEPParams: &mut oaep,
    };
    let in_parts = raw.wrap(with(CKM_RSA_AES_KEY_WRAP, &mut both), public, key);
    assert_eq!(in_parts, Err(CKR_MECHANISM_INVALID));
    let whole = raw
        .wrap(with(CKM_RSA_PKCS_OAEP, &mut oaep), public, key)
        .unwrap();
    assert!(
        raw.unwrap(
            with(CKM_RSA_PKCS_OAEP, &mut oaep),
            private,
            &whole,
            as_aes(&[])
        )
        .is_ok()
    );
}
