//! The operations of CloudHSM v2, a file each, and their one table. What several share stands here:
//! finding what a request names, tags, retention.
//!
//! The order of checks is not published; here: does it exist, is it in a state for this, is the rest
//! of the request right.

mod copy_backup_to_region;
mod create_cluster;
mod create_hsm;
mod delete_backup;
mod delete_cluster;
mod delete_hsm;
mod delete_resource_policy;
mod describe_backups;
mod describe_clusters;
mod get_resource_policy;
mod initialize_cluster;
mod list_tags;
mod modify_backup_attributes;
mod modify_cluster;
mod put_resource_policy;
mod restore_backup;
mod tag_resource;
mod untag_resource;

use std::collections::{BTreeMap, BTreeSet};

use aws_json::shapes::cloudhsmv2::MODEL;
use aws_json::{Api, Caller, Result, ServiceError};
use serde::Deserialize;

use crate::control::CloudHsm;
use crate::error::{INTERNAL, INVALID_REQUEST, LIMIT, NOT_FOUND, TAG};
use crate::facts::exists;
use crate::model::{Backup, BackupState, Cluster, Realm, Tag};
use crate::state::{Place, Scope};

use copy_backup_to_region::CopyBackupToRegion;
use create_cluster::CreateCluster;
use create_hsm::CreateHsm;
use delete_backup::DeleteBackup;
use delete_cluster::DeleteCluster;
use delete_hsm::DeleteHsm;
use delete_resource_policy::DeleteResourcePolicy;
use describe_backups::DescribeBackups;
use describe_clusters::DescribeClusters;
use get_resource_policy::GetResourcePolicy;
use initialize_cluster::InitializeCluster;
use list_tags::ListTags;
use modify_backup_attributes::ModifyBackupAttributes;
use modify_cluster::ModifyCluster;
use put_resource_policy::PutResourcePolicy;
use restore_backup::RestoreBackup;
use tag_resource::TagResource;
use untag_resource::UntagResource;

aws_json::operations! {
    /// All 18.
    pub static OPERATIONS: CloudHsm =
        CopyBackupToRegion, CreateCluster, CreateHsm, DeleteBackup, DeleteCluster, DeleteHsm,
        DeleteResourcePolicy, DescribeBackups, DescribeClusters, GetResourcePolicy,
        InitializeCluster, ListTags, ModifyBackupAttributes, ModifyCluster, PutResourcePolicy,
        RestoreBackup, TagResource, UntagResource,
}

/// The service for the HTTP layer: `API.bind(Arc::new(cloudhsm))`.
pub static API: Api<CloudHsm> = Api {
    model: &MODEL,
    operations: OPERATIONS,
    internal: INTERNAL,
};

/// `{"Type": "DAYS", "Value": "90"}`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BackupRetentionPolicy {
    r#type: Option<String>,
    value: Option<String>,
}

impl BackupRetentionPolicy {
    fn days(&self) -> Result<u32> {
        let days = self.value.as_deref().and_then(|v| v.parse().ok());
        match (self.r#type.as_deref(), days) {
            (Some("DAYS"), Some(days)) if (7..=379).contains(&days) => Ok(days),
            _ => invalid(
                "The backup retention policy must be of type DAYS with a value between 7 and 379.",
            ),
        }
    }
}

type Filters = BTreeMap<String, Vec<String>>;

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(INVALID_REQUEST.says(message))
}

fn scope(caller: &Caller) -> Scope {
    Scope::new(&caller.account, &caller.region)
}

fn place(caller: &Caller, cluster: &str) -> Place {
    Place {
        scope: scope(caller),
        cluster: cluster.to_owned(),
    }
}

fn no_cluster(id: &str) -> ServiceError {
    NOT_FOUND.says(format!("The cluster {id} does not exist."))
}

fn no_backup(id: &str) -> ServiceError {
    NOT_FOUND.says(format!("The backup {id} does not exist."))
}

/// A cluster that is not deleted, nor about to be.
fn cluster<'a>(realm: &'a mut Realm, id: &str) -> Result<&'a mut Cluster> {
    let found = realm.clusters.get_mut(id).filter(|c| exists(c));
    found.ok_or_else(|| no_cluster(id))
}

