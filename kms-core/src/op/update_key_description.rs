//! UpdateKeyDescription.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use crate::error::Result;
use crate::keys;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateKeyDescription {
    key_id: String,
    description: String,
}

impl Operation<Kms> for UpdateKeyDescription {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        kms.change_key(caller, &self.key_id, |key| {
            keys::not_pending(key)?;
            key.description.clone_from(&self.description);
            Ok(())
        })?;
        Ok(())
    }
}
