//! One simulated HSM: objects, users, policy, mechanisms and a durable store behind `hsm_api::Hsm`.
//!
//! | file | duty |
//! |---|---|
//! | `code` | object classes, key types |
//! | [`attr`] | one row an attribute |
//! | [`mech`] | one row a mechanism; the pure checks and length queries |
//! | [`object`], [`material`] | an object in memory; its key, parsed and expanded once |
//! | `der` | as much DER as keys need |
#![deny(unsafe_code)]

pub mod attr;
pub mod code;
mod der;
pub mod material;
pub mod mech;
pub mod object;

pub use attr::AttrRow;
pub use mech::Mech;
