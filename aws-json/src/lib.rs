//! What both AWS services share on the wire: JSON 1.1 operations, constraints, errors, lists.
//!
//! No HTTP and no signatures here: those are `kms-server`'s. No exception lists either, beyond
//! the few that every service has.
//!
//! - `operation`: the `Operation` trait and the `operations!` table
//! - `error`: exceptions and `ServiceError`
//! - `caller`: who sent the request
//! - `types`: blobs, secrets, timestamps
//! - `page`: lists in pages
#![forbid(unsafe_code)]

mod caller;
pub mod error;
mod operation;
pub mod page;
mod types;

pub use caller::{Caller, DEFAULT_ACCOUNT, partition};
pub use error::{Exception, Result, ServiceError};
pub use operation::{Operation, Row};
pub use types::{Blob, NoMembers, SecretBlob, SecretString, Timestamp};
