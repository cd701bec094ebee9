//! Attacks that take a hidden key apart, or turn what may be done with it into what may not: played on an
//! embedded token, under the personality of CloudHSM, and on a cluster. See `attacks` for the classic ones.

use pkcs11_sys::*;

use crate::raw::{CLOUDHSM, Raw, STANDARD, attr, bytes, p11, plain, with};
use crate::rig::Rig;

const YES: CK_BBOOL = CK_TRUE;
const NO: CK_BBOOL = CK_FALSE;
/// CKM_CLOUDHSM_AES_KEY_WRAP_PKCS5_PAD, which both personalities wrap with.
const WRAP: CK_MECHANISM_TYPE = 0x8000_210A;

/// A secret key of random bytes with these attributes.
fn key(
    raw: &Raw,
    mech: CK_MECHANISM_TYPE,
    len: CK_ULONG,
    more: &[CK_ATTRIBUTE],
) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    let template = [&[attr(CKA_VALUE_LEN, &len)], more].concat();
    raw.generated(plain(mech), template)
}

fn aes(raw: &Raw, more: &[CK_ATTRIBUTE]) -> CK_OBJECT_HANDLE {
    key(raw, CKM_AES_KEY_GEN, 32, more).unwrap()
}

/// A secret key of this type unwrapped, with these attributes more.
fn unwrap(
    raw: &Raw,
    mech: CK_MECHANISM,
    by: CK_OBJECT_HANDLE,
    wrapped: &[u8],
    key_type: CK_KEY_TYPE,
    more: &[CK_ATTRIBUTE],
) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    let given = [
        attr(CKA_CLASS, &CKO_SECRET_KEY),
        attr(CKA_KEY_TYPE, &key_type),
    ];
    raw.unwrap(mech, by, wrapped, [&given, more].concat())
}

fn starts(raw: &Raw, mut mech: CK_MECHANISM, key: CK_OBJECT_HANDLE) -> CK_RV {
    p11!(raw, C_DecryptInit, raw.h, &mut mech, key)
}

