//! The models of the two services, made by `cargo xtask shapes`. Do not edit the tables.

pub mod cloudhsmv2;
pub mod kms;
