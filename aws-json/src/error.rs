//! What an operation answers when it refuses: an exception name, a status, a text for the caller.
//!
//! The text for the caller and the cause for the log are separate fields, because the first goes
//! to strangers and the second may say how the inside looks. Each service crate lists its own
//! exceptions as [`Exception`] constants; here are the few that every service has.

use std::fmt;

/// An exception's name and HTTP status: one row of a service's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// The name on the wire, such as `NotFoundException`.
    pub name: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
}

impl Exception {
    /// One row.
    pub const fn new(name: &'static str, status: u16) -> Self {
        Self { name, status }
    }

    /// This exception with a text for the caller.
    pub fn says(self, message: impl Into<String>) -> ServiceError {
        ServiceError {
            exception: self,
            message: Some(message.into()),
            cause: None,
        }
    }

    /// This exception without a text, as the real service gives some of them.
    pub const fn bare(self) -> ServiceError {
        ServiceError {
            exception: self,
            message: None,
            cause: None,
        }
    }
}

/// A member that breaks a constraint of the service's model.
pub const VALIDATION: Exception = Exception::new("ValidationException", 400);
/// A body that is not JSON, or a member of the wrong JSON type.
pub const SERIALIZATION: Exception = Exception::new("SerializationException", 400);
/// A target that names no operation.
pub const UNKNOWN_OPERATION: Exception = Exception::new("UnknownOperationException", 400);
/// An operation that AWS has and we do not.
pub const UNSUPPORTED_OPERATION: Exception = Exception::new("UnsupportedOperationException", 400);
/// The caller may not do this.
pub const ACCESS_DENIED: Exception = Exception::new("AccessDeniedException", 400);
/// Too many requests; SDKs retry by the name.
pub const THROTTLING: Exception = Exception::new("ThrottlingException", 400);

/// A refusal or a fault of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// Name and status.
    pub exception: Exception,
    /// For the caller. `None` where the real service sends only the name.
    pub message: Option<String>,
    /// For the log only.
    pub cause: Option<String>,
}

impl ServiceError {
    /// Adds what happened inside, for the log.
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The exception's name.
    pub const fn name(&self) -> &'static str {
        self.exception.name
    }

    /// Whether the service is at fault rather than the request.
    pub const fn is_fault(&self) -> bool {
        self.exception.status >= 500
    }
}

impl From<Exception> for ServiceError {
    fn from(exception: Exception) -> Self {
        exception.bare()
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.exception.name)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ServiceError {}

/// What operations return.
pub type Result<T, E = ServiceError> = std::result::Result<T, E>;
