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
//! | [`facts`], `health` | what KMS asks of a cluster |
//! | [`admin`], [`faults`] | what AWS has no call for: `/_keystead/...` |
//! | [`model`], [`state`] | the records, how the API shows them, and their file |
//! | [`vpc`] | subnets that are loopback ranges, security groups, interfaces |
//! | [`node`] | what the service and a node process say to each other |
//! | [`process`], [`supervisor`] | a node as a process; which of them run |
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
mod health;
mod hold;
pub mod ids;
pub mod link;
pub mod model;
pub mod node;
pub mod op;
pub mod process;
pub mod state;
pub mod supervisor;
pub mod vpc;
mod worker;

pub use control::{CloudHsm, Config};
pub use facts::{Facts, HsmFact, NotAttached};
pub use hold::Hold;
pub use node::NodeSpec;
pub use op::API;
pub use process::{ProcessSpawner, Spawner};
pub use state::Scope;
