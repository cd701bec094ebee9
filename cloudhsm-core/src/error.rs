//! CloudHSM v2's exceptions. All are 400 but its own failure; the wire member is `Message`.

use aws_json::{Exception, ServiceError};

/// The request cannot be done: a state, a rule, a limit, a certificate.
pub const INVALID_REQUEST: Exception = Exception::new("CloudHsmInvalidRequestException", 400);
/// There is no such cluster, HSM, backup or policy.
pub const NOT_FOUND: Exception = Exception::new("CloudHsmResourceNotFoundException", 400);
/// A tag that is not allowed.
pub const TAG: Exception = Exception::new("CloudHsmTagException", 400);
/// Too many of something.
pub const LIMIT: Exception = Exception::new("CloudHsmResourceLimitExceededException", 400);
/// Something of ours failed.
pub const INTERNAL: Exception = Exception::new("CloudHsmInternalFailureException", 500);

/// An error on its way out of a change of the state: the caller's, or the disk's.
#[derive(Debug)]
pub struct Refused(pub ServiceError);

impl From<ServiceError> for Refused {
    fn from(e: ServiceError) -> Refused {
        Refused(e)
    }
}

impl From<std::io::Error> for Refused {
    fn from(e: std::io::Error) -> Refused {
        let text = "The state of the service could not be written.";
        Refused(INTERNAL.says(text).caused_by(e))
    }
}

impl From<Refused> for ServiceError {
    fn from(e: Refused) -> ServiceError {
        e.0
    }
}