/// What must hold whoever's behaviour the token shows.
fn everywhere(raw: &Raw) {
    let hidden = [attr(CKA_SENSITIVE, &YES), attr(CKA_EXTRACTABLE, &YES)];
    let by = aes(raw, &[attr(CKA_WRAP, &YES), attr(CKA_UNWRAP, &YES)]);
    let target = aes(raw, &hidden);
    assert_eq!(raw.get(target, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    assert_eq!(raw.find(&mut [bytes(CKA_VALUE, &[0; 32])]), []);

    // Nobody but the officer makes a key trusted, and what asks for a trusted one gets no other: neither a secret key
    // nor the user's own public key, whose private half he has.
    let refused = Err(CKR_ATTRIBUTE_READ_ONLY);
    let trusted = [attr(CKA_WRAP, &YES), attr(CKA_TRUSTED, &YES)];
    assert_eq!(key(raw, CKM_AES_KEY_GEN, 32, &trusted), refused);
    let modulus = [0xC5u8; 256];
    let mut known = vec![
        attr(CKA_CLASS, &CKO_PUBLIC_KEY),
        attr(CKA_KEY_TYPE, &CKK_RSA),
        bytes(CKA_MODULUS, &modulus),
        bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1]),
        attr(CKA_WRAP, &YES),
    ];
    let public = raw.create(known.clone());
    known.push(attr(CKA_TRUSTED, &YES));
    assert_eq!(raw.create(known), refused);
    let picky = [hidden[0], hidden[1], attr(CKA_WRAP_WITH_TRUSTED, &YES)];
    let guarded = aes(raw, &picky);
    let no = Err(CKR_KEY_NOT_WRAPPABLE);
    assert_eq!(raw.wrap(plain(WRAP), by, guarded), no);
    if let Ok(public) = public {
        assert_eq!(raw.wrap(plain(CKM_RSA_PKCS), public, guarded), no);
    }

    // Wrapping and decryption are told apart where the template tells them apart.
    let mut iv = [0u8; 16];
    let narrow = [
        attr(CKA_WRAP, &YES),
        attr(CKA_UNWRAP, &YES),
        attr(CKA_ENCRYPT, &NO),
        attr(CKA_DECRYPT, &NO),
    ];
    let narrow = aes(raw, &narrow);
    let refused = CKR_KEY_FUNCTION_NOT_PERMITTED;
    assert_eq!(starts(raw, with(CKM_AES_CBC, &mut iv), narrow), refused);
    assert_eq!(starts(raw, plain(CKM_AES_ECB), narrow), refused);

    // A wrapped key that was cut or changed is none, and its other forms are not either.
    let wrapped = raw.wrap(plain(WRAP), narrow, target).unwrap();
    let aes = CKK_AES;
    assert!(unwrap(raw, plain(WRAP), narrow, &wrapped, aes, &[]).is_ok());
    for cut in [8, 16, 24, wrapped.len() - 8] {
        let made = unwrap(
            raw,
            plain(WRAP),
            narrow,
            &wrapped[..cut],
            CKK_GENERIC_SECRET,
            &[],
        );
        assert!(made.is_err(), "{cut} bytes");
    }
    let one: CK_ULONG = 1;
    let short = [attr(CKA_VALUE_LEN, &one)];
    let made = unwrap(
        raw,
        plain(WRAP),
        narrow,
        &wrapped,
        CKK_GENERIC_SECRET,
        &short,
    );
    assert!(made.is_err(), "its first byte, which an HMAC would tell");

    // What is bound to a template wraps and gives nothing else.
    let bound = [attr(CKA_EXTRACTABLE, &NO), attr(CKA_SENSITIVE, &YES)];
    let bound = [
        attr(CKA_UNWRAP, &YES),
        attr(CKA_WRAP, &YES),
        CK_ATTRIBUTE {
            type_: CKA_UNWRAP_TEMPLATE,
            pValue: bound.as_ptr().cast_mut().cast(),
            ulValueLen: size_of_val(&bound) as CK_ULONG,
        },
    ];
    let by = key(raw, CKM_AES_KEY_GEN, 32, &bound).unwrap();
    let wrapped = raw.wrap(plain(WRAP), by, target).unwrap();
    for opens in [attr(CKA_EXTRACTABLE, &YES), attr(CKA_SENSITIVE, &NO)] {
        let made = unwrap(raw, plain(WRAP), by, &wrapped, aes, &[opens]);
        assert_eq!(made, Err(CKR_TEMPLATE_INCONSISTENT));
    }
    let back = unwrap(raw, plain(WRAP), by, &wrapped, aes, &[]).unwrap();
    assert_eq!(raw.get(back, CKA_EXTRACTABLE), Ok(vec![0]));
    assert_eq!(raw.get(back, CKA_SENSITIVE), Ok(vec![1]));
    assert_eq!(raw.wrap(plain(WRAP), by, back), Err(CKR_KEY_UNEXTRACTABLE));
}

#[test]
fn under_the_standard_personality() {
    everywhere(&Raw::new());
}

#[test]
fn under_the_personality_of_cloudhsm() {
    let raw = Raw::new().configured("", CLOUDHSM);
    everywhere(&raw);
    cloudhsm(&raw);
}

#[test]
fn on_a_cluster() {
    let cluster = Rig::new("cloudhsm").raw();
    everywhere(&cluster);
    cloudhsm(&cluster);
    everywhere(&Rig::new("standard").raw());
}

