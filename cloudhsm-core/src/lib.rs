//! The CloudHSM v2 control plane: clusters, HSMs, certificates, backups, the simulated VPC, the node
//! processes and their faults. Keys and users are not here: they are in the nodes, which this crate
//! starts as processes and asks over the network.
//!
//! | file | duty |
//! |---|---|
//! | [`control`] | the service as a value: configuration, state, threads; opens, halts, resets |
//! | [`op`] | the 18 operations of the API, and their table |
//! | `worker` | the life of one cluster: one next step at a time, from the persisted state |
//! | `backups` | what is kept of backups, and for how long |
//! | [`facts`] | what KMS asks of a cluster |
//! | [`admin`], [`faults`] | what AWS has no call for: `/_keystead/...` |
//! | [`model`], [`state`] | the records, how the API shows them, and their file |
//! | [`vpc`] | subnets that are loopback ranges, security groups, interfaces |
//! | [`node`], [`supervisor`] | what a node is told, and the processes |
//! | [`link`] | the line to a node |
//! | [`ca`], [`certificates`] | the service's own certificates; the check of the customer's |
//! | [`error`], [`ids`] | exceptions; ids |
#![forbid(unsafe_code)]

pub mod admin;
mod backups;
pub mod ca;
pub mod certificates;
pub mod control;
pub mod error;
pub mod facts;
pub mod faults;
pub mod ids;
pub mod link;
pub mod model;
pub mod node;
pub mod op;
pub mod state;
pub mod supervisor;
pub mod vpc;
mod worker;

pub use control::{CloudHsm, Config};
pub use facts::{Facts, HsmFact, NotAttached};
pub use node::NodeSpec;
pub use state::Scope;
pub use supervisor::ProcessSpawner;