/// A backup, whatever its state.
fn backup<'a>(realm: &'a mut Realm, id: &str) -> Result<&'a mut Backup> {
    realm.backups.get_mut(id).ok_or_else(|| no_backup(id))
}

/// Refuses unless the backup is in this state.
fn in_state(backup: &Backup, state: BackupState) -> Result<()> {
    if backup.state == state {
        return Ok(());
    }
    let (id, is, wanted) = (&backup.id, backup.state.name(), state.name());
    invalid(format!(
        "The backup {id} is in state {is}; it must be in state {wanted}."
    ))
}

/// The tags of a cluster or a backup.
fn tags<'a>(realm: &'a mut Realm, id: &str) -> Result<&'a mut Vec<Tag>> {
    match id.starts_with("backup-") {
        true => Ok(&mut backup(realm, id)?.tags),
        false => Ok(&mut cluster(realm, id)?.tags),
    }
}

/// The tags with new ones added or put in place of old ones.
fn tagged(old: &[Tag], new: Vec<Tag>) -> Result<Vec<Tag>> {
    let mut seen = BTreeSet::new();
    for tag in &new {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(TAG.says("Tags beginning with aws: are reserved."));
        }
        if !seen.insert(tag.key.as_str()) {
            return Err(TAG.says(format!("The tag key {} occurs twice.", tag.key)));
        }
    }
    let mut all: Vec<Tag> = old
        .iter()
        .filter(|t| !seen.contains(t.key.as_str()))
        .cloned()
        .collect();
    all.extend(new);
    all.sort_by(|a, b| a.key.cmp(&b.key));
    match all.len() {
        0..=50 => Ok(all),
        _ => Err(LIMIT.says("A resource can have at most 50 tags.")),
    }
}

/// Whether an item passes one filter: one of the wanted values is among its own.
fn passes(filters: &Filters, name: &str, own: &[&str]) -> bool {
    filters
        .get(name)
        .is_none_or(|wanted| wanted.iter().any(|w| own.contains(&w.as_str())))
}

/// Refuses filters that the list does not have.
fn known(filters: &Filters, names: &[&str]) -> Result<()> {
    match filters.keys().find(|f| !names.contains(&f.as_str())) {
        Some(other) => invalid(format!(
            "The filter {other} is not valid. Valid filters: {}.",
            names.join(", ")
        )),
        None => Ok(()),
    }
}

/// A page of a list; CloudHSM calls its markers tokens.
fn page<T>(
    list: &str,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    limit: Option<usize>,
    most: usize,
    token: Option<&str>,
) -> Result<aws_json::page::Page<T>> {
    let limit = limit.unwrap_or(most).clamp(1, most);
    aws_json::page::paginate(list, items, key, limit, token)
        .or_else(|_| invalid("The NextToken is not valid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag {
            key: key.into(),
            value: value.into(),
        }
    }

    #[test]
    fn tags_replace_and_are_limited() {
        let all = tagged(&[tag("a", "1"), tag("b", "2")], vec![tag("b", "3")]).expect("fine");
        assert_eq!(all, [tag("a", "1"), tag("b", "3")]);
        let name = |r: Result<Vec<Tag>>| r.err().map(|e| e.name());
        assert_eq!(
            name(tagged(&[], vec![tag("aws:x", "")])),
            Some("CloudHsmTagException")
        );
        assert_eq!(
            name(tagged(&[], vec![tag("x", "1"), tag("x", "2")])),
            Some("CloudHsmTagException")
        );
        let full: Vec<Tag> = (0..50).map(|i| tag(&i.to_string(), "")).collect();
        assert!(
            tagged(&full, vec![tag("7", "new")]).is_ok(),
            "replacing adds none"
        );
        assert_eq!(
            name(tagged(&full, vec![tag("x", "")])),
            Some("CloudHsmResourceLimitExceededException")
        );
    }

    #[test]
    fn retention_is_7_to_379_days() {
        for (value, wanted) in [
            ("6", None),
            ("7", Some(7)),
            ("379", Some(379)),
            ("380", None),
            ("x", None),
        ] {
            let policy = BackupRetentionPolicy {
                r#type: Some("DAYS".into()),
                value: Some(value.into()),
            };
            assert_eq!(policy.days().ok(), wanted, "{value}");
        }
    }
}
