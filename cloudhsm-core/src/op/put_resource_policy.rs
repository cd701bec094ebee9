//! PutResourcePolicy. Policies are kept and shown; nobody shares across accounts here.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{backup, in_state, invalid, scope};
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::model::BackupState;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutResourcePolicy {
    resource_arn: Option<String>,
    policy: Option<String>,
}

impl Operation<CloudHsm> for PutResourcePolicy {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let (Some(arn), Some(policy)) = (self.resource_arn, self.policy) else {
            return invalid("ResourceArn and Policy must be given.");
        };
        if !serde_json::from_str::<Value>(&policy).is_ok_and(|p| p.is_object()) {
            return invalid("The policy is not a JSON object.");
        }
        hsm.store.change(|state| {
            let realm = state.realm_mut(&scope(caller));
            let found = backup(realm, shared_backup(&arn, caller)?)?;
            in_state(found, BackupState::Ready)?;
            realm.policies.insert(arn.clone(), policy.clone());
            Ok::<_, Refused>(())
        })?;
        Ok(json!({ "ResourceArn": arn, "Policy": policy }))
    }
}

/// The backup that an ARN of the caller's own names: only backups have policies.
pub(super) fn shared_backup<'a>(arn: &'a str, caller: &Caller) -> Result<&'a str> {
    let own = caller.arn_of("cloudhsm", "backup/");
    match arn.strip_prefix(&own) {
        Some(id) => Ok(id),
        None => invalid("The ResourceArn must be that of a backup in this account and Region."),
    }
}
