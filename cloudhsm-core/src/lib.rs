//! Keystead: cloudhsm-core.
#![forbid(unsafe_code)]

pub mod ids;
pub mod model;
pub mod node;
pub mod state;
pub mod vpc;
