//! What slots and sessions tell of themselves, a login by name, and the functions that only refuse.

use std::ptr::null_mut;

use pkcs11_sys::*;

use crate::raw::{Raw, p11, p11_3_2, text};

/// CKR_SESSION_ASYNC_NOT_SUPPORTED of 3.2.
const NOT_ASYNC: CK_RV = 0x205;

fn state(raw: &Raw, h: CK_SESSION_HANDLE) -> (CK_STATE, CK_FLAGS) {
    let mut info = CK_SESSION_INFO::default();
    assert_eq!(p11!(raw, C_GetSessionInfo, h, &mut info), CKR_OK);
    assert_eq!((info.slotID, info.ulDeviceError), (raw.slot, 0));
    (info.state, info.flags)
}

#[test]
fn sessions_tell_who_is_logged_in() {
    let raw = Raw::new();
    let (flags, mut reads) = (CKF_SERIAL_SESSION, 0);
    let none = null_mut();
    let rv = p11!(raw, C_OpenSession, raw.slot, flags, none, None, &mut reads);
    assert_eq!(rv, CKR_OK);
    let both = flags | CKF_RW_SESSION;
    assert_eq!(state(&raw, raw.h), (CKS_RW_USER_FUNCTIONS, both));
    assert_eq!(state(&raw, reads), (CKS_RO_USER_FUNCTIONS, flags));
    assert_eq!(p11!(raw, C_Logout, raw.h), CKR_OK);
    assert_eq!(state(&raw, raw.h), (CKS_RW_PUBLIC_SESSION, both));
    assert_eq!(state(&raw, reads), (CKS_RO_PUBLIC_SESSION, flags));
    assert_eq!(p11!(raw, C_CloseSession, reads), CKR_OK);
    raw.login(CKU_SO);
    assert_eq!(state(&raw, raw.h), (CKS_RW_SO_FUNCTIONS, both));
    let mut info = CK_SESSION_INFO::default();
    let rv = p11!(raw, C_GetSessionInfo, reads, &mut info);
    assert_eq!(rv, CKR_SESSION_HANDLE_INVALID);
}

#[test]
fn a_slot_tells_that_its_token_is_there() {
    let raw = Raw::new();
    let mut info = CK_SLOT_INFO::default();
    assert_eq!(p11!(raw, C_GetSlotInfo, raw.slot, &mut info), CKR_OK);
    assert_eq!(info.flags, CKF_TOKEN_PRESENT);
    let maker = b"Keystead                        ";
    assert_eq!(&info.manufacturerID, maker);
    let described = info.slotDescription.trim_ascii_end();
    assert!(!described.is_empty());
    let rv = p11!(raw, C_GetSlotInfo, 99, &mut info);
    assert_eq!(rv, CKR_SLOT_ID_INVALID);
}

/// On a cluster the name is the user's and the PIN the password alone; an embedded token has one user, without a name.
#[test]
fn a_login_by_name() {
    let raw = Raw::new();
    let (name, password) = raw.pin.split_once(':').unwrap_or(("", raw.pin));
    let log_in = |name: &str, pin: &str| {
        let ((n, n_len), (p, p_len)) = (text(name), text(pin));
        p11!(raw, C_LoginUser, raw.h, CKU_USER, p, p_len, n, n_len)
    };
    assert_eq!(log_in(name, password), CKR_USER_ALREADY_LOGGED_IN);
    assert_eq!(p11!(raw, C_Logout, raw.h), CKR_OK);
    assert_eq!(log_in("nobody", password), CKR_USER_PIN_NOT_INITIALIZED);
    assert_eq!(log_in(name, "another"), CKR_PIN_INCORRECT);
    assert_eq!(log_in(name, password), CKR_OK);
    assert_eq!(state(&raw, raw.h).0, CKS_RW_USER_FUNCTIONS);
    raw.aes();
}

/// Functions in parallel went with PKCS#11 2.0, and asynchronous ones of 3.2 are not here.
#[test]
fn nothing_runs_beside_its_caller() {
    let raw = Raw::new();
    let refused = CKR_FUNCTION_NOT_PARALLEL;
    assert_eq!(p11!(raw, C_GetFunctionStatus, raw.h), refused);
    assert_eq!(p11!(raw, C_CancelFunction, raw.h), refused);
    assert_eq!(p11!(raw, C_CancelFunction, 999), CKR_SESSION_HANDLE_INVALID);
    let (name, _) = text("C_Sign");
    let (mut id, none) = (0, null_mut());
    let complete = p11_3_2!(raw, C_AsyncComplete, raw.h, name, none);
    assert_eq!(complete, NOT_ASYNC);
    assert_eq!(p11_3_2!(raw, C_AsyncGetID, raw.h, name, &mut id), NOT_ASYNC);
    let mut room = [0u8; 16];
    let join = |h, room: &mut [u8]| p11_3_2!(raw, C_AsyncJoin, h, name, 0, room.as_mut_ptr(), 16);
    assert_eq!(join(raw.h, &mut room), NOT_ASYNC);
    assert_eq!(join(999, &mut room), CKR_SESSION_HANDLE_INVALID);
}
