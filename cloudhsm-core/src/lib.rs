//! Keystead: cloudhsm-core.
#![forbid(unsafe_code)]

mod backups;
pub mod ca;
pub mod certificates;
pub mod control;
pub mod error;
pub mod facts;
pub mod ids;
pub mod link;
pub mod model;
pub mod node;
pub mod op;
pub mod state;
pub mod supervisor;
pub mod vpc;
mod worker;
