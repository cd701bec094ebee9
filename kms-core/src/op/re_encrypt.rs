//! ReEncrypt: the plaintext exists between two HSM calls, in memory that is wiped.

use aws_json::{Blob, Caller, Operation};
use serde::{Deserialize, Serialize};

use super::decrypt::Opening;
use super::metadata::material_id;
use crate::blob::Context;
use crate::error::Result;
use crate::keys;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReEncrypt {
    ciphertext_blob: Option<Blob>,
    #[serde(default)]
    source_encryption_context: Context,
    source_key_id: Option<String>,
    destination_key_id: String,
    #[serde(default)]
    destination_encryption_context: Context,
    source_encryption_algorithm: Option<String>,
    destination_encryption_algorithm: Option<String>,
    dry_run: Option<bool>,
    #[serde(default)]
    dry_run_modifiers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReEncrypted {
    ciphertext_blob: Blob,
    source_key_id: String,
    key_id: String,
    source_encryption_algorithm: &'static str,
    destination_encryption_algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key_material_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_key_material_id: Option<String>,
}

impl Operation<Kms> for ReEncrypt {
    type Output = ReEncrypted;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<ReEncrypted> {
        keys::symmetric(self.source_encryption_algorithm.as_deref())?;
        keys::symmetric(self.destination_encryption_algorithm.as_deref())?;
        let destination = kms.any_key(caller, &self.destination_key_id)?;
        let token = keys::usable(kms, &destination)?;
        let opening = Opening {
            blob: self.ciphertext_blob.as_ref(),
            context: &self.source_encryption_context,
            key_id: self.source_key_id.as_deref(),
            dry_run: self.dry_run,
            modifiers: &self.dry_run_modifiers,
        };
        let (source, plain) = opening.run(kms, caller)?;
        super::dry_run(self.dry_run)?;
        let plain = plain.unwrap_or_default();
        let blob = keys::seal(
            &token,
            &destination,
            &self.destination_encryption_context,
            &plain,
        )?;
        Ok(ReEncrypted {
            ciphertext_blob: Blob(blob),
            source_key_id: source.arn(),
            key_id: destination.arn(),
            source_encryption_algorithm: "SYMMETRIC_DEFAULT",
            destination_encryption_algorithm: "SYMMETRIC_DEFAULT",
            source_key_material_id: material_id(&source),
            destination_key_material_id: material_id(&destination),
        })
    }
}
