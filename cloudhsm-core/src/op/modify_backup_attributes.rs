//! ModifyBackupAttributes.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{backup, in_state, scope};
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::model::BackupState;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModifyBackupAttributes {
    backup_id: String,
    never_expires: bool,
}

impl Operation<CloudHsm> for ModifyBackupAttributes {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let shown = hsm.store.change(|state| {
            let backup = backup(state.realm_mut(&scope(caller)), &self.backup_id)?;
            in_state(backup, BackupState::Ready)?;
            backup.never_expires = self.never_expires;
            Ok::<_, Refused>(backup.view(&caller.account, &caller.region))
        })?;
        Ok(json!({ "Backup": shown }))
    }
}
