//! One error type: [`Rv`] is what a PKCS#11 caller sees, `why` is what the log says.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// `Result` with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A refused or failed request. Success is never an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// The PKCS#11 return code.
    pub rv: Rv,
    /// For the log: what is wrong and, where there is one, how to mend it. Never a secret.
    pub why: Cow<'static, str>,
}

impl Error {
    /// An error with its reason.
    pub fn new(rv: Rv, why: impl Into<Cow<'static, str>>) -> Self {
        Error {
            rv,
            why: why.into(),
        }
    }
}

impl From<Rv> for Error {
    fn from(rv: Rv) -> Self {
        Error {
            rv,
            why: Cow::Borrowed(""),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rv.name())?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

macro_rules! rv {
    ($($name:ident = $code:literal),* $(,)?) => {
        /// PKCS#11 return codes other than CKR_OK (PKCS#11 3.2, "CK_RV").
        #[allow(missing_docs, non_camel_case_types, clippy::upper_case_acronyms)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Rv { $($name),* }

        impl Rv {
            /// The CK_RV value.
            pub const fn code(self) -> u64 {
                match self { $(Rv::$name => $code),* }
            }
            /// The name as the specification writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Rv::$name => concat!("CKR_", stringify!($name))),* }
            }
            /// The code that a value stands for, if the specification has it.
            pub const fn from_code(code: u64) -> Option<Rv> {
                match code { $($code => Some(Rv::$name),)* _ => None }
            }
        }
    };
}

rv! {
    CANCEL = 0x1,
    HOST_MEMORY = 0x2,
    SLOT_ID_INVALID = 0x3,
    GENERAL_ERROR = 0x5,
    FUNCTION_FAILED = 0x6,
    ARGUMENTS_BAD = 0x7,
    NO_EVENT = 0x8,
    NEED_TO_CREATE_THREADS = 0x9,
    CANT_LOCK = 0xA,
    ATTRIBUTE_READ_ONLY = 0x10,
    ATTRIBUTE_SENSITIVE = 0x11,
    ATTRIBUTE_TYPE_INVALID = 0x12,
    ATTRIBUTE_VALUE_INVALID = 0x13,
    ACTION_PROHIBITED = 0x1B,
    DATA_INVALID = 0x20,
    DATA_LEN_RANGE = 0x21,
    DEVICE_ERROR = 0x30,
    DEVICE_MEMORY = 0x31,
    DEVICE_REMOVED = 0x32,
    ENCRYPTED_DATA_INVALID = 0x40,
    ENCRYPTED_DATA_LEN_RANGE = 0x41,
    AEAD_DECRYPT_FAILED = 0x42,
    FUNCTION_CANCELED = 0x50,
    FUNCTION_NOT_PARALLEL = 0x51,
    FUNCTION_NOT_SUPPORTED = 0x54,
    KEY_HANDLE_INVALID = 0x60,
    KEY_SIZE_RANGE = 0x62,
    KEY_TYPE_INCONSISTENT = 0x63,
    KEY_NOT_NEEDED = 0x64,
    KEY_CHANGED = 0x65,
    KEY_NEEDED = 0x66,
    KEY_INDIGESTIBLE = 0x67,
    KEY_FUNCTION_NOT_PERMITTED = 0x68,
    KEY_NOT_WRAPPABLE = 0x69,
    KEY_UNEXTRACTABLE = 0x6A,
    MECHANISM_INVALID = 0x70,
    MECHANISM_PARAM_INVALID = 0x71,
    OBJECT_HANDLE_INVALID = 0x82,
    OPERATION_ACTIVE = 0x90,
    OPERATION_NOT_INITIALIZED = 0x91,
    PIN_INCORRECT = 0xA0,
    PIN_INVALID = 0xA1,
    PIN_LEN_RANGE = 0xA2,
    PIN_EXPIRED = 0xA3,
    PIN_LOCKED = 0xA4,
    SESSION_CLOSED = 0xB0,
    SESSION_COUNT = 0xB1,
    SESSION_HANDLE_INVALID = 0xB3,
    SESSION_PARALLEL_NOT_SUPPORTED = 0xB4,
    SESSION_READ_ONLY = 0xB5,
    SESSION_EXISTS = 0xB6,
    SESSION_READ_ONLY_EXISTS = 0xB7,
    SESSION_READ_WRITE_SO_EXISTS = 0xB8,
    SIGNATURE_INVALID = 0xC0,
    SIGNATURE_LEN_RANGE = 0xC1,
    TEMPLATE_INCOMPLETE = 0xD0,
    TEMPLATE_INCONSISTENT = 0xD1,
    TOKEN_NOT_PRESENT = 0xE0,
    TOKEN_NOT_RECOGNIZED = 0xE1,
    TOKEN_WRITE_PROTECTED = 0xE2,
    UNWRAPPING_KEY_HANDLE_INVALID = 0xF0,
    UNWRAPPING_KEY_SIZE_RANGE = 0xF1,
    UNWRAPPING_KEY_TYPE_INCONSISTENT = 0xF2,
    USER_ALREADY_LOGGED_IN = 0x100,
    USER_NOT_LOGGED_IN = 0x101,
    USER_PIN_NOT_INITIALIZED = 0x102,
    USER_TYPE_INVALID = 0x103,
    USER_ANOTHER_ALREADY_LOGGED_IN = 0x104,
    USER_TOO_MANY_TYPES = 0x105,
    WRAPPED_KEY_INVALID = 0x110,
    WRAPPED_KEY_LEN_RANGE = 0x112,
    WRAPPING_KEY_HANDLE_INVALID = 0x113,
    WRAPPING_KEY_SIZE_RANGE = 0x114,
    WRAPPING_KEY_TYPE_INCONSISTENT = 0x115,
    RANDOM_SEED_NOT_SUPPORTED = 0x120,
    RANDOM_NO_RNG = 0x121,
    DOMAIN_PARAMS_INVALID = 0x130,
    CURVE_NOT_SUPPORTED = 0x140,
    BUFFER_TOO_SMALL = 0x150,
    SAVED_STATE_INVALID = 0x160,
    INFORMATION_SENSITIVE = 0x170,
    STATE_UNSAVEABLE = 0x180,
    CRYPTOKI_NOT_INITIALIZED = 0x190,
    CRYPTOKI_ALREADY_INITIALIZED = 0x191,
    MUTEX_BAD = 0x1A0,
    MUTEX_NOT_LOCKED = 0x1A1,
    NEW_PIN_MODE = 0x1B0,
    NEXT_OTP = 0x1B1,
    EXCEEDED_MAX_ITERATIONS = 0x1B5,
    FIPS_SELF_TEST_FAILED = 0x1B6,
    LIBRARY_LOAD_FAILED = 0x1B7,
    PIN_TOO_WEAK = 0x1B8,
    PUBLIC_KEY_INVALID = 0x1B9,
    FUNCTION_REJECTED = 0x200,
    TOKEN_RESOURCE_EXCEEDED = 0x201,
    OPERATION_CANCEL_FAILED = 0x202,
    KEY_EXHAUSTED = 0x203,
    PENDING = 0x204,
    SESSION_ASYNC_NOT_SUPPORTED = 0x205,
    SEED_RANDOM_REQUIRED = 0x206,
    OPERATION_NOT_VALIDATED = 0x207,
    TOKEN_NOT_INITIALIZED = 0x208,
    PARAMETER_SET_NOT_SUPPORTED = 0x209,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for code in 1..0x300 {
            if let Some(rv) = Rv::from_code(code) {
                assert_eq!(rv.code(), code, "{}", rv.name());
            }
        }
        assert_eq!(Rv::from_code(0), None, "success is no error");
    }
}
