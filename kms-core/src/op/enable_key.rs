//! EnableKey. On a key whose store is away it succeeds, and shows when the store is back.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use crate::error::Result;
use crate::keys;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EnableKey {
    key_id: String,
}

impl Operation<Kms> for EnableKey {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        kms.change_key(caller, &self.key_id, |key| {
            keys::not_pending(key)?;
            key.enabled = true;
            Ok(())
        })?;
        Ok(())
    }
}
