//! The exceptions of KMS in one list, and what a failed call on a token means to a caller.
//!
//! An error's message is for the caller and, where the real service's words are known, is those words; its cause is for the log.

use aws_json::{Exception, ServiceError};

use crate::p11::{Fault, FaultKind};

pub use aws_json::error::{THROTTLING, UNSUPPORTED_OPERATION, VALIDATION};

/// What every fallible function of this crate returns.
pub type Result<T, E = ServiceError> = std::result::Result<T, E>;

macro_rules! exceptions {
    ($($name:ident = $wire:literal, $status:literal;)*) => {
        $(#[doc = concat!("`", $wire, "`")] pub const $name: Exception = Exception::new($wire, $status);)*

        /// Every exception that this crate raises, those that all services have excepted.
        pub static EXCEPTIONS: &[Exception] = &[$($name),*];
    };
}

// Recorded answers of the real service have 400 for every fault of a caller, whatever the statuses in its model say.
exceptions! {
    ALREADY_EXISTS = "AlreadyExistsException", 400;
    CLUSTER_IN_USE = "CloudHsmClusterInUseException", 400;
    CLUSTER_INVALID_CONFIGURATION = "CloudHsmClusterInvalidConfigurationException", 400;
    CLUSTER_NOT_ACTIVE = "CloudHsmClusterNotActiveException", 400;
    CLUSTER_NOT_FOUND = "CloudHsmClusterNotFoundException", 400;
    CLUSTER_NOT_RELATED = "CloudHsmClusterNotRelatedException", 400;
    STORE_HAS_KEYS = "CustomKeyStoreHasCMKsException", 400;
    STORE_INVALID_STATE = "CustomKeyStoreInvalidStateException", 400;
    STORE_NAME_IN_USE = "CustomKeyStoreNameInUseException", 400;
    STORE_NOT_FOUND = "CustomKeyStoreNotFoundException", 400;
    DISABLED = "DisabledException", 400;
    DRY_RUN = "DryRunOperationException", 400;
    INCORRECT_KEY = "IncorrectKeyException", 400;
    INCORRECT_TRUST_ANCHOR = "IncorrectTrustAnchorException", 400;
    INTERNAL = "KMSInternalException", 500;
    INVALID_ARN = "InvalidArnException", 400;
    INVALID_CIPHERTEXT = "InvalidCiphertextException", 400;
    INVALID_GRANT_ID = "InvalidGrantIdException", 400;
    INVALID_GRANT_TOKEN = "InvalidGrantTokenException", 400;
    INVALID_KEY_USAGE = "InvalidKeyUsageException", 400;
    INVALID_MARKER = "InvalidMarkerException", 400;
    INVALID_STATE = "KMSInvalidStateException", 400;
    LIMIT_EXCEEDED = "LimitExceededException", 400;
    MALFORMED_POLICY = "MalformedPolicyDocumentException", 400;
    NOT_AUTHORIZED = "NotAuthorizedException", 400;
    NOT_FOUND = "NotFoundException", 400;
    TAG = "TagException", 400;
}

/// A fault of the service itself: the caller learns nothing, the log learns `cause`.
pub fn internal(cause: impl std::fmt::Display) -> ServiceError {
    INTERNAL.bare().caused_by(cause)
}

/// For the log, where the cause matters most: an error's own text leaves it out.
pub(crate) fn told(error: &ServiceError) -> String {
    match &error.cause {
        Some(cause) => format!("{error} ({cause})"),
        None => error.to_string(),
    }
}

/// What a failed call on a token means to the caller of an operation (aws-facts A9).
impl From<Fault> for ServiceError {
    fn from(fault: Fault) -> ServiceError {
        let error = match fault.kind {
            FaultKind::BadTag => INVALID_CIPHERTEXT.bare(),
            FaultKind::KeyGone | FaultKind::KeyAmbiguous | FaultKind::StaleHandle => INVALID_STATE
                .says("The key material of the KMS key cannot be found in its key store."),
            FaultKind::Unreachable | FaultKind::LoggedOut | FaultKind::StaleSession => {
                INVALID_STATE.says("KMS cannot communicate with your CloudHSM cluster")
            }
            FaultKind::Exhausted
            | FaultKind::WrongPassword
            | FaultKind::LockedOut
            | FaultKind::NoUser
            | FaultKind::LoggedIn
            | FaultKind::PasswordRefused
            | FaultKind::Internal => INTERNAL.bare(),
        };
        error.caused_by(fault.why)
    }
}
