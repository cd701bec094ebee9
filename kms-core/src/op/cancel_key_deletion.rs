//! CancelKeyDeletion: the key comes back disabled.

use aws_json::{Caller, Operation};
use serde::{Deserialize, Serialize};

use crate::error::{INVALID_STATE, Result};
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CancelKeyDeletion {
    key_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Cancelled {
    key_id: String,
}

impl Operation<Kms> for CancelKeyDeletion {
    type Output = Cancelled;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Cancelled> {
        let key = kms.change_key(caller, &self.key_id, |key| {
            if key.deletion.take().is_none() {
                return Err(INVALID_STATE.says(format!("{} is not pending deletion.", key.arn())));
            }
            key.enabled = false;
            Ok(())
        })?;
        Ok(Cancelled { key_id: key.arn() })
    }
}
