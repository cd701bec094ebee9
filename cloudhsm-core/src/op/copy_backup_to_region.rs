//! CopyBackupToRegion.

use std::fs;

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{backup, in_state, invalid, scope, tagged};
use crate::backups::file;
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::ids;
use crate::model::{Backup, BackupState, Source, Tag};
use crate::state::{Scope, write_durably};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CopyBackupToRegion {
    destination_region: String,
    backup_id: String,
    tag_list: Option<Vec<Tag>>,
}

impl Operation<CloudHsm> for CopyBackupToRegion {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        if self.destination_region == caller.region {
            return invalid("The destination must be another Region than the backup's.");
        }
        let now = hsm.now();
        let id = ids::base32("backup");
        let read = |state: &mut crate::state::State| -> Result<Backup, Refused> {
            let backup = backup(state.realm_mut(&scope(caller)), &self.backup_id)?;
            in_state(backup, BackupState::Ready)?;
            Ok(backup.clone())
        };
        let from = hsm.store.change(read)?;
        let tags = match self.tag_list {
            Some(tags) => tagged(&[], tags)?,
            None => from.tags.clone(),
        };
        // The content first: a record never stands without it.
        let content = fs::read(file(hsm, &from.id)).map_err(Refused::from)?;
        write_durably(&file(hsm, &id), &content).map_err(Refused::from)?;
        let (created, cluster) = (from.created, from.cluster.clone());
        let copy = Backup {
            id: id.clone(),
            copied: Some(now),
            source: Some(Source {
                region: caller.region.clone(),
                backup: from.id.clone(),
                cluster: from.cluster.clone(),
            }),
            never_expires: false,
            tags,
            ..from
        };
        hsm.store.change(|state| {
            let there = Scope::new(&caller.account, &self.destination_region);
            state.realm_mut(&there).backups.insert(id, copy);
            Ok::<_, Refused>(())
        })?;
        Ok(json!({ "DestinationBackup": {
            "CreateTimestamp": created, "SourceRegion": caller.region,
            "SourceBackup": self.backup_id, "SourceCluster": cluster,
        }}))
    }
}
