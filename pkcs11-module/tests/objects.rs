//! Objects that every token has: profiles, mechanisms, the clock.

use std::ptr::null_mut;

use pkcs11_sys::*;

use crate::raw::{Raw, attr, p11};

fn find(raw: &Raw, template: &mut [CK_ATTRIBUTE]) -> Vec<CK_OBJECT_HANDLE> {
    let (t, n) = (template.as_mut_ptr(), template.len() as CK_ULONG);
    assert_eq!(p11!(raw, C_FindObjectsInit, raw.h, t, n), CKR_OK);
    let (mut found, mut count) = ([0; 500], 0);
    let rv = p11!(
        raw,
        C_FindObjects,
        raw.h,
        found.as_mut_ptr(),
        500,
        &mut count
    );
    assert_eq!(rv, CKR_OK);
    assert_eq!(p11!(raw, C_FindObjectsFinal, raw.h), CKR_OK);
    found[..count as usize].to_vec()
}

fn number(raw: &Raw, object: CK_OBJECT_HANDLE, ty: CK_ATTRIBUTE_TYPE) -> CK_ULONG {
    CK_ULONG::from_ne_bytes(raw.get(object, ty).unwrap().try_into().unwrap())
}

#[test]
fn built_in_objects_are_found_by_their_class_only() {
    let raw = Raw::new();
    let key = raw.aes();
    assert_eq!(find(&raw, &mut []), [key]);
    assert_eq!(
        find(&raw, &mut [attr(CKA_PROFILE_ID, &CKP_BASELINE_PROVIDER)]),
        []
    );
    let profiles = find(&raw, &mut [attr(CKA_CLASS, &CKO_PROFILE)]);
    let ids: Vec<_> = profiles
        .iter()
        .map(|p| number(&raw, *p, CKA_PROFILE_ID))
        .collect();
    assert_eq!(
        ids,
        [
            CKP_BASELINE_PROVIDER,
            CKP_EXTENDED_PROVIDER,
            CKP_AUTHENTICATION_TOKEN
        ]
    );
    let mut one = [
        attr(CKA_CLASS, &CKO_PROFILE),
        attr(CKA_PROFILE_ID, &CKP_EXTENDED_PROVIDER),
    ];
    assert_eq!(find(&raw, &mut one), profiles[1..2]);
    assert_eq!(number(&raw, profiles[0], CKA_CLASS), CKO_PROFILE);
    assert_eq!(raw.get(profiles[0], CKA_TOKEN), Ok(vec![1]));
    assert_eq!(
        raw.get(profiles[0], CKA_VALUE),
        Err(CKR_ATTRIBUTE_TYPE_INVALID)
    );

    let mechanisms = find(&raw, &mut [attr(CKA_CLASS, &CKO_MECHANISM)]);
    let mut listed = [0; 500];
    let mut count = 500;
    let rv = p11!(
        raw,
        C_GetMechanismList,
        raw.slot,
        listed.as_mut_ptr(),
        &mut count
    );
    assert_eq!(rv, CKR_OK);
    let shown: Vec<_> = mechanisms
        .iter()
        .map(|m| number(&raw, *m, CKA_MECHANISM_TYPE))
        .collect();
    assert_eq!(shown, listed[..count as usize]);

    let clock = find(&raw, &mut [attr(CKA_CLASS, &CKO_HW_FEATURE)]);
    assert_eq!(clock.len(), 1);
    assert_eq!(number(&raw, clock[0], CKA_HW_FEATURE_TYPE), CKH_CLOCK);
    let time = raw.get(clock[0], CKA_VALUE).unwrap();
    assert!(time.len() == 16 && time.iter().all(u8::is_ascii_digit));
    // SAFETY: a structure of numbers and bytes.
    let mut info: CK_TOKEN_INFO = unsafe { std::mem::zeroed() };
    assert_eq!(p11!(raw, C_GetTokenInfo, raw.slot, &mut info), CKR_OK);
    assert_ne!(info.flags & CKF_CLOCK_ON_TOKEN, 0);
    assert_eq!(info.utcTime[..8], time[..8], "but at midnight");

    let validation: CK_OBJECT_CLASS = 10;
    assert_eq!(find(&raw, &mut [attr(CKA_CLASS, &validation)]), []);
}

#[test]
fn nobody_makes_changes_or_destroys_them() {
    let raw = Raw::new();
    for class in [CKO_PROFILE, CKO_MECHANISM, CKO_HW_FEATURE] {
        let object = find(&raw, &mut [attr(CKA_CLASS, &class)])[0];
        let label = *b"mine";
        let mut template = [attr(CKA_LABEL, &label)];
        let t = template.as_mut_ptr();
        let mut made = 0;
        let rv = p11!(raw, C_DestroyObject, raw.h, object);
        assert_eq!(rv, CKR_ACTION_PROHIBITED);
        let rv = p11!(raw, C_SetAttributeValue, raw.h, object, t, 1);
        assert_eq!(rv, CKR_ACTION_PROHIBITED);
        let rv = p11!(raw, C_CopyObject, raw.h, object, t, 1, &mut made);
        assert_eq!(rv, CKR_ACTION_PROHIBITED);
        let mut template = [attr(CKA_CLASS, &class)];
        let t = template.as_mut_ptr();
        let rv = p11!(raw, C_CreateObject, raw.h, t, 1, &mut made);
        assert_eq!(rv, CKR_ATTRIBUTE_VALUE_INVALID);
        let rv = p11!(raw, C_DigestInit, raw.h, null_mut());
        assert_eq!(rv, CKR_ARGUMENTS_BAD);
        let mut mech = crate::raw::plain(CKM_SHA256_HMAC);
        let rv = p11!(raw, C_SignInit, raw.h, &mut mech, object);
        assert_eq!(rv, CKR_KEY_HANDLE_INVALID);
        assert_eq!(find(&raw, &mut [attr(CKA_CLASS, &class)])[0], object);
    }
}
