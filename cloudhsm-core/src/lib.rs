//! Keystead: cloudhsm-core.
#![forbid(unsafe_code)]

pub mod ca;
pub mod certificates;
pub mod ids;
pub mod link;
pub mod model;
pub mod node;
pub mod state;
pub mod supervisor;
pub mod vpc;
