//! DeleteCustomKeyStore.

use aws_json::{Caller, NoMembers, Operation};
use serde::Deserialize;

use crate::error::Result;
use crate::kms::{Kms, scope};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteCustomKeyStore {
    custom_key_store_id: String,
}

impl Operation<Kms> for DeleteCustomKeyStore {
    type Output = NoMembers;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<NoMembers> {
        kms.key_stores
            .delete(&scope(caller), &self.custom_key_store_id)?;
        Ok(NoMembers {})
    }
}
