//! ListTags.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{no_backup, no_cluster, page, scope};
use crate::control::CloudHsm;
use crate::facts::exists;
use crate::model::{Tag, given};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTags {
    resource_id: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

impl Operation<CloudHsm> for ListTags {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let id = &self.resource_id;
        let is_backup = id.starts_with("backup-");
        let tags: Option<Vec<Tag>> = hsm.store.read(|state| {
            let realm = state.realm(&scope(caller))?;
            match is_backup {
                true => Some(realm.backups.get(id)?.tags.clone()),
                false => Some(realm.clusters.get(id).filter(|c| exists(c))?.tags.clone()),
            }
        });
        let tags = tags.ok_or_else(|| {
            if is_backup {
                no_backup(id)
            } else {
                no_cluster(id)
            }
        })?;
        let list = format!("ListTags {id}");
        let page = page(
            &list,
            tags,
            |t| t.key.clone(),
            self.max_results,
            100,
            self.next_token.as_deref(),
        )?;
        Ok(given(
            json!({ "TagList": page.items, "NextToken": page.next }),
        ))
    }
}
