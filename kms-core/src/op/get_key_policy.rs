//! GetKeyPolicy.

use aws_json::{Caller, Operation};
use serde::{Deserialize, Serialize};

use super::policy;
use crate::error::Result;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetKeyPolicy {
    key_id: String,
    policy_name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Got {
    policy: String,
    policy_name: &'static str,
}

impl Operation<Kms> for GetKeyPolicy {
    type Output = Got;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Got> {
        let key = kms.own_key(caller, &self.key_id)?;
        policy::name_is_default(self.policy_name.as_deref())?;
        Ok(Got {
            policy: key.policy,
            policy_name: policy::NAME,
        })
    }
}
