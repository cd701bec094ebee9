//! DeleteBackup: can be taken back for seven days.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{backup, in_state, scope};
use crate::backups::RESTORABLE;
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::model::BackupState;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteBackup {
    backup_id: String,
}

impl Operation<CloudHsm> for DeleteBackup {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let now = hsm.now();
        let shown = hsm.store.change(|state| {
            let backup = backup(state.realm_mut(&scope(caller)), &self.backup_id)?;
            in_state(backup, BackupState::Ready)?;
            backup.state = BackupState::PendingDeletion;
            backup.delete_at = Some(now + RESTORABLE);
            Ok::<_, Refused>(backup.view(&caller.account, &caller.region))
        })?;
        Ok(json!({ "Backup": shown }))
    }
}