/// What its library does not have cannot be attacked, and what nobody asks for is not allowed.
fn cloudhsm(raw: &Raw) {
    let target = aes(raw, &[attr(CKA_EXTRACTABLE, &YES)]);
    let by = aes(raw, &[attr(CKA_WRAP, &YES)]);
    let mut iv = [0u8; 16];
    let refused = CKR_KEY_FUNCTION_NOT_PERMITTED;
    assert_eq!(starts(raw, with(CKM_AES_CBC_PAD, &mut iv), by), refused);
    let gone = CKR_FUNCTION_NOT_SUPPORTED;
    assert_eq!(raw.set(by, attr(CKA_DECRYPT, &YES)), gone);
    assert_eq!(raw.copied(target, attr(CKA_SENSITIVE, &NO)), Err(gone));
    let (mut mech, mut out, mut len) = (plain(CKM_SHA256), [0u8; 32], 32);
    assert_eq!(p11!(raw, C_DigestInit, raw.h, &mut mech), CKR_OK);
    assert_eq!(p11!(raw, C_DigestKey, raw.h, target), gone);
    let (text, at) = (b"x".as_ptr().cast_mut(), out.as_mut_ptr());
    let _ = p11!(raw, C_Digest, raw.h, text, 1, at, &mut len);
    // The modes that any front of a key passes through as a key.
    let by = aes(raw, &[attr(CKA_WRAP, &YES), attr(CKA_UNWRAP, &YES)]);
    for mech in [plain(CKM_AES_ECB), with(CKM_AES_CBC, &mut iv)] {
        assert_eq!(raw.wrap(mech, by, target), Err(CKR_MECHANISM_INVALID));
    }
}

#[test]
fn the_front_of_a_wrapped_key_is_no_key() {
    let raw = Raw::new();
    let hidden = [attr(CKA_SENSITIVE, &YES), attr(CKA_EXTRACTABLE, &YES)];
    let target = aes(&raw, &hidden);
    let by = aes(&raw, &[attr(CKA_WRAP, &YES), attr(CKA_UNWRAP, &YES)]);
    let generic = CKK_GENERIC_SECRET;
    let mut ctr = CK_AES_CTR_PARAMS {
        ulCounterBits: 128,
        cb: [7; 16],
    };
    let wrapped = raw.wrap(with(CKM_AES_CTR, &mut ctr), by, target).unwrap();
    let invalid = Err(CKR_WRAPPED_KEY_INVALID);
    for len in 1..10 {
        let ctr = with(CKM_AES_CTR, &mut ctr);
        let made = unwrap(&raw, ctr, by, &wrapped[..len], generic, &[]);
        assert_eq!(made, invalid, "{len} bytes");
    }
    let ctr = with(CKM_AES_CTR, &mut ctr);
    assert!(unwrap(&raw, ctr, by, &wrapped, CKK_AES, &[]).is_ok());
    let wrapped = raw.wrap(plain(CKM_AES_ECB), by, target).unwrap();
    for len in [1, 10, 16, 31] {
        let len: CK_ULONG = len;
        let cut = [attr(CKA_VALUE_LEN, &len)];
        let made = unwrap(&raw, plain(CKM_AES_ECB), by, &wrapped, generic, &cut);
        assert_eq!(made, Err(CKR_WRAPPED_KEY_LEN_RANGE), "{len} of 32 bytes");
    }
    // What C_WrapKey filled up is cut off, as it must be.
    let odd = key(
        &raw,
        CKM_GENERIC_SECRET_KEY_GEN,
        20,
        &[attr(CKA_EXTRACTABLE, &YES)],
    )
    .unwrap();
    let wrapped = raw.wrap(plain(CKM_AES_ECB), by, odd).unwrap();
    assert_eq!(wrapped.len(), 32);
    let len: CK_ULONG = 20;
    let cut = [attr(CKA_VALUE_LEN, &len)];
    assert!(unwrap(&raw, plain(CKM_AES_ECB), by, &wrapped, generic, &cut).is_ok());
}

