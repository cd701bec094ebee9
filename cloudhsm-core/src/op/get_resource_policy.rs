//! GetResourcePolicy.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::put_resource_policy::shared_backup;
use super::{invalid, no_backup, scope};
use crate::control::CloudHsm;
use crate::model::given;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetResourcePolicy {
    resource_arn: Option<String>,
}

impl Operation<CloudHsm> for GetResourcePolicy {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let Some(arn) = self.resource_arn else {
            return invalid("ResourceArn must be given.");
        };
        let id = shared_backup(&arn, caller)?;
        let found = hsm.store.read(|state| {
            let realm = state.realm(&scope(caller))?;
            realm
                .backups
                .contains_key(id)
                .then(|| realm.policies.get(&arn).cloned())
        });
        let policy = found.ok_or_else(|| no_backup(id))?;
        Ok(given(json!({ "Policy": policy })))
    }
}
