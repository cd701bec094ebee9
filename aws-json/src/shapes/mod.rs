//! The models of the two services, made by `cargo xtask shapes`. Do not edit the tables.
//! They stand at botocore 1.43.11.

pub mod cloudhsmv2;
pub mod kms;
