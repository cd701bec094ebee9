//! GenerateRandom: from the service's own HSM, or from a key store's cluster.

use aws_json::{Caller, Operation, SecretBlob};
use serde::{Deserialize, Serialize};

use crate::error::{Result, VALIDATION};
use crate::keys;
use crate::kms::{Kms, scope};
use crate::records::Origin;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GenerateRandom {
    number_of_bytes: Option<usize>,
    custom_key_store_id: Option<String>,
    recipient: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Generated {
    plaintext: SecretBlob,
}

impl Operation<Kms> for GenerateRandom {
    type Output = Generated;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Generated> {
        keys::no_recipient(self.recipient.as_ref())?;
        let length = self
            .number_of_bytes
            .ok_or_else(|| VALIDATION.says("NumberOfBytes is required."))?;
        let (token, origin) = match &self.custom_key_store_id {
            Some(id) => {
                let connected = kms
                    .key_stores
                    .connected(&scope(caller), id, "GenerateRandom");
                (connected?.1, Origin::AwsCloudHsm)
            }
            None => (kms.own.clone(), Origin::AwsKms),
        };
        let bytes = token
            .random(length)
            .map_err(|fault| keys::failed_in(origin, fault))?;
        Ok(Generated {
            plaintext: SecretBlob(bytes),
        })
    }
}
