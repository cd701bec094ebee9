//! DisconnectCustomKeyStore.

use aws_json::{Caller, NoMembers, Operation};
use serde::Deserialize;

use crate::error::Result;
use crate::kms::{Kms, scope};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DisconnectCustomKeyStore {
    custom_key_store_id: String,
}

impl Operation<Kms> for DisconnectCustomKeyStore {
    type Output = NoMembers;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<NoMembers> {
        kms.key_stores
            .disconnect(&scope(caller), &self.custom_key_store_id)?;
        Ok(NoMembers {})
    }
}
