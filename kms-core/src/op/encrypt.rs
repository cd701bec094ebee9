//! Encrypt.

use aws_json::{Blob, Caller, Operation, SecretBlob};
use serde::{Deserialize, Serialize};

use crate::blob::Context;
use crate::error::Result;
use crate::keys;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Encrypt {
    key_id: String,
    plaintext: SecretBlob,
    #[serde(default)]
    encryption_context: Context,
    encryption_algorithm: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Encrypted {
    ciphertext_blob: Blob,
    key_id: String,
    encryption_algorithm: &'static str,
}

impl Operation<Kms> for Encrypt {
    type Output = Encrypted;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Encrypted> {
        let key = kms.any_key(caller, &self.key_id)?;
        let token = keys::usable(kms, &key)?;
        keys::symmetric(self.encryption_algorithm.as_deref())?;
        super::dry_run(self.dry_run)?;
        let blob = keys::seal(&token, &key, &self.encryption_context, &self.plaintext)?;
        Ok(Encrypted {
            ciphertext_blob: Blob(blob),
            key_id: key.arn(),
            encryption_algorithm: "SYMMETRIC_DEFAULT",
        })
    }
}
