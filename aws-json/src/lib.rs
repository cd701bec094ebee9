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
//! - `shape`, `shapes`: the models of the services
//! - `rule`, `validate`: requests held against them
//! - `service`: a table, a model and a state as one `Service`
#![forbid(unsafe_code)]

mod caller;
pub mod error;
mod operation;
pub mod page;
mod rule;
mod service;
pub mod shape;
pub mod shapes;
mod types;
pub mod validate;

pub use caller::{Caller, DEFAULT_ACCOUNT, partition};
pub use error::{Exception, Result, ServiceError};
pub use operation::{Operation, Row};
pub use service::{Api, Response, Service};
pub use types::{Blob, NoMembers, SecretBlob, SecretString, Timestamp};