#[test]
fn a_short_key_is_not_told_by_what_is_computed_from_it() {
    let raw = Raw::new();
    let generic = CKM_GENERIC_SECRET_KEY_GEN;
    let hidden = key(&raw, generic, 2, &[attr(CKA_SENSITIVE, &YES)]).unwrap();
    assert_eq!(raw.get(hidden, CKA_CHECK_VALUE), Ok(Vec::new()));
    let mut mech = plain(CKM_SHA256);
    assert_eq!(p11!(raw, C_DigestInit, raw.h, &mut mech), CKR_OK);
    assert_eq!(p11!(raw, C_DigestKey, raw.h, hidden), CKR_KEY_INDIGESTIBLE);
    let open = [attr(CKA_SENSITIVE, &NO), attr(CKA_EXTRACTABLE, &YES)];
    let open = key(&raw, generic, 2, &open).unwrap();
    assert_eq!(raw.get(open, CKA_CHECK_VALUE).map(|v| v.len()), Ok(3));
    let long = key(&raw, generic, 32, &[attr(CKA_SENSITIVE, &YES)]).unwrap();
    assert_eq!(raw.get(long, CKA_CHECK_VALUE).map(|v| v.len()), Ok(3));
}

#[test]
fn derivations_give_no_part_that_can_be_guessed() {
    let raw = Raw::new().configured("legacy = true\n", STANDARD);
    let base = aes(&raw, &[attr(CKA_SENSITIVE, &YES), attr(CKA_DERIVE, &YES)]);
    let mut bit: CK_ULONG = 8;
    let (len, des): (CK_ULONG, CK_KEY_TYPE) = (1, CKK_DES);
    for said in [attr(CKA_VALUE_LEN, &len), attr(CKA_KEY_TYPE, &des)] {
        let mut mech = with(CKM_EXTRACT_KEY_FROM_KEY, &mut bit);
        let (mut template, mut made) = ([said], 0);
        let t = template.as_mut_ptr();
        let rv = p11!(raw, C_DeriveKey, raw.h, &mut mech, base, t, 1, &mut made);
        assert_eq!(rv, CKR_KEY_SIZE_RANGE, "{:#x}", said.type_);
    }
}

/// A read-only session makes no token object, nor does it so through the template of a key.
#[test]
fn a_bound_key_makes_what_its_template_says() {
    let raw = Raw::new();
    let lasts = [attr(CKA_TOKEN, &YES), bytes(CKA_LABEL, b"bound")];
    let bound = [
        attr(CKA_TOKEN, &YES),
        attr(CKA_DERIVE, &YES),
        CK_ATTRIBUTE {
            type_: CKA_DERIVE_TEMPLATE,
            pValue: lasts.as_ptr().cast_mut().cast(),
            ulValueLen: size_of_val(&lasts) as CK_ULONG,
        },
    ];
    let base = aes(&raw, &bound);
    let derive = |h| {
        let (mut bit, mut made): (CK_ULONG, _) = (0, 0);
        let mut mech = with(CKM_EXTRACT_KEY_FROM_KEY, &mut bit);
        let len: CK_ULONG = 32;
        let mut template = [attr(CKA_VALUE_LEN, &len)];
        let t = template.as_mut_ptr();
        match p11!(raw, C_DeriveKey, h, &mut mech, base, t, 1, &mut made) {
            CKR_OK => Ok(made),
            rv => Err(rv),
        }
    };
    let (mut read_only, flags) = (0, CKF_SERIAL_SESSION);
    let none = std::ptr::null_mut();
    let rv = p11!(
        raw,
        C_OpenSession,
        raw.slot,
        flags,
        none,
        None,
        &mut read_only
    );
    assert_eq!(rv, CKR_OK);
    assert_eq!(derive(read_only), Err(CKR_SESSION_READ_ONLY));
    let other = raw.open();
    let made = derive(other).unwrap();
    assert_eq!(p11!(raw, C_CloseSession, other), CKR_OK);
    assert_eq!(
        raw.get(made, CKA_TOKEN),
        Ok(vec![1]),
        "it outlives its session"
    );
    assert_eq!(raw.find(&mut [bytes(CKA_LABEL, b"bound")]), [made]);
}

