//! The exceptions of KMS: one list, and the error that carries one.
//!
//! `message` is for the caller and, where the real service's words are known, is those words; `cause` is for the log and never leaves the service.

use crate::p11::{Fault, FaultKind};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! exceptions {
    ($($variant:ident = $status:literal,)*) => {
        /// An exception of the service, named without the suffix `Exception`.
        #[allow(missing_docs)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Exception { $($variant,)* }

        impl Exception {
            /// The name on the wire.
            pub fn code(self) -> &'static str {
                match self { $(Exception::$variant => concat!(stringify!($variant), "Exception"),)* }
            }

            /// The HTTP status: recorded answers of the service have 400 for every fault of a caller, whatever its model says.
            pub fn status(self) -> u16 {
                match self { $(Exception::$variant => $status,)* }
            }
        }
    };
}

exceptions! {
    AlreadyExists = 400,
    CloudHsmClusterInUse = 400,
    CloudHsmClusterInvalidConfiguration = 400,
    CloudHsmClusterNotActive = 400,
    CloudHsmClusterNotFound = 400,
    CloudHsmClusterNotRelated = 400,
    CustomKeyStoreHasCMKs = 400,
    CustomKeyStoreInvalidState = 400,
    CustomKeyStoreNameInUse = 400,
    CustomKeyStoreNotFound = 400,
    DependencyTimeout = 503,
    Disabled = 400,
    DryRunOperation = 400,
    IncorrectKey = 400,
    IncorrectTrustAnchor = 400,
    InvalidAliasName = 400,
    InvalidArn = 400,
    InvalidCiphertext = 400,
    InvalidGrantId = 400,
    InvalidGrantToken = 400,
    InvalidKeyUsage = 400,
    InvalidMarker = 400,
    KMSInternal = 500,
    KMSInvalidState = 400,
    KeyUnavailable = 500,
    LimitExceeded = 400,
    MalformedPolicyDocument = 400,
    NotAuthorized = 400,
    NotFound = 400,
    Tag = 400,
    Throttling = 400,
    UnsupportedOperation = 400,
    Validation = 400,
}

/// A refusal or a fault of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Which exception.
    pub exception: Exception,
    /// The caller's text; some exceptions come without.
    pub message: Option<String>,
    /// What happened, for the log.
    pub cause: Option<String>,
}

impl Error {
    /// An exception with its text.
    pub fn new(exception: Exception, message: impl Into<String>) -> Error {
        Error { exception, message: Some(message.into()), cause: None }
    }

    /// An exception that the service sends without a text.
    pub fn bare(exception: Exception) -> Error {
        Error { exception, message: None, cause: None }
    }

    /// A fault of the service itself: the caller learns nothing, the log learns `cause`.
    pub fn internal(cause: impl Into<String>) -> Error {
        Error { cause: Some(cause.into()), ..Error::bare(Exception::KMSInternal) }
    }

    /// Adds what happened, for the log.
    pub fn because(self, cause: impl Into<String>) -> Error {
        Error { cause: Some(cause.into()), ..self }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.exception.code())?;
        for text in [&self.message, &self.cause].into_iter().flatten() {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// What a failed call on a token means to the caller of an operation (aws-facts A9).
impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        let error = match fault.kind {
            FaultKind::BadTag => Error::bare(Exception::InvalidCiphertext),
            FaultKind::KeyGone | FaultKind::KeyAmbiguous | FaultKind::StaleHandle => Error::new(
                Exception::KMSInvalidState,
                "The key material of the KMS key cannot be found in its key store.",
            ),
            FaultKind::Unreachable | FaultKind::LoggedOut | FaultKind::StaleSession => Error::new(
                Exception::KMSInvalidState,
                "KMS cannot communicate with your CloudHSM cluster",
            ),
            FaultKind::Exhausted
            | FaultKind::WrongPassword
            | FaultKind::LockedOut
            | FaultKind::NoUser
            | FaultKind::LoggedIn
            | FaultKind::PasswordRefused
            | FaultKind::Internal => Error::bare(Exception::KMSInternal),
        };
        error.because(fault.why)
    }
}

