//! Decrypt, and the opening of a blob that ReEncrypt shares.

use aws_json::error::ACCESS_DENIED;
use aws_json::{Blob, Caller, Operation, SecretBlob};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::metadata::material_id;
use crate::blob::{Context, split};
use crate::error::{INCORRECT_KEY, INVALID_CIPHERTEXT, Result, VALIDATION};
use crate::ids::KeyRef;
use crate::keys;
use crate::kms::{Kms, scope};
use crate::records::Key;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Decrypt {
    ciphertext_blob: Option<Blob>,
    #[serde(default)]
    encryption_context: Context,
    key_id: Option<String>,
    encryption_algorithm: Option<String>,
    recipient: Option<serde_json::Value>,
    dry_run: Option<bool>,
    #[serde(default)]
    dry_run_modifiers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Decrypted {
    key_id: String,
    plaintext: SecretBlob,
    encryption_algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

/// A blob that is to be opened: what Decrypt and the source of ReEncrypt have in common.
pub(super) struct Opening<'a> {
    pub(super) blob: Option<&'a Blob>,
    pub(super) context: &'a Context,
    pub(super) key_id: Option<&'a str>,
    pub(super) dry_run: Option<bool>,
    pub(super) modifiers: &'a [String],
}

impl Opening<'_> {
    /// The key, and the plaintext unless a dry run leaves the ciphertext out.
    pub(super) fn run(
        &self,
        kms: &Kms,
        caller: &Caller,
    ) -> Result<(Key, Option<Zeroizing<Vec<u8>>>)> {
        let ignored = self.modifiers.iter().any(|m| m == "IGNORE_CIPHERTEXT");
        if ignored && self.dry_run != Some(true) {
            return Err(VALIDATION.says("DryRunModifiers can be used only when DryRun is true."));
        }
        let named = self.key_id.map(|id| kms.any_key(caller, id)).transpose()?;
        let blob = match (self.blob, named) {
            (Some(blob), named) if !ignored => (blob, named),
            (_, Some(named)) if ignored => {
                keys::usable(kms, &named)?;
                return Ok((named, None));
            }
            (_, _) if ignored => {
                return Err(VALIDATION.says("KeyId is required when the ciphertext is ignored."));
            }
            _ => return Err(VALIDATION.says("CiphertextBlob is required.")),
        };
        let (blob, named) = blob;
        let (header, sealed) = split(blob)?;
        let key = match named {
            Some(named) => {
                keys::usable(kms, &named)?;
                if named.arn() != header.key_arn {
                    return Err(INCORRECT_KEY.says(
                        "The key ID in the request does not identify a CMK that can perform this operation.",
                    ));
                }
                named
            }
            None => self.key_of(kms, caller, &header.key_arn)?,
        };
        let token = keys::usable(kms, &key)?;
        if key.backing_key != header.backing_key {
            return Err(INVALID_CIPHERTEXT
                .bare()
                .caused_by("made by material that the key never had"));
        }
        let plain = token
            .open(&header.key_arn, &header.aad(self.context), &sealed)
            .map_err(|fault| keys::failed(&key, fault))?;
        Ok((key, Some(plain)))
    }

    /// A ciphertext of another account, another region or a deleted key is refused in one and the same way.
    fn key_of(&self, kms: &Kms, caller: &Caller, arn: &str) -> Result<Key> {
        let scope = scope(caller);
        let found = match KeyRef::parse(arn, &scope) {
            Ok(KeyRef::Key(id)) => kms.store.view(|rows| rows.fetch(&scope, &id))?,
            _ => None,
        };
        found.ok_or_else(|| {
            ACCESS_DENIED.says(
                "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
            )
        })
    }
}

impl Operation<Kms> for Decrypt {
    type Output = Decrypted;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Decrypted> {
        keys::no_recipient(self.recipient.as_ref())?;
        keys::symmetric(self.encryption_algorithm.as_deref())?;
        let opening = Opening {
            blob: self.ciphertext_blob.as_ref(),
            context: &self.encryption_context,
            key_id: self.key_id.as_deref(),
            dry_run: self.dry_run,
            modifiers: &self.dry_run_modifiers,
        };
        let (key, plain) = opening.run(kms, caller)?;
        super::dry_run(self.dry_run)?;
        Ok(Decrypted {
            key_id: key.arn(),
            plaintext: SecretBlob(plain.unwrap_or_default()),
            encryption_algorithm: "SYMMETRIC_DEFAULT",
            key_material_id: material_id(&key),
        })
    }
}
