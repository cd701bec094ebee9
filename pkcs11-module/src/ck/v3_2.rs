//! What PKCS#11 3.2 adds to the C header, as far as we need it: `pkcs11-sys` ends with 3.1. Here are
//! the types of the twelve new functions and the list that holds them.
#![allow(non_snake_case, non_camel_case_types, missing_docs)]

use std::ffi::c_void;

use pkcs11_sys::*;

pub const CKF_ASYNC_SESSION: CK_FLAGS = 8;

/// CK_FUNCTION_LIST_3_2: the one of 3.0, and the new functions behind.
#[cfg_attr(not(windows), repr(C))]
#[cfg_attr(windows, repr(C, packed))]
pub struct FunctionList32 {
    pub v3_0: CK_FUNCTION_LIST_3_0,
    pub C_EncapsulateKey: C_EncapsulateKey,
    pub C_DecapsulateKey: C_DecapsulateKey,
    pub C_VerifySignatureInit: C_VerifySignatureInit,
    pub C_VerifySignature: C_VerifySignature,
    pub C_VerifySignatureUpdate: C_VerifySignature,
    pub C_VerifySignatureFinal: C_VerifySignatureFinal,
    pub C_GetSessionValidationFlags: C_GetSessionValidationFlags,
    pub C_AsyncComplete: C_AsyncComplete,
    pub C_AsyncGetID: C_AsyncGetID,
    pub C_AsyncJoin: C_AsyncJoin,
    pub C_WrapKeyAuthenticated: C_WrapKeyAuthenticated,
    pub C_UnwrapKeyAuthenticated: C_UnwrapKeyAuthenticated,
}

/// AES-GCM for C_WrapKey and C_UnwrapKey ("Additional AES Mechanisms").
#[cfg_attr(not(windows), repr(C))]
#[cfg_attr(windows, repr(C, packed))]
#[derive(Clone, Copy, Debug)]
pub struct CK_GCM_WRAP_PARAMS {
    pub pIv: CK_BYTE_PTR,
    pub ulIvLen: CK_ULONG,
    pub ulIvFixedBits: CK_ULONG,
    pub ivGenerator: CK_GENERATOR_FUNCTION,
    pub pAAD: CK_BYTE_PTR,
    pub ulAADLen: CK_ULONG,
    pub ulTagBits: CK_ULONG,
}

/// AES-CCM for the same.
#[cfg_attr(not(windows), repr(C))]
#[cfg_attr(windows, repr(C, packed))]
#[derive(Clone, Copy, Debug)]
pub struct CK_CCM_WRAP_PARAMS {
    pub ulDataLen: CK_ULONG,
    pub pNonce: CK_BYTE_PTR,
    pub ulNonceLen: CK_ULONG,
    pub ulNonceFixedBits: CK_ULONG,
    pub nonceGenerator: CK_GENERATOR_FUNCTION,
    pub pAAD: CK_BYTE_PTR,
    pub ulAADLen: CK_ULONG,
    pub ulMACLen: CK_ULONG,
}

/// Session, mechanism, public key, template, its count, ciphertext, its length, the new key.
pub type C_EncapsulateKey = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_ATTRIBUTE_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    CK_ULONG_PTR,
    CK_OBJECT_HANDLE_PTR,
) -> CK_RV;

/// Session, mechanism, private key, template, its count, ciphertext, its length, the new key.
pub type C_DecapsulateKey = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_ATTRIBUTE_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    CK_ULONG,
    CK_OBJECT_HANDLE_PTR,
) -> CK_RV;

/// Session, mechanism, key, signature, its length.
pub type C_VerifySignatureInit = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_BYTE_PTR,
    CK_ULONG,
) -> CK_RV;

/// Session, data, its length; the form of C_VerifySignatureUpdate too.
pub type C_VerifySignature =
    unsafe extern "C" fn(CK_SESSION_HANDLE, CK_BYTE_PTR, CK_ULONG) -> CK_RV;

pub type C_VerifySignatureFinal = unsafe extern "C" fn(CK_SESSION_HANDLE) -> CK_RV;

/// Session, CK_SESSION_VALIDATION_FLAGS_TYPE, flags.
pub type C_GetSessionValidationFlags =
    unsafe extern "C" fn(CK_SESSION_HANDLE, CK_ULONG, *mut CK_FLAGS) -> CK_RV;

/// Session, function name, CK_ASYNC_DATA.
pub type C_AsyncComplete =
    unsafe extern "C" fn(CK_SESSION_HANDLE, CK_UTF8CHAR_PTR, *mut c_void) -> CK_RV;

/// Session, function name, id.
pub type C_AsyncGetID =
    unsafe extern "C" fn(CK_SESSION_HANDLE, CK_UTF8CHAR_PTR, CK_ULONG_PTR) -> CK_RV;

/// Session, function name, id, data, its length.
pub type C_AsyncJoin = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_UTF8CHAR_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    CK_ULONG,
) -> CK_RV;

/// Session, mechanism, wrapping key, key, associated data, its length, wrapped key, its length.
pub type C_WrapKeyAuthenticated = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_OBJECT_HANDLE,
    CK_BYTE_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    CK_ULONG_PTR,
) -> CK_RV;

/// Session, mechanism, unwrapping key, wrapped key, its length, template, its count, associated data,
/// its length, the new key.
pub type C_UnwrapKeyAuthenticated = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_BYTE_PTR,
    CK_ULONG,
    CK_ATTRIBUTE_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    CK_ULONG,
    CK_OBJECT_HANDLE_PTR,
) -> CK_RV;

#[cfg(test)]
mod tests {
    use super::*;

    /// The header's list is flat: version, 68 functions of 2.40, 24 of 3.0, 12 of 3.2.
    #[cfg(not(windows))]
    #[test]
    fn the_list_is_flat() {
        let pointer = size_of::<usize>();
        let at = |n: usize| pointer + n * pointer;
        assert_eq!(
            std::mem::offset_of!(FunctionList32, C_EncapsulateKey),
            at(92)
        );
        let last = std::mem::offset_of!(FunctionList32, C_UnwrapKeyAuthenticated);
        assert_eq!((last, size_of::<FunctionList32>()), (at(103), at(104)));
    }
}
