//! Objects that every token has: profiles, mechanisms, the clock.

use std::ptr::null_mut;

use pkcs11_sys::*;

use crate::raw::{EmbeddedOnly, Raw, attr, p11, p11_3_2};

fn find(raw: &Raw, template: &mut [CK_ATTRIBUTE]) -> Vec<CK_OBJECT_HANDLE> {
    raw.find(template)
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
    let shown: Vec<_> = mechanisms
        .iter()
        .map(|m| number(&raw, *m, CKA_MECHANISM_TYPE))
        .collect();
    assert_eq!(shown, raw.mechanisms());

    let features = find(&raw, &mut [attr(CKA_CLASS, &CKO_HW_FEATURE)]);
    // No user interface; and no counter on a cluster, where two HSMs would give the same number.
    let alone = raw.nodes.is_empty();
    let counters = usize::from(alone);
    assert_eq!(features.len(), counters + 1);
    let mut clock = [
        attr(CKA_CLASS, &CKO_HW_FEATURE),
        attr(CKA_HW_FEATURE_TYPE, &CKH_CLOCK),
    ];
    let clock = find(&raw, &mut clock);
    assert_eq!(clock, features[counters..]);
    assert_eq!(number(&raw, clock[0], CKA_HW_FEATURE_TYPE), CKH_CLOCK);
    let time = raw.get(clock[0], CKA_VALUE).unwrap();
    assert!(time.len() == 16 && time.iter().all(u8::is_ascii_digit));
    // SAFETY: a structure of numbers and bytes.
    let mut info: CK_TOKEN_INFO = unsafe { std::mem::zeroed() };
    assert_eq!(p11!(raw, C_GetTokenInfo, raw.slot, &mut info), CKR_OK);
    // Each HSM of a cluster has a clock of its own, and the token none.
    assert_eq!(info.flags & CKF_CLOCK_ON_TOKEN != 0, alone);
    if alone {
        assert_eq!(info.utcTime[..8], time[..8], "but at midnight");
    }

    // Nobody has validated this token, and no key says otherwise.
    assert_eq!(raw.get(key, 0x61E), Ok(vec![0; size_of::<CK_FLAGS>()]));
    let mut flags = CK_FLAGS::MAX;
    let last = 1;
    let rv = p11_3_2!(raw, C_GetSessionValidationFlags, raw.h, last, &mut flags);
    assert_eq!((rv, flags), (CKR_OK, 0));
    let validation: CK_OBJECT_CLASS = 10;
    assert_eq!(find(&raw, &mut [attr(CKA_CLASS, &validation)]), []);
}

#[test]
fn nobody_makes_changes_or_destroys_them() {
    let raw = Raw::new();
    let (mut made, validation) = (0, 10 as CK_OBJECT_CLASS);
    let mut template = [attr(CKA_CLASS, &validation)];
    let t = template.as_mut_ptr();
    let rv = p11!(raw, C_CreateObject, raw.h, t, 1, &mut made);
    assert_eq!(rv, CKR_ATTRIBUTE_VALUE_INVALID);
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

fn counter(raw: &Raw) -> CK_OBJECT_HANDLE {
    let mut wanted = [
        attr(CKA_CLASS, &CKO_HW_FEATURE),
        attr(CKA_HW_FEATURE_TYPE, &CKH_MONOTONIC_COUNTER),
    ];
    find(raw, &mut wanted)[0]
}

fn read(raw: &Raw, counter: CK_OBJECT_HANDLE) -> u64 {
    let value = raw.get(counter, CKA_VALUE).unwrap();
    u64::from_be_bytes(value.try_into().unwrap())
}

#[test]
fn the_counter_only_goes_up() {
    let raw = Raw::embedded(EmbeddedOnly::Counter);
    let object = counter(&raw);
    for no in [CKA_RESET_ON_INIT, CKA_HAS_RESET] {
        assert_eq!(raw.get(object, no), Ok(vec![0]));
    }
    let mut last = read(&raw, object);
    for _ in 0..5 {
        let next = read(&raw, object);
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    let value = [0u8; 8];
    let mut template = [attr(CKA_VALUE, &value)];
    let t = template.as_mut_ptr();
    let rv = p11!(raw, C_SetAttributeValue, raw.h, object, t, 1);
    assert_eq!(rv, CKR_ACTION_PROHIBITED);
    // Nor does another start of the library bring a number back.
    let raw = raw.configured("", "");
    let next = read(&raw, counter(&raw));
    assert!(next > last, "{next} after {last}");
}

#[test]
fn another_initialisation_brings_no_number_back() {
    let mut raw = Raw::embedded(EmbeddedOnly::InitToken);
    let last = read(&raw, counter(&raw));
    assert_eq!(p11!(raw, C_CloseAllSessions, raw.slot), CKR_OK);
    assert_eq!(raw.init_token(), CKR_OK);
    raw.h = raw.open();
    let next = read(&raw, counter(&raw));
    assert!(next > last, "{next} after {last}");
}
