//! HSMs over the network. [`Node`] serves any [`hsm_api::Hsm`] over TLS; [`Cluster`] is an
//! [`hsm_api::Hsm`] whose links spread requests over such nodes; [`NodeClient`] speaks to one of them.
//! The trait is the same at both ends, so the wire is a decorator and nobody above it asks which.
//!
//! | file | holds |
//! |---|---|
//! | [`cert`] | certificates and keys as callers hand them over: PEM, anchors, the service's trust |
//! | `verify` | who is believed: chain to an anchor without a host name |
//! | `tls` | rustls configurations and the blocking socket beneath |
//! | `frame` | what travels: greeting, request, reply, and their limits |
//! | `conn` | one client connection: handshake, one request at a time |
//! | [`node`] | the serving side: a thread for each connection, applications with one link each |
//! | [`faults`] | delay, loss and refusal, set while a node runs |
//! | [`sync`] | what nodes do among themselves: digest, export, apply |
//! | [`client`] | one node, one link: management tools and the service |
//! | [`cluster`] | many nodes as one HSM: `cluster/balance` chooses, `cluster/login` keeps users, `cluster/carry` clones |
#![forbid(unsafe_code)]

pub mod cert;
pub mod client;
pub mod cluster;
pub mod faults;
pub mod node;
pub mod sync;

pub use cert::{Anchors, Credentials, Identity, NODE_UNIT, SERVICE_UNIT, ServiceTrust};
pub use client::{NodeClient, NodeClientConfig};
pub use cluster::{Cluster, ClusterConfig, NodeHealth};
pub use faults::Faults;
pub use node::{Limits, Node, NodeConfig, Purpose};
pub use sync::{Peers, Sync, SyncConfig};
pub use tls::{Waiting, while_waiting};

mod conn;
mod frame;
mod tls;
mod verify;
