//! Keys: found by any form of `KeyId`, their state, and the token that holds their material.

use std::sync::Arc;

use aws_json::ServiceError;

use crate::blob::{self, Context, Header};
use crate::error::{DISABLED, INVALID_STATE, NOT_FOUND, Result, VALIDATION, internal};
use crate::ids::{KeyRef, Scope};
use crate::kms::Kms;
use crate::p11::{Fault, FaultKind, Token};
use crate::records::{Alias, Key, Origin};
use crate::store::Rows;

/// The states of a key that this service can have (aws-facts C5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion,
    Unavailable,
}

impl KeyState {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            KeyState::Enabled => "Enabled",
            KeyState::Disabled => "Disabled",
            KeyState::PendingDeletion => "PendingDeletion",
            KeyState::Unavailable => "Unavailable",
        }
    }
}

/// The key that a `KeyId` of any of the four forms names.
pub(crate) fn find(rows: &dyn Rows, scope: &Scope, key_id: &str) -> Result<Key> {
    match KeyRef::parse(key_id, scope)? {
        KeyRef::Key(id) => by_id(rows, scope, &id),
        KeyRef::Alias(name) => {
            let alias: Alias = rows
                .fetch(scope, &name)?
                .ok_or_else(|| no_alias(scope, &name))?;
            by_id(rows, scope, &alias.key)
        }
    }
}

/// The key that a `KeyId` names where only a key id or a key ARN is taken.
pub(crate) fn find_own(rows: &dyn Rows, scope: &Scope, key_id: &str) -> Result<Key> {
    match KeyRef::parse(key_id, scope)? {
        KeyRef::Key(id) => by_id(rows, scope, &id),
        KeyRef::Alias(_) => Err(NOT_FOUND.says(format!("Invalid keyId '{key_id}'"))),
    }
}

fn by_id(rows: &dyn Rows, scope: &Scope, id: &str) -> Result<Key> {
    rows.fetch(scope, id)?
        .ok_or_else(|| NOT_FOUND.says(format!("Key '{}' does not exist", scope.key_arn(id))))
}

pub(crate) fn no_alias(scope: &Scope, name: &str) -> ServiceError {
    NOT_FOUND.says(format!("Alias {} is not found.", scope.alias_arn(name)))
}

/// The token with the key's material, if it can be had now.
pub(crate) fn token(kms: &Kms, key: &Key) -> Option<Arc<Token>> {
    match key.origin {
        Origin::AwsKms => Some(kms.own.clone()),
        Origin::AwsCloudHsm => kms.key_stores.token(&key.key_store),
    }
}

/// The state to show. A planned deletion stays visible while the store is away, so that it can be cancelled without it.
pub(crate) fn state(kms: &Kms, key: &Key) -> KeyState {
    if key.deletion.is_some() {
        KeyState::PendingDeletion
    } else if token(kms, key).is_none() {
        KeyState::Unavailable
    } else if key.enabled {
        KeyState::Enabled
    } else {
        KeyState::Disabled
    }
}

/// The token of a key that a cryptographic operation may use now.
pub(crate) fn usable(kms: &Kms, key: &Key) -> Result<Arc<Token>> {
    not_pending(key)?;
    let token = token(kms, key)
        .ok_or_else(|| INVALID_STATE.says(format!("{} is unavailable.", key.arn())))?;
    enabled(key)?;
    Ok(token)
}

pub(crate) fn enabled(key: &Key) -> Result<()> {
    if key.enabled {
        Ok(())
    } else {
        Err(DISABLED.says(format!("{} is disabled.", key.arn())))
    }
}

pub(crate) fn not_pending(key: &Key) -> Result<()> {
    match key.deletion {
        None => Ok(()),
        Some(_) => Err(INVALID_STATE.says(format!("{} is pending deletion.", key.arn()))),
    }
}

/// Refuses an EncryptionAlgorithm that is not the one of symmetric keys.
pub(crate) fn symmetric(algorithm: Option<&str>) -> Result<()> {
    match algorithm {
        None | Some("SYMMETRIC_DEFAULT") => Ok(()),
        Some(other) => Err(crate::error::INVALID_KEY_USAGE.says(format!(
            "Algorithm {other} is incompatible with key spec SYMMETRIC_DEFAULT."
        ))),
    }
}

/// Refuses what needs a Nitro enclave's attestation document, before anything is done.
pub(crate) fn no_recipient(recipient: Option<&serde_json::Value>) -> Result<()> {
    match recipient {
        None => Ok(()),
        Some(_) => Err(crate::error::UNSUPPORTED_OPERATION
            .says("Recipient is not supported: attestation of enclaves is not implemented.")),
    }
}

/// What a failed call for a key means to the caller. A key store is the user's to mend; the service's own HSM is not.
pub(crate) fn failed(key: &Key, fault: Fault) -> ServiceError {
    failed_in(key.origin, fault)
}

pub(crate) fn failed_in(origin: Origin, fault: Fault) -> ServiceError {
    match origin {
        Origin::AwsKms if fault.kind != FaultKind::BadTag => internal(fault),
        _ => fault.into(),
    }
}

/// Encrypts under a key, in its HSM.
pub(crate) fn seal(token: &Token, key: &Key, context: &Context, plain: &[u8]) -> Result<Vec<u8>> {
    let header = Header {
        key_arn: key.arn(),
        backing_key: key.backing_key,
    };
    let sealed = token
        .seal(&header.key_arn, &header.aad(context), plain)
        .map_err(|fault| failed(key, fault))?;
    let blob = header.join(&sealed);
    // The model's limit on what Decrypt takes; 4,096 bytes of plaintext stay well below.
    if blob.len() > blob::MAX {
        return Err(VALIDATION.says("The plaintext is too long."));
    }
    Ok(blob)
}
