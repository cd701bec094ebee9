//! What is kept: keys, aliases, grants and key stores, as documents of the [`crate::store`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clusters::ConnectionErrorCode;
use crate::ids::Scope;
use crate::store::{Record, Table};

/// Where a key's material comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Origin {
    #[serde(rename = "AWS_KMS")]
    AwsKms,
    #[serde(rename = "AWS_CLOUDHSM")]
    AwsCloudHsm,
}

impl Origin {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Origin::AwsKms => "AWS_KMS",
            Origin::AwsCloudHsm => "AWS_CLOUDHSM",
        }
    }
}

/// A deletion that waits for its window to pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Deletion {
    /// When the key goes.
    pub at: f64,
    /// The window that was asked for.
    pub days: i64,
}

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Whose it is.
    pub scope: Scope,
    /// The bare id.
    pub id: String,
    /// The user's description.
    pub description: String,
    /// Whether the user wants it enabled; what is shown also depends on the key store.
    pub enabled: bool,
    /// When it was made.
    pub created: f64,
    /// Where its material comes from.
    pub origin: Origin,
    /// The key store that holds it; empty for the service's own HSM.
    pub key_store: String,
    /// The backing key's id: CKA_ID in the HSM, and part of each ciphertext.
    #[serde(with = "hex::serde")]
    pub backing_key: [u8; 32],
    /// Its planned deletion.
    pub deletion: Option<Deletion>,
    /// The key policy's text.
    pub policy: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Key {
    /// The key's ARN, which is also its label in the HSM.
    pub fn arn(&self) -> String {
        self.scope.key_arn(&self.id)
    }
}

impl Record for Key {
    const TABLE: Table = Table::Keys;
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn parent(&self) -> &str {
        &self.key_store
    }
    fn due(&self) -> Option<f64> {
        self.deletion.map(|deletion| deletion.at)
    }
}

/// Another name of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// Whose it is.
    pub scope: Scope,
    /// The name, `alias/` included.
    pub name: String,
    /// The key's bare id.
    pub key: String,
    /// When it was made.
    pub created: f64,
    /// When it was pointed elsewhere last.
    pub updated: f64,
}

impl Record for Alias {
    const TABLE: Table = Table::Aliases;
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn id(&self) -> &str {
        &self.name
    }
    fn parent(&self) -> &str {
        &self.key
    }
}

/// A permission on a key, given to a principal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose it is.
    pub scope: Scope,
    /// 64 hexadecimal digits.
    pub id: String,
    /// The opaque token that names it before it is known everywhere.
    pub token: String,
    /// The key's bare id.
    pub key: String,
    /// The user's name for it.
    pub name: Option<String>,
    /// Who may.
    pub grantee: String,
    /// Who may give it up.
    pub retiring: Option<String>,
    /// What is permitted.
    pub operations: Vec<String>,
    /// Under which encryption contexts, as the request said it.
    pub constraints: Option<serde_json::Value>,
    /// When it was made.
    pub created: f64,
}

impl Record for Grant {
    const TABLE: Table = Table::Grants;
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn parent(&self) -> &str {
        &self.key
    }
}

/// The states of a custom key store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum ConnectionState {
    Disconnected,
    Connecting,
    Connected,
    Disconnecting,
    Failed,
}

/// A custom key store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyStore {
    /// Whose it is.
    pub scope: Scope,
    /// `cks-…`.
    pub id: String,
    /// The user's name for it, unique in its scope.
    pub name: String,
    /// Its cluster.
    pub cluster: String,
    /// By which related clusters are known even after this one is deleted.
    pub cluster_certificate: String,
    /// customerCA.crt, as it was given.
    pub trust_anchor: String,
    /// Its state.
    pub state: ConnectionState,
    /// Why it is FAILED.
    pub error: Option<ConnectionErrorCode>,
    /// When it was made.
    pub created: f64,
    /// kmsuser's password as far as we know, sealed.
    pub password: SealedPassword,
    /// The password that was being set when we last looked, sealed.
    pub pending: Option<SealedPassword>,
    /// Whether the cluster refused the pending password. Trying it again would only cost another failed login each time.
    pub pending_refused: bool,
    /// Raised by each connect and disconnect, so that a worker knows whether it is still wanted.
    pub attempt: u64,
}

impl Record for KeyStore {
    const TABLE: Table = Table::Stores;
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn parent(&self) -> &str {
        &self.cluster
    }
}

/// A password encrypted by the service's own HSM: IV, ciphertext and tag, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPassword(pub String);
