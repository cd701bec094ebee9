//! One simulated HSM: objects, users, policy, mechanisms and a durable store behind `hsm_api::Hsm`.
//!
//! | file | duty |
//! |---|---|
//! | [`engine`] | [`Engine`]: one HSM's state in this process |
//! | `kept` | attributes as they are kept in memory: packed until somebody looks |
//! | `commit` | group commit: token objects made or destroyed at the same time share a transaction |
//! | `link` | one application's line to it, and the one match over what may be asked |
//! | `op/` | the answers, one file a chapter |
//! | `policy` | may this caller ask this, and see that object |
//! | `roles` | the setting that parts keys for data from keys for keys |
//! | [`attr`], `template` | one row an attribute; from a template to attributes by the rows |
//! | `cert` | what certificates and trust objects must be |
//! | [`mech`] | one row a mechanism; the pure checks and length queries |
//! | [`object`], [`material`] | an object in memory; its key, parsed and expanded once |
//! | [`users`] | PINs, failures, locks, the password change in two steps |
//! | `table` | token objects in memory, indexed |
//! | [`store`] | the durable store, sealing, the mapped generation number |
//! | [`tokens`](mod@tokens) | token directories, in the order of slots |
//! | [`node`], `change`, `backup` | an HSM of a cluster: certificates, sealed changes, backups |
//! | [`code`], `der`, `encode` | constants; as much DER as keys need; keys as bytes to wrap |
#![deny(unsafe_code)]

pub mod attr;
mod backup;
pub mod builtin;
mod cert;
mod change;
pub mod code;
mod commit;
mod der;
mod encode;
pub mod engine;
mod kept;
mod link;
pub mod material;
pub mod mech;
pub mod node;
pub mod object;
mod op;
mod policy;
mod roles;
pub mod store;
mod table;
mod template;
pub mod tokens;
pub mod users;

pub use attr::AttrRow;
pub use engine::{Engine, Settings};
pub use mech::Mech;
pub use node::{ClusterIdentity, NodeSettings};
pub use op::cluster::handle as key_handle;
pub use store::seal::PinCost;
pub use tokens::{TokenDir, create_token, tokens, tokens_or_first};
pub use users::PinRules;
