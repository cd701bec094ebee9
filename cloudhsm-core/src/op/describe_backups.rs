//! DescribeBackups.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Filters, known, page, passes, scope};
use crate::control::CloudHsm;
use crate::model::{Backup, given};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeBackups {
    #[serde(default)]
    filters: Filters,
    next_token: Option<String>,
    max_results: Option<usize>,
    /// Absent means newest first.
    #[serde(default)]
    sort_ascending: bool,
    /// Backups that other accounts share with the caller; nobody can share across accounts here.
    #[serde(default)]
    shared: bool,
}

impl Operation<CloudHsm> for DescribeBackups {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        known(
            &self.filters,
            &[
                "backupIds",
                "sourceBackupIds",
                "clusterIds",
                "states",
                "neverExpires",
            ],
        )?;
        let source = |b: &Backup| {
            b.source
                .as_ref()
                .map(|s| s.backup.clone())
                .unwrap_or_default()
        };
        let found: Vec<Backup> = hsm.store.read(|state| {
            let Some(realm) = state.realm(&scope(caller)).filter(|_| !self.shared) else {
                return Vec::new();
            };
            let wanted = realm.backups.values().filter(|b| {
                let never = if b.never_expires { "true" } else { "false" };
                passes(&self.filters, "backupIds", &[&b.id])
                    && passes(&self.filters, "sourceBackupIds", &[&source(b)])
                    && passes(&self.filters, "clusterIds", &[&b.cluster])
                    && passes(&self.filters, "states", &[b.state.name()])
                    && passes(&self.filters, "neverExpires", &[never])
            });
            wanted.cloned().collect()
        });
        // Pages go by rising keys: time from the end of the era turns the newest to the front.
        let key = |b: &Backup| {
            let time = if self.sort_ascending {
                b.created
            } else {
                1e12 - b.created
            };
            format!("{time:020.3} {}", b.id)
        };
        let list = format!("DescribeBackups {}", self.sort_ascending);
        let page = page(
            &list,
            found,
            key,
            self.max_results,
            50,
            self.next_token.as_deref(),
        )?;
        let shown: Vec<Value> = page
            .items
            .iter()
            .map(|b| b.view(&caller.account, &caller.region))
            .collect();
        Ok(given(json!({ "Backups": shown, "NextToken": page.next })))
    }
}
