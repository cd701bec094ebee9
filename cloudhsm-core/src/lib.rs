//! Keystead: cloudhsm-core.
#![forbid(unsafe_code)]

pub mod ids;
pub mod node;
