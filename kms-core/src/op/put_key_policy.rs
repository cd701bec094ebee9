//! PutKeyPolicy.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::policy;
use crate::error::Result;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutKeyPolicy {
    key_id: String,
    policy_name: Option<String>,
    policy: String,
}

impl Operation<Kms> for PutKeyPolicy {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        policy::name_is_default(self.policy_name.as_deref())?;
        kms.own_key(caller, &self.key_id)?;
        let text = policy::checked(self.policy)?;
        kms.change_key(caller, &self.key_id, |key| {
            key.policy.clone_from(&text);
            Ok(())
        })?;
        Ok(())
    }
}
