//! DeleteResourcePolicy.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::put_resource_policy::shared_backup;
use super::{backup, invalid, scope};
use crate::control::CloudHsm;
use crate::error::{NOT_FOUND, Refused};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteResourcePolicy {
    resource_arn: Option<String>,
}

impl Operation<CloudHsm> for DeleteResourcePolicy {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let Some(arn) = self.resource_arn else {
            return invalid("ResourceArn must be given.");
        };
        let policy = hsm.store.change(|state| {
            let realm = state.realm_mut(&scope(caller));
            backup(realm, shared_backup(&arn, caller)?)?;
            let gone = realm.policies.remove(&arn);
            gone.ok_or_else(|| Refused(NOT_FOUND.says("The resource has no policy.")))
        })?;
        Ok(json!({ "ResourceArn": arn, "Policy": policy }))
    }
}
