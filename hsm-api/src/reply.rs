//! What an HSM answers. Bulk bytes are not here: they are in the caller's `out`.

use serde::{Deserialize, Serialize};

use crate::{Attr, AttrType, Change, KeyFacts, KeyRef, ObjectId, Rv, UserInfo};

/// The answer to a request; each request's documentation names its variant, `Done` where it names none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Reply {
    Done,
    /// So many bytes of `out`.
    Written(usize),
    /// A result whose length the caller cannot bound.
    Bytes(#[serde(with = "crate::blob")] Vec<u8>),
    Token(TokenInfo),
    Mechanisms(Vec<Offered>),
    /// Something was made, changed or destroyed; in a cluster with the changes to carry to the other
    /// HSMs. `written` counts bytes of `out`.
    Made {
        changes: Vec<Change>,
        written: usize,
    },
    Key(KeyRef, KeyFacts),
    Attributes(Vec<AttrReply>),
    Objects(Vec<ObjectId>),
    Size(u64),
    Users(Vec<UserInfo>),
    Node(NodeInfo),
    Keys(Vec<KeyInfo>),
    Digest(Vec<(ObjectId, u64, u64)>),
    Changes(Vec<Change>),
    Csr(Certificates),
}

/// One attribute asked for: its value, or why it is withheld.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum AttrReply {
    Is(Attr),
    /// ATTRIBUTE_SENSITIVE or ATTRIBUTE_TYPE_INVALID.
    Withheld(AttrType, Rv),
}

/// A mechanism that this HSM has, and what it may be used for here: FIPS mode lets some do less than they can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// CK_MECHANISM_TYPE.
    pub mech: u64,
    /// The flags of CK_MECHANISM_INFO.
    pub flags: u64,
}

/// CK_TOKEN_INFO, as far as the HSM knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TokenInfo {
    pub label: String,
    pub serial: String,
    pub model: String,
    pub initialized: bool,
    pub user_pin_set: bool,
    pub user_failures: u32,
    pub user_locked: bool,
    pub so_failures: u32,
    pub so_locked: bool,
    /// Wrong PINs in a row that lock.
    pub max_failures: u32,
    pub min_pin: u32,
    pub max_pin: u32,
}

/// One HSM of a cluster, as its management tools show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NodeInfo {
    /// `hsm-...`
    pub hsm_id: String,
    pub serial: String,
    /// Which HSM this is in [`Change::origin`].
    pub origin: u64,
    /// Has a cluster certificate.
    pub installed: bool,
    /// Has a crypto officer instead of PRECO.
    pub activated: bool,
    pub objects: u64,
    pub fips: bool,
}

/// A key as a crypto officer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct KeyInfo {
    pub id: ObjectId,
    /// The HSM's handle, the same on every HSM of the cluster.
    pub handle: u64,
    pub owner: u32,
    pub shared: Vec<u32>,
    /// HMAC-SHA-256 of the key's state under the masking key: to compare HSMs, and to tell nothing.
    pub hash: [u8; 32],
}

/// An HSM's certificates before and after initialization, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Certificates {
    pub csr: String,
    pub hsm: String,
    pub aws_hardware: String,
    pub manufacturer_hardware: String,
    pub cluster: Option<String>,
}
