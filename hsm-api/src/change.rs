//! What travels between HSMs: one object's newest state, sealed.

use serde::{Deserialize, Serialize};

use crate::ObjectId;

/// The state of one token object as of `version`, unreadable to whoever carries it. Applying the
/// same change twice, or an older one after a newer, does nothing. One type serves the clone at
/// creation, the catch-up of an HSM that was away, backup and restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The object.
    pub id: ObjectId,
    /// Rises with each change of the object.
    pub version: u64,
    /// The HSM that made this version: breaks a tie between two of the same number.
    pub origin: u64,
    /// Sealed under the cluster's masking key; `None` is a tombstone.
    pub sealed: Option<Vec<u8>>,
    /// Authenticates a tombstone, which has nothing to seal: a tag under the masking key.
    pub tag: Vec<u8>,
}
