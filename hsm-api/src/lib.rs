//! The vocabulary that every part of Keystead speaks: requests to an HSM, its replies, attributes,
//! mechanisms with their parameters, errors, ids and secrets. No I/O and no cryptography here.
//!
//! | file | holds |
//! |---|---|
//! | [`link`] | the seam: [`Hsm`] opens a [`Link`], a link answers a [`Request`] |
//! | [`request`], [`reply`] | what may be asked, and what comes back |
//! | [`mech`] | mechanism id and typed parameters |
//! | [`attr`] | attribute type, value, template |
//! | [`key`] | key reference and the facts that length queries need |
//! | [`user`] | roles, users, the identity that a link presents |
//! | [`change`] | a sealed object change: clone, catch-up, backup and restore carry it |
//! | [`error`] | [`Error`]: a PKCS#11 return code for the machine, a sentence for the log |
//! | `blob` | owned bytes on the wire in one piece |
//! | [`secret`] | bytes whose `Debug` shows a length only |
#![forbid(unsafe_code)]

pub mod attr;
mod blob;
pub mod change;
pub mod error;
pub mod id;
pub mod key;
pub mod link;
pub mod mech;
pub mod reply;
pub mod request;
pub mod secret;
pub mod user;

pub use attr::{Attr, AttrType, Template, Value};
pub use change::Change;
pub use error::{Error, Result, Rv};
pub use id::{ObjectId, SessionId, StreamId};
pub use key::{Class, KeyFacts, KeyRef, KeyType, Uses};
pub use link::{Hello, Hsm, Link, Peer};
pub use mech::{MechId, Mechanism, Params};
pub use reply::Reply;
pub use request::{Op, Phase, Replay, Request};
pub use secret::{Hidden, Secret};
pub use user::{Role, UserInfo};
