//! RevokeGrant.

use aws_json::{Caller, Operation, ServiceError};
use serde::Deserialize;

use crate::error::{NOT_FOUND, Result};
use crate::kms::Kms;
use crate::records::{Grant, Key};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RevokeGrant {
    key_id: String,
    grant_id: String,
    dry_run: Option<bool>,
}

fn unknown(id: &str) -> ServiceError {
    NOT_FOUND.says(format!("Grant ID {id} not found"))
}

/// Removes a key's grant, or for a dry run says that it could be.
pub(super) fn remove(kms: &Kms, key: &Key, id: &str, dry_run: Option<bool>) -> Result<()> {
    kms.store.change(|rows| {
        let grant = rows
            .fetch::<Grant>(&key.scope, id)?
            .filter(|grant| grant.key == key.id)
            .ok_or_else(|| unknown(id))?;
        super::dry_run(dry_run)?;
        rows.remove(&grant)
    })
}

impl Operation<Kms> for RevokeGrant {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        let key = kms.own_key(caller, &self.key_id)?;
        remove(kms, &key, &self.grant_id, self.dry_run)
    }
}
