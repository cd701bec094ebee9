//! ConnectCustomKeyStore.

use aws_json::{Caller, NoMembers, Operation};
use serde::Deserialize;

use crate::error::Result;
use crate::kms::{Kms, scope};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ConnectCustomKeyStore {
    custom_key_store_id: String,
}

impl Operation<Kms> for ConnectCustomKeyStore {
    type Output = NoMembers;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<NoMembers> {
        kms.key_stores
            .connect(&scope(caller), &self.custom_key_store_id)?;
        Ok(NoMembers {})
    }
}
