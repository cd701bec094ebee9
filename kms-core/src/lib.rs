//! KMS.
#![deny(unsafe_code)]
pub mod blob;
pub mod clock;
pub mod clusters;
pub mod connect;
pub mod error;
pub mod ids;
pub mod p11;
pub mod quirks;
pub mod records;
pub mod seal;
pub mod store;
pub mod stores;
