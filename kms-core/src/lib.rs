//! KMS: keys, aliases, grants and custom key stores over any PKCS#11 module.
//!
//! - `kms`: the service as a value, opened with its settings; `op/`: its operations, a file each, and their table
//! - `stores`: the key store state machine; `connect`: login and rotation of kmsuser; `worker`: the threads; `follow`: a connected store goes where its cluster goes; `clusters`: what is asked of CloudHSM
//! - `keys`: finding keys, their states; `blob`: the ciphertext's format; `seal`: passwords at rest
//! - `p11/`: the only place that speaks PKCS#11; `quirks`: how modules differ
//! - `store/`: the metadata database; `records`: what is in it
//! - `ids`, `clock`, `error`: names, time, exceptions
//! - `suite`: the key store tests, to be run on any target (feature `suite`)
//!
//! No crate of an HSM is a dependency: a module is met at `dlopen`, ours or another's. No HTTP either.
// The one exception is p11/load.rs, which says why.
#![deny(unsafe_code)]

pub mod blob;
pub mod clock;
pub mod clusters;
pub mod connect;
pub mod error;
mod follow;
pub mod ids;
pub mod keys;
pub mod kms;
mod op;
pub mod p11;
pub mod quirks;
pub mod records;
pub mod seal;
pub mod store;
pub mod stores;
#[cfg(feature = "suite")]
pub mod suite;
mod worker;

pub use kms::{Kms, ServiceHsm, Settings};
pub use op::{API, OPERATIONS};
