//! KMS.
#![deny(unsafe_code)]
pub mod p11;
pub mod quirks;