#[test]
fn allowed_mechanisms_stay_with_the_key() {
    let raw = Raw::new();
    let only = [CKM_AES_GCM, CKM_AES_KEY_WRAP_KWP];
    let bound = [
        attr(CKA_ALLOWED_MECHANISMS, &only),
        attr(CKA_DERIVE, &YES),
        attr(CKA_EXTRACTABLE, &YES),
        attr(CKA_WRAP, &YES),
        attr(CKA_UNWRAP, &YES),
    ];
    let bound = aes(&raw, &bound);
    let all = [CKM_AES_ECB];
    for wider in [
        attr(CKA_ALLOWED_MECHANISMS, &all),
        bytes(CKA_ALLOWED_MECHANISMS, &[]),
    ] {
        assert_eq!(raw.set(bound, wider), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(raw.copied(bound, wider), Err(CKR_ATTRIBUTE_READ_ONLY));
    }
    let copy = raw.copied(bound, bytes(CKA_LABEL, b"copy")).unwrap();
    let target = raw.aes();
    let invalid = CKR_MECHANISM_INVALID;
    for key in [bound, copy] {
        assert_eq!(starts(&raw, plain(CKM_AES_ECB), key), invalid);
        assert_eq!(raw.wrap(plain(CKM_AES_ECB), key, target), Err(invalid));
        let made = unwrap(&raw, plain(CKM_AES_ECB), key, &[0; 16], CKK_AES, &[]);
        assert_eq!(made, Err(invalid));
        let (mut bit, mut made): (CK_ULONG, _) = (0, 0);
        let mut mech = with(CKM_EXTRACT_KEY_FROM_KEY, &mut bit);
        let len: CK_ULONG = 32;
        let mut template = [attr(CKA_VALUE_LEN, &len)];
        let t = template.as_mut_ptr();
        let rv = p11!(raw, C_DeriveKey, raw.h, &mut mech, key, t, 1, &mut made);
        assert_eq!(rv, invalid);
        assert!(raw.wrap(plain(CKM_AES_KEY_WRAP_KWP), key, target).is_ok());
    }
}

/// Else its user would wrap with the key that the officer trusts and decrypt with the same, or with a copy.
#[test]
fn a_trusted_key_gains_no_use() {
    let raw = Raw::new();
    let made = [
        attr(CKA_TOKEN, &YES),
        attr(CKA_PRIVATE, &NO),
        attr(CKA_WRAP, &YES),
        attr(CKA_ENCRYPT, &NO),
        attr(CKA_DECRYPT, &NO),
        attr(CKA_UNWRAP, &NO),
        attr(CKA_SIGN, &NO),
        attr(CKA_DERIVE, &NO),
    ];
    aes(&raw, &made);
    let becomes = |who| raw.becomes(who, vec![attr(CKA_WRAP, &YES)]);
    let by = becomes(CKU_SO);
    assert_eq!(raw.set(by, attr(CKA_TRUSTED, &YES)), CKR_OK);
    let by = becomes(CKU_USER);
    let target = [
        attr(CKA_EXTRACTABLE, &YES),
        attr(CKA_WRAP_WITH_TRUSTED, &YES),
    ];
    let target = aes(&raw, &target);
    assert!(raw.wrap(plain(WRAP), by, target).is_ok());
    for use_ in [CKA_DECRYPT, CKA_ENCRYPT, CKA_UNWRAP, CKA_SIGN, CKA_DERIVE] {
        let gained = attr(use_, &YES);
        assert_eq!(raw.set(by, gained), CKR_ATTRIBUTE_READ_ONLY, "{use_:#x}");
        assert_eq!(
            raw.copied(by, gained),
            Err(CKR_ATTRIBUTE_READ_ONLY),
            "{use_:#x}"
        );
    }
    assert_eq!(raw.set(by, bytes(CKA_LABEL, b"renamed")), CKR_OK);
    assert_eq!(
        raw.set(by, attr(CKA_WRAP, &NO)),
        CKR_OK,
        "less, by all means"
    );
}
