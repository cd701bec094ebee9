//! GenerateDataKey, and the making of a data key that its sibling without plaintext shares.

use aws_json::{Blob, Caller, Operation, SecretBlob};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::metadata::material_id;
use crate::blob::Context;
use crate::error::{Result, VALIDATION};
use crate::keys;
use crate::kms::Kms;
use crate::records::Key;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GenerateDataKey {
    #[serde(flatten)]
    order: Order,
    recipient: Option<serde_json::Value>,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Order {
    key_id: String,
    #[serde(default)]
    encryption_context: Context,
    number_of_bytes: Option<usize>,
    key_spec: Option<String>,
    dry_run: Option<bool>,
}

/// What was made.
pub(super) struct DataKey {
    pub(super) key: Key,
    pub(super) plain: Zeroizing<Vec<u8>>,
    pub(super) blob: Vec<u8>,
}

impl Order {
    fn length(&self) -> Result<usize> {
        match (self.number_of_bytes, self.key_spec.as_deref()) {
            (Some(length), None) => Ok(length),
            (None, Some("AES_128")) => Ok(16),
            (None, Some(_)) => Ok(32),
            _ => Err(VALIDATION.says("Please specify either number of bytes or key spec.")),
        }
    }

    /// The data key's bytes come from the HSM that encrypts them.
    pub(super) fn run(&self, kms: &Kms, caller: &Caller) -> Result<DataKey> {
        let length = self.length()?;
        let key = kms.any_key(caller, &self.key_id)?;
        let token = keys::usable(kms, &key)?;
        super::dry_run(self.dry_run)?;
        let plain = token
            .random(length)
            .map_err(|fault| keys::failed(&key, fault))?;
        let blob = keys::seal(&token, &key, &self.encryption_context, &plain)?;
        Ok(DataKey { key, plain, blob })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Generated {
    ciphertext_blob: Blob,
    plaintext: SecretBlob,
    key_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

impl Operation<Kms> for GenerateDataKey {
    type Output = Generated;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Generated> {
        keys::no_recipient(self.recipient.as_ref())?;
        let made = self.order.run(kms, caller)?;
        Ok(Generated {
            ciphertext_blob: Blob(made.blob),
            plaintext: SecretBlob(made.plain),
            key_id: made.key.arn(),
            key_material_id: material_id(&made.key),
        })
    }
}
