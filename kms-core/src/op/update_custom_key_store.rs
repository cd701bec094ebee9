//! UpdateCustomKeyStore.

use aws_json::{Caller, NoMembers, Operation, SecretString};
use serde::Deserialize;

use super::create_custom_key_store::{XksMembers, alphanumeric};
use crate::error::Result;
use crate::kms::{Kms, scope};
use crate::stores::Changes;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateCustomKeyStore {
    custom_key_store_id: String,
    new_custom_key_store_name: Option<String>,
    key_store_password: Option<SecretString>,
    cloud_hsm_cluster_id: Option<String>,
    #[serde(flatten)]
    xks: XksMembers,
}

impl Operation<Kms> for UpdateCustomKeyStore {
    type Output = NoMembers;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<NoMembers> {
        self.xks.none()?;
        let changes = Changes {
            name: self.new_custom_key_store_name,
            password: self.key_store_password.map(|password| password.0),
            cluster: self.cloud_hsm_cluster_id,
        };
        changes
            .password
            .as_ref()
            .map_or(Ok(()), |password| alphanumeric(password))?;
        kms.key_stores
            .update(&scope(caller), &self.custom_key_store_id, &changes)?;
        Ok(NoMembers {})
    }
}
