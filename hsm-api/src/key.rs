//! How a key is named in a request, and what is known about it without asking its HSM.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ObjectId;

/// CK_OBJECT_CLASS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Class(pub u64);

/// CK_KEY_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyType(pub u64);

/// A key in a request. In the process that holds the key, `pin` leads straight to it, so that the hot
/// path takes no table lock; elsewhere, and on the wire, it is empty and the id is looked up.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyRef {
    /// The key's object.
    pub id: ObjectId,
    /// The engine's own reference; opaque to all others. The engine checks it before use, for the
    /// object may have been changed or destroyed since.
    #[serde(skip)]
    pub pin: Option<Arc<dyn Any + Send + Sync>>,
}

impl KeyRef {
    /// A key by id alone.
    pub fn by_id(id: ObjectId) -> Self {
        KeyRef { id, pin: None }
    }
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id.0)
    }
}

/// What a key may be used for: bits of [`Uses`], one for each usage attribute that is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses(pub u32);

#[allow(missing_docs)]
impl Uses {
    pub const ENCRYPT: Uses = Uses(1);
    pub const DECRYPT: Uses = Uses(1 << 1);
    pub const SIGN: Uses = Uses(1 << 2);
    pub const SIGN_RECOVER: Uses = Uses(1 << 3);
    pub const VERIFY: Uses = Uses(1 << 4);
    pub const VERIFY_RECOVER: Uses = Uses(1 << 5);
    pub const WRAP: Uses = Uses(1 << 6);
    pub const UNWRAP: Uses = Uses(1 << 7);
    pub const DERIVE: Uses = Uses(1 << 8);
    pub const ENCAPSULATE: Uses = Uses(1 << 9);
    pub const DECAPSULATE: Uses = Uses(1 << 10);

    /// Whether all of `other`'s bits are set.
    pub const fn allows(self, other: Uses) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Facts that parameter checks and length queries need; they do not change while the key lives, but
/// for `uses`, which the HSM checks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Public, private or secret key; another class for an object that is no key.
    pub class: Class,
    /// CKA_KEY_TYPE; `KeyType(u64::MAX)` for an object that is no key.
    pub key_type: KeyType,
    /// RSA, DSA and DH: bits of the modulus. EC: bits of the field. Secret keys: bits of the value.
    /// ML-DSA, ML-KEM, SLH-DSA: the parameter set.
    pub bits: u32,
    /// DSA: bits of the subprime, which signatures are as long as; 0 for other keys.
    pub sub_bits: u32,
    /// Usage attributes that are true.
    pub uses: Uses,
    /// CKA_TOKEN.
    pub token: bool,
    /// CKA_PRIVATE.
    pub private: bool,
    /// CKA_MODIFIABLE.
    pub modifiable: bool,
    /// CKA_ALWAYS_AUTHENTICATE.
    pub always_authenticate: bool,
    /// CKA_ALLOWED_MECHANISMS, where the key has it.
    pub allowed: Option<Vec<u64>>,
    /// EC: whether CKA_EC_PARAMS is a curve's name and no object identifier. On a named curve CKM_EDDSA's parameter says which
    /// of RFC 8032's schemes it is; an identifier of RFC 8410 says that itself (PKCS#11 3.2, 6.3, "EdDSA").
    pub named_curve: bool,
}
